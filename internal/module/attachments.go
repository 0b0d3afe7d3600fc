// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"mime"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// maxAttachments bounds the signatures that are read of one image. Where a registry holds more, the last ones are read:
	// whoever signs adds to the end.
	maxAttachments = 32
	// maxAttachment bounds each of them; cosign's have some 10 KiB.
	maxAttachment = 256 * kib
	// maxListed bounds what a registry may list beside an image: signatures, SBOMs, attestations of any kind.
	maxListed = 1024

	// simpleSigning is the payload of cosign's older layout, whose signature stands in the annotations.
	simpleSigning types.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	// signatureArtifact is that layout as a referrer.
	signatureArtifact = "application/vnd.dev.cosign.artifact.sig.v1+json"
	// emptyConfig is the type of an artifact's configuration.
	emptyConfig = "application/vnd.oci.empty.v1+json"
	// bundlePrefix begins the types of all versions of Sigstore's bundle.
	bundlePrefix = "application/vnd.dev.sigstore.bundle"

	// predicateAnnotation says of a bundle what it states, signaturePredicate that it is a signature and not, for example, an
	// SBOM.
	predicateAnnotation = "dev.sigstore.bundle.predicateType"
	signaturePredicate  = "https://sigstore.dev/cosign/sign/v1"
)

// Attachment is something that a registry holds as a signature of an image. Nothing of it is checked. One with neither a
// Bundle nor a Payload couldn't be read.
type Attachment struct {
	// Bundle is a Sigstore bundle, in JSON: what cosign 3 writes.
	Bundle []byte
	// Payload is what was signed in cosign's older layout. The signature and what proves it are annotations of the layer.
	Payload     []byte
	Annotations map[string]string
}

// Signatures reads what a registry holds as signatures of an image's manifests, whose digests are given, in both of
// cosign's layouts: the tag sha256-….sig, and referrers (by their API, or by the tag that stands for it). An image that
// nobody signed has none, and that is no error; the errors are those of Fetch.
func (f *Fetcher) Signatures(ctx context.Context, ref Reference, digests []string, pullSecret []byte) ([]Attachment, error) {
	if !ref.OCI() {
		return nil, about(ref, newError(Unsupported, "only an image has signatures beside it; push the module to a registry"))
	}
	var found []Attachment
	err := f.within(ctx, ref, func(ctx context.Context) error {
		session, err := f.login(ctx, ref, pullSecret)
		if err != nil {
			return err
		}
		session.limits.Layers = maxListed
		found, err = session.signatures(ctx, digests)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (s *session) signatures(ctx context.Context, digests []string) ([]Attachment, error) {
	var found []Attachment
	for _, digest := range slices.Compact(slices.Sorted(slices.Values(digests))) {
		if pin, isSHA256 := strings.CutPrefix(digest, sha256Prefix); !isSHA256 || !hexDigest.MatchString(pin) {
			return nil, newError(InvalidReference, "an image's digest must be sha256: and 64 lower-case hex digits")
		}
		listed, err := s.attached(ctx, digest)
		if err != nil {
			return nil, err
		}
		for _, layer := range listed {
			if len(found) == maxAttachments {
				return found, nil
			}
			attachment, err := s.attachment(ctx, layer)
			if err != nil {
				return nil, err
			}
			found = append(found, attachment)
		}
	}
	return found, nil
}

// attached are the layers of all signatures of a manifest, at most as many as are read. A layer without a digest stands for
// a signature that can't be read.
func (s *session) attached(ctx context.Context, digest string) ([]v1.Descriptor, error) {
	tag := strings.Replace(digest, ":", "-", 1)
	layers, err := s.signatureLayers(ctx, tag+".sig")
	if err != nil {
		return nil, err
	}
	referrers, err := s.referrers(ctx, digest, tag)
	if err != nil {
		return nil, err
	}
	for _, referrer := range lastOf(referrers) {
		next, err := s.signatureLayers(ctx, referrer.Digest.String())
		if err != nil {
			return nil, err
		}
		layers = append(layers, next...)
	}
	return lastOf(layers), nil
}

func lastOf(list []v1.Descriptor) []v1.Descriptor {
	return list[max(0, len(list)-maxAttachments):]
}

// referrers are the signatures among what refers to a manifest.
func (s *session) referrers(ctx context.Context, digest, tag string) ([]v1.Descriptor, error) {
	index, err := s.referrersAPI(ctx, digest)
	if err == nil && index == nil {
		index, _, err = s.manifest(ctx, tag)
	}
	if KindOf(err) == NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(index.Manifests.list, func(referrer v1.Descriptor) bool {
		_, err := digestIn(referrer)
		return err != nil || !isSignature(referrer)
	}), nil
}

// isSignature judges by what the index says, so that SBOMs and the like need not be read. Whoever lies there is found out
// later, or hides a signature.
func isSignature(referrer v1.Descriptor) bool {
	if predicate := referrer.Annotations[predicateAnnotation]; predicate != "" {
		return predicate == signaturePredicate
	}
	switch referrer.ArtifactType {
	case signatureArtifact, emptyConfig, "": // some registries copy the type of the configuration, which says nothing
		return true
	default:
		return strings.HasPrefix(referrer.ArtifactType, bundlePrefix)
	}
}

// referrersAPI asks for the referrers as of OCI 1.1. It returns nil where the registry doesn't know how.
func (s *session) referrersAPI(ctx context.Context, digest string) (*manifest, error) {
	response, err := s.get(ctx, http.MethodGet, "referrers", digest)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable:
		return nil, nil //nolint:nilnil // That there is no such API is an answer too.
	case http.StatusOK:
	default:
		return nil, ofStatus(response, s.hint)
	}
	if media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || !types.MediaType(media).IsIndex() {
		return nil, nil //nolint:nilnil // A page for people, with status 200.
	}
	parsed, _, err := s.readManifest(response)
	return parsed, err
}

// signatureLayers are the layers with signatures of an artifact. One that can't be read must not keep others from counting.
func (s *session) signatureLayers(ctx context.Context, identifier string) ([]v1.Descriptor, error) {
	artifact, _, err := s.manifest(ctx, identifier)
	switch {
	case KindOf(err) == NotFound:
		return nil, nil
	case isBroken(err):
		return []v1.Descriptor{{}}, nil
	case err != nil:
		return nil, err
	}
	return slices.DeleteFunc(artifact.Layers.list, func(layer v1.Descriptor) bool {
		return layer.MediaType != simpleSigning && !strings.HasPrefix(string(layer.MediaType), bundlePrefix)
	}), nil
}

// attachment reads the signature of a layer.
func (s *session) attachment(ctx context.Context, layer v1.Descriptor) (Attachment, error) {
	content, err := s.readSmall(ctx, layer)
	switch {
	case isBroken(err):
		return Attachment{}, nil
	case err != nil:
		return Attachment{}, err
	case layer.MediaType != simpleSigning:
		return Attachment{Bundle: content}, nil
	}
	size := 0
	for name, value := range layer.Annotations {
		size += len(name) + len(value)
	}
	if size > maxAttachment {
		return Attachment{}, nil
	}
	return Attachment{Payload: content, Annotations: layer.Annotations}, nil
}

// isBroken says whether an error is about one attachment, and no reason to think that others can't be read.
func isBroken(err error) bool {
	switch KindOf(err) {
	case BadArtifact, DigestMismatch, NotFound, TooLarge:
		return true
	default:
		return false
	}
}
