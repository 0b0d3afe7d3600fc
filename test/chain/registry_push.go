// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Format is how an image holds a module.
type Format string

// The formats that Istio's agent knows.
const (
	// DockerImage has the module as the file plugin.wasm of its last layer, as `docker build` makes it.
	DockerImage Format = "docker"
	// OCIImage is the same with the media types of the OCI, as buildah makes it.
	OCIImage Format = "oci"
	// Artifact has the module as it is, as `wasme push` and `oras push` make it.
	Artifact Format = "artifact"
)

// wasmConfig and wasmLayer are the media types of an artifact.
const (
	wasmConfig types.MediaType = "application/vnd.module.wasm.config.v1+json"
	wasmLayer  types.MediaType = "application/vnd.module.wasm.content.layer.v1+wasm"
)

// Push puts a module into the registry under a name such as plugins/basic-auth:1.4, in place of what was there, and returns
// the digest of the manifest (sha256:…).
func (r *Registry) Push(ctx context.Context, image string, format Format, module []byte) (string, error) {
	tag, err := name.NewTag(r.Address + "/" + image)
	if err != nil {
		return "", err
	}
	pushed, err := format.image(module)
	if err != nil {
		return "", err
	}
	if err := remote.Write(tag, pushed, r.options(ctx)...); err != nil {
		return "", fmt.Errorf("cannot push %s: %w", tag, err)
	}
	digest, err := pushed.Digest()
	return digest.String(), err
}

// Pull is the digest of the manifest under a name, as the registry has it.
func (r *Registry) Pull(ctx context.Context, image string) (string, error) {
	ref, err := name.ParseReference(r.Address + "/" + image)
	if err != nil {
		return "", err
	}
	pulled, err := remote.Image(ref, r.options(ctx)...)
	if err != nil {
		return "", fmt.Errorf("cannot pull %s: %w", ref, err)
	}
	digest, err := pulled.Digest()
	return digest.String(), err
}

// Copy puts an image or an index under another name of the same repository, as it is.
func (r *Registry) Copy(ctx context.Context, from, to string) error {
	source, err := name.ParseReference(r.Address + "/" + from)
	if err != nil {
		return err
	}
	target, err := name.NewTag(r.Address + "/" + to)
	if err != nil {
		return err
	}
	descriptor, err := remote.Get(source, r.options(ctx)...)
	if err == nil {
		err = remote.Tag(target, descriptor, r.options(ctx)...)
	}
	if err != nil {
		return fmt.Errorf("cannot copy %s to %s: %w", from, to, err)
	}
	return nil
}

// SignatureOf is the name under which cosign keeps the signatures of an image, such as plugins/basic-auth@sha256:….
func SignatureOf(image string, layout Layout) string {
	repository, digest, _ := strings.Cut(image, "@")
	tag := repository + ":" + strings.ReplaceAll(digest, ":", "-")
	if layout == SignatureTag {
		return tag + ".sig"
	}
	return tag
}

func (r *Registry) options(ctx context.Context) []remote.Option {
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(r.transport)}
	if r.user.Username != "" {
		options = append(options, remote.WithAuth(authn.FromConfig(r.user)))
	}
	return options
}

func (f Format) image(module []byte) (v1.Image, error) {
	if f == Artifact {
		base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), wasmConfig)
		return mutate.AppendLayers(base, static.NewLayer(module, wasmLayer))
	}
	archive, err := imageLayer(module)
	if err != nil {
		return nil, err
	}
	if f == OCIImage {
		base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
		return mutate.AppendLayers(base, static.NewLayer(archive, types.OCILayer))
	}
	return mutate.AppendLayers(empty.Image, static.NewLayer(archive, types.DockerLayer))
}

func imageLayer(module []byte) ([]byte, error) {
	var archive bytes.Buffer
	packed := gzip.NewWriter(&archive)
	files := tar.NewWriter(packed)
	header := &tar.Header{Name: "plugin.wasm", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(module))}
	if err := files.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := files.Write(module); err != nil {
		return nil, err
	}
	if err := files.Close(); err != nil {
		return nil, err
	}
	if err := packed.Close(); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}
