// SPDX-License-Identifier: Apache-2.0

package module

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// readImage reads a module from an image.
func (s *session) readImage(ctx context.Context, ref Reference, content *buffer) (Facts, error) {
	image, resolved, err := s.manifest(ctx, cmp.Or(ref.digest, ref.tag))
	if err != nil {
		return Facts{}, err
	}
	digest := resolved
	if image.isIndex() {
		if digest, err = image.forProxies(); err != nil {
			return Facts{}, err
		}
		if image, _, err = s.manifest(ctx, digest); err != nil {
			return Facts{}, err
		}
	}
	// An index's digest pins the image as well as the image's own does.
	if pin := sha256Prefix + ref.sha256; ref.sha256 != "" && pin != digest && pin != resolved {
		return Facts{}, newError(DigestMismatch, "the digest of the image's manifest is %s, not %s; if the change is meant, set the new one", digest, pin)
	}
	layer, archived, err := image.module()
	if err != nil {
		return Facts{}, err
	}
	if err := s.readLayer(ctx, layer, archived, content); err != nil {
		return Facts{}, err
	}
	return Facts{ManifestDigest: digest, ResolvedDigest: resolved, Source: schemeOCI + "://" + s.repo.Name() + "@" + digest}, nil
}

func (s *session) readLayer(ctx context.Context, layer v1.Descriptor, archived bool, content *buffer) error {
	digest, err := digestIn(layer)
	if err != nil {
		return err
	}
	if layer.Size > s.limits.Compressed {
		return newError(TooLarge, "the image's layer is larger than %d bytes", s.limits.Compressed)
	}
	response, err := s.get(ctx, http.MethodGet, "blobs", digest)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return ofStatus(response, s.hint)
	}
	// One byte more than promised changes the digest; further ones need not be read.
	hash := sha256.New()
	blob := io.TeeReader(io.LimitReader(response.Body, layer.Size+1), hash)
	unpacker := unpacker{s.limits, content}
	if archived {
		err = unpacker.layer(blob)
	} else {
		err = unpacker.raw(blob)
	}
	if kind := KindOf(err); err != nil && kind != BadArtifact && kind != NotWasm {
		return err
	}
	// Also what could not be read is the image's fault only if it is what the image promised.
	if _, err := io.Copy(io.Discard, blob); err != nil {
		return err
	}
	if got := sha256Prefix + hex.EncodeToString(hash.Sum(nil)); got != digest {
		return newError(DigestMismatch, "the registry serves something else for the image's layer %s", digest)
	}
	return err
}
