// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// istioLayer is the layer of an artifact as Istio's agent knows it.
	istioLayer types.MediaType = "application/vnd.module.wasm.content.layer.v1+wasm"
	// wasmLayer is the layer of an artifact as the CNCF describes it.
	wasmLayer types.MediaType = "application/wasm"
)

// manifest is the part of an image's manifest, or of an index of images, that leads to a module.
type manifest struct {
	Layers    descriptors `json:"layers"`
	Manifests descriptors `json:"manifests"`
}

// descriptors are read one by one, since a short manifest may list very many.
type descriptors struct {
	list  []v1.Descriptor
	limit int
}

// UnmarshalJSON reads a list up to its limit.
func (d *descriptors) UnmarshalJSON(content []byte) error {
	d.list = nil
	decoder := json.NewDecoder(bytes.NewReader(content))
	if token, err := decoder.Token(); err != nil || token == nil {
		return err
	} else if token != json.Delim('[') {
		return notAManifest()
	}
	for decoder.More() {
		if len(d.list) == d.limit {
			return newError(BadArtifact, "the image's manifest lists more than %d layers or images", d.limit)
		}
		var next v1.Descriptor
		if err := decoder.Decode(&next); err != nil {
			return err
		}
		d.list = append(d.list, next)
	}
	return nil
}

func parseManifest(content []byte, limit int) (*manifest, error) {
	parsed := &manifest{Layers: descriptors{limit: limit}, Manifests: descriptors{limit: limit}}
	if err := json.Unmarshal(content, parsed); err != nil {
		if KindOf(err) != "" {
			return nil, err
		}
		return nil, notAManifest()
	}
	if len(parsed.Layers.list) > 0 && len(parsed.Manifests.list) > 0 {
		return nil, newError(BadArtifact, "the image's manifest is an image and an index at the same time")
	}
	return parsed, nil
}

func notAManifest() error {
	return newError(BadArtifact, "the registry's answer is not an image's manifest")
}

// digestOf writes a digest as registries do.
func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return sha256Prefix + hex.EncodeToString(sum[:])
}

func (m *manifest) isIndex() bool {
	return len(m.Manifests.list) > 0
}

// forProxies is the image of an index that Istio's agent takes: the first for linux/amd64, or for no platform.
func (m *manifest) forProxies() (string, error) {
	for _, image := range m.Manifests.list {
		if platform := image.Platform; platform != nil && (platform.OS != "linux" || platform.Architecture != "amd64") {
			continue
		}
		if image.MediaType.IsIndex() {
			return "", newError(BadArtifact, "the image's index leads to another index; push the image itself")
		}
		return digestIn(image)
	}
	return "", newError(BadArtifact, "the image's index has none for linux/amd64, which is what Istio's agent takes")
}

// module is the layer that holds the module, and whether it does so as a file of a tar in gzip, as images have them, or as
// it is, as artifacts do.
func (m *manifest) module() (layer v1.Descriptor, archived bool, err error) {
	layers := m.Layers.list
	if len(layers) == 0 {
		return v1.Descriptor{}, false, newError(BadArtifact, "the image has no layers")
	}
	last := layers[len(layers)-1]
	if last.MediaType == types.OCILayer || last.MediaType == types.DockerLayer {
		return last, true, nil
	}
	found := 0
	for _, candidate := range layers {
		if candidate.MediaType == istioLayer || candidate.MediaType == wasmLayer {
			layer = candidate
			found++
		}
	}
	if found != 1 {
		return v1.Descriptor{}, false, newError(BadArtifact, "the image holds no module: its last layer must be a tar in gzip with the file %s, "+
			"or exactly one layer of the type %s or %s", moduleFile, istioLayer, wasmLayer)
	}
	return layer, false, nil
}

// digestIn is what a descriptor leads to. Only SHA-256 is taken.
func digestIn(descriptor v1.Descriptor) (string, error) {
	if descriptor.Digest.Algorithm != "sha256" || !hexDigest.MatchString(descriptor.Digest.Hex) {
		return "", newError(BadArtifact, "the image's manifest names something without a SHA-256 digest")
	}
	return descriptor.Digest.String(), nil
}
