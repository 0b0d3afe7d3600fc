// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const digestHeader = "Docker-Content-Digest"

var manifestTypes = strings.Join([]string{
	string(types.OCIManifestSchema1), string(types.OCIImageIndex), string(types.DockerManifestSchema2), string(types.DockerManifestList),
}, ",")

// session is a login at a registry, for one repository.
type session struct {
	client *http.Client
	repo   name.Repository
	limits Limits
	// hint says what a user can do when the registry denies access.
	hint string
}

func (f *Fetcher) login(ctx context.Context, ref Reference, pullSecret []byte) (*session, error) {
	repo := ref.repo
	if f.insecure(repo.RegistryStr()) {
		plain, err := name.NewRepository(repo.Name(), name.Insecure)
		if err != nil {
			return nil, newError(InvalidReference, "the URL is no image's name")
		}
		repo = plain
	}
	credentials, hint, err := credentialsFor(repo, pullSecret)
	if err != nil {
		return nil, err
	}
	s := &session{repo: repo, limits: f.options.Limits, hint: hint}
	authenticated, err := transport.NewWithContext(ctx, repo.Registry, credentials, f.newGuard(ref), []string{repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, s.ofLogin(err)
	}
	s.client = client(authenticated)
	return s, nil
}

// ofLogin is the sentence for a login that failed. The library's own errors repeat what the server said; and since it tries
// both schemes with some hosts, a status comes before the error of the other scheme.
func (s *session) ofLogin(err error) error {
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		if answer.StatusCode == http.StatusNotFound {
			return newError(NotFound, "the server is no registry of images (status 404); check the host")
		}
		return ofStatus(&http.Response{StatusCode: answer.StatusCode}, s.hint)
	}
	if KindOf(err) != "" || errors.Is(err, context.Canceled) {
		return ofNetwork(err)
	}
	return newError(Denied, "the registry's login, or its redirect, is of a kind that is not known or not safe")
}

// get asks for a manifest or a layer. The caller closes what it gets.
func (s *session) get(ctx context.Context, method, kind, identifier string) (*http.Response, error) {
	// The scheme is the login's to choose.
	address := url.URL{Scheme: "https", Host: s.repo.RegistryStr(), Path: "/v2/" + s.repo.RepositoryStr() + "/" + kind + "/" + identifier}
	request, err := http.NewRequestWithContext(ctx, method, address.String(), http.NoBody)
	if err != nil {
		return nil, newError(InvalidReference, "the URL is no image's name")
	}
	if kind == "manifests" || kind == "referrers" {
		request.Header.Set("Accept", manifestTypes)
	}
	response, err := s.client.Do(request)
	if err != nil {
		// A token that has expired, or that doesn't cover the repository, was to be renewed on the way.
		return nil, s.ofLogin(err)
	}
	return response, nil
}

// resolve asks for a tag's digest. A registry that doesn't tell it has to send the manifest.
func (s *session) resolve(ctx context.Context, tag string) (string, error) {
	response, err := s.get(ctx, http.MethodHead, "manifests", tag)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	digest := response.Header.Get(digestHeader)
	switch pin, isSHA256 := strings.CutPrefix(digest, sha256Prefix); {
	case response.StatusCode == http.StatusOK && isSHA256 && hexDigest.MatchString(pin):
		return digest, nil
	case response.StatusCode == http.StatusOK, response.StatusCode == http.StatusMethodNotAllowed:
		_, digest, err := s.manifest(ctx, tag)
		return digest, err
	default:
		return "", ofStatus(response, s.hint)
	}
}

// manifest gets what a tag or a digest names, and its digest.
func (s *session) manifest(ctx context.Context, identifier string) (*manifest, string, error) {
	response, err := s.get(ctx, http.MethodGet, "manifests", identifier)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, "", ofStatus(response, s.hint)
	}
	parsed, digest, err := s.readManifest(response)
	if digest != "" && strings.HasPrefix(identifier, sha256Prefix) && digest != identifier {
		return nil, "", newError(DigestMismatch, "the registry serves %s for the manifest %s", digest, identifier)
	}
	return parsed, digest, err
}

func (s *session) readManifest(response *http.Response) (*manifest, string, error) {
	content, err := io.ReadAll(io.LimitReader(response.Body, s.limits.Manifest+1))
	if err != nil {
		return nil, "", err
	}
	if int64(len(content)) > s.limits.Manifest {
		return nil, "", newError(BadArtifact, "the image's manifest is larger than %d bytes", s.limits.Manifest)
	}
	parsed, err := parseManifest(content, s.limits.Layers)
	return parsed, digestOf(content), err
}

// readSmall reads a layer that is no module, but a small document.
func (s *session) readSmall(ctx context.Context, layer v1.Descriptor) ([]byte, error) {
	digest, err := digestIn(layer)
	if err != nil {
		return nil, err
	}
	response, err := s.get(ctx, http.MethodGet, "blobs", digest)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, ofStatus(response, s.hint)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAttachment+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxAttachment {
		return nil, newError(TooLarge, "the image's layer is larger than %d bytes", maxAttachment)
	}
	if digestOf(content) != digest {
		return nil, newError(DigestMismatch, "the registry serves something else for the image's layer %s", digest)
	}
	return content, nil
}
