// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The forms in which Istio's agent reads a module.
const (
	formatArtifact = "artifact"
	formatImage    = "image"

	artifactConfig types.MediaType = "application/vnd.module.wasm.config.v1+json"
	artifactLayer  types.MediaType = "application/vnd.module.wasm.content.layer.v1+wasm"
	// imageFile is the module's name in an image.
	imageFile = "plugin.wasm"
	imageMode = 0o644
)

// image is what is pushed. The same module and annotations always make the same.
func (p *plugin) image(format string, annotations map[string]string) (v1.Image, error) {
	if format == formatImage {
		return p.compatImage(annotations)
	}
	config := p.raw
	if config == nil {
		config = []byte("{}")
	}
	return newArtifact(config, artifactConfig, static.NewLayer(p.content, artifactLayer), annotations)
}

// compatImage is one that a container runtime takes for an image, too.
func (p *plugin) compatImage(annotations map[string]string) (v1.Image, error) {
	archive, err := archived(p.content)
	if err != nil {
		return nil, fmt.Errorf("pack the module: %w", err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("pack the module: %w", err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	base, err = mutate.ConfigFile(base, &v1.ConfigFile{Architecture: "amd64", OS: "linux"})
	if err == nil {
		base, err = mutate.AppendLayers(base, layer)
	}
	if err != nil {
		return nil, fmt.Errorf("pack the module: %w", err)
	}
	if len(annotations) == 0 {
		return base, nil
	}
	annotated, ok := mutate.Annotations(base, annotations).(v1.Image)
	if !ok {
		return nil, fmt.Errorf("pack the module: %T is no image", base)
	}
	return annotated, nil
}

// archived is a tar in gzip with the module, without a time.
func archived(content []byte) ([]byte, error) {
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	archive := tar.NewWriter(packed)
	header := &tar.Header{Name: imageFile, Mode: imageMode, Size: int64(len(content)), Format: tar.FormatUSTAR}
	if err := archive.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := archive.Write(content); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := packed.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// artifact is an image of one layer, whose configuration is a document of another kind than images have.
type artifact struct {
	config   []byte
	manifest []byte
	layer    v1.Layer
}

func newArtifact(config []byte, configType types.MediaType, layer v1.Layer, annotations map[string]string) (v1.Image, error) {
	described, err := partial.Descriptor(layer)
	if err != nil {
		return nil, fmt.Errorf("describe the module: %w", err)
	}
	digest, size, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return nil, fmt.Errorf("describe the module: %w", err)
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: configType, Size: size, Digest: digest},
		Layers: []v1.Descriptor{*described}, Annotations: annotations,
	})
	if err != nil {
		return nil, fmt.Errorf("describe the module: %w", err)
	}
	return partial.CompressedToImage(&artifact{config: config, manifest: manifest, layer: layer})
}

// MediaType is an image manifest's.
func (*artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawConfigFile is the configuration.
func (a *artifact) RawConfigFile() ([]byte, error) { return a.config, nil }

// RawManifest is the manifest.
func (a *artifact) RawManifest() ([]byte, error) { return a.manifest, nil }

// LayerByDigest is the layer.
func (a *artifact) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	own, err := a.layer.Digest()
	if err != nil {
		return nil, err
	}
	if own != digest {
		return nil, fmt.Errorf("there is no layer %s", digest)
	}
	return a.layer, nil
}
