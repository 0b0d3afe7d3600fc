// SPDX-License-Identifier: Apache-2.0

package module

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

const (
	schemeOCI    = "oci"
	sha256Prefix = "sha256:"
	maxURL       = 2048
	// maxRepository is what registries take, with the "library/" that Docker Hub's short names stand for.
	maxRepository = 255
)

var (
	printableASCII = regexp.MustCompile(`^[!-~]+$`)
	hexDigest      = regexp.MustCompile(`^[a-f0-9]{64}$`)
	// hostName is a host that is no address; escapes in a URL can make others.
	hostName = regexp.MustCompile(`^[-._a-zA-Z0-9]+$`)
	// numberLike is the last label of a host that some resolvers read as an address: decimal, octal or hexadecimal.
	numberLike = regexp.MustCompile(`^(0[xX][0-9a-fA-F]*|[0-9]+)$`)
)

// Reference says where a module is and, if it is pinned, what it must be.
type Reference struct {
	// address is of an http(s) reference; the others are of an image.
	address *url.URL
	repo    name.Repository
	tag     string
	digest  string // of the manifest, sha256:…; named in the URL

	// sha256 is the pin beside the URL, in hex: of an image's manifest or of an http(s) module's bytes, as in Istio.
	sha256 string

	// namespace is whose share of the memory the module takes; "" for a share of its own.
	namespace string
}

// For returns the reference with the namespace whose share of the memory the module is to take.
func (r Reference) For(namespace string) Reference {
	r.namespace = namespace
	return r
}

// Parse reads a module's URL, oci:// (which may be left out), https:// or http://, and the SHA-256 that pins it, "" for
// none. Its errors don't repeat the URL, since what is wrong with it may be a password.
func Parse(rawURL, sha256 string) (Reference, error) {
	if sha256 != "" && !hexDigest.MatchString(sha256) {
		return Reference{}, newError(InvalidReference, "sha256 must be 64 lower-case hex digits")
	}
	if !printableASCII.MatchString(rawURL) || strings.Contains(rawURL, "#") || len(rawURL) > maxURL {
		return Reference{}, newError(InvalidReference,
			"the URL must be 1 to %d characters of printable ASCII, without spaces or a fragment (#)", maxURL)
	}
	scheme, rest, found := strings.Cut(rawURL, "://")
	if !found {
		scheme, rest = schemeOCI, rawURL
	}
	switch scheme {
	case schemeOCI:
		return parseImage(rest, sha256)
	case "http", "https":
		return parseAddress(rawURL, sha256)
	case "store":
		return Reference{}, newError(Unsupported, "store:// names a module in the operator's own store, which is not fetched from a server")
	default:
		return Reference{}, newError(InvalidReference, "the URL has an unknown scheme; use oci://, https:// or http://")
	}
}

func parseImage(image, sha256 string) (Reference, error) {
	parsed, err := name.ParseReference(image)
	if err != nil || len(parsed.Context().RepositoryStr()) > maxRepository { // the error repeats the URL
		return Reference{}, newError(InvalidReference, "the URL is no image's name; write for example oci://registry.example.com/plugin:1.0")
	}
	ref := Reference{repo: parsed.Context(), sha256: sha256}
	if tagged, ok := parsed.(name.Tag); ok {
		ref.tag = tagged.TagStr()
	} else {
		ref.digest = parsed.Identifier()
	}
	pin, isSHA256 := strings.CutPrefix(ref.digest, sha256Prefix)
	switch {
	case ref.digest != "" && (!isSHA256 || !hexDigest.MatchString(pin)):
		return Reference{}, newError(InvalidReference, "the digest in the URL must be @sha256: and 64 lower-case hex digits")
	case ref.digest != "" && sha256 != "" && pin != sha256:
		return Reference{}, newError(InvalidReference, "sha256 differs from the digest in the URL; keep one of them, or make them equal")
	}
	host, err := url.Parse("//" + ref.repo.RegistryStr())
	if err != nil {
		return Reference{}, newError(InvalidReference, "the registry's host is not valid; check the host and the port")
	}
	return ref, checkHost(host)
}

func parseAddress(rawURL, sha256 string) (Reference, error) {
	address, err := url.Parse(rawURL)
	switch {
	case err != nil || address.Hostname() == "":
		return Reference{}, newError(InvalidReference, "the URL is not valid; check the host, the port and %%-escapes")
	case address.User != nil:
		return Reference{}, newError(InvalidReference, "the URL must not contain a user name or password")
	}
	return Reference{address: address, sha256: sha256}, checkHost(address)
}

// checkHost refuses what resolvers disagree about, so that the address that is checked is the one that was written.
func checkHost(host *url.URL) error {
	if port := host.Port(); port != "" || strings.HasSuffix(host.Host, ":") {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return newError(InvalidReference, "the port must be 1 to 65535")
		}
	}
	hostname := strings.TrimSuffix(host.Hostname(), ".")
	if strings.Contains(hostname, "%") {
		return newError(InvalidReference, "the host must not have an IPv6 zone")
	}
	if _, err := netip.ParseAddr(hostname); err == nil {
		return nil
	}
	if !hostName.MatchString(hostname) {
		return newError(InvalidReference, "the host has a character that no host's name has")
	}
	if numberLike.MatchString(hostname[strings.LastIndex(hostname, ".")+1:]) {
		return newError(InvalidReference, "the host looks like an IP address but isn't one; write four decimal numbers or a name")
	}
	return nil
}

// OCI says whether the module is in an image, and not a file of a web server.
func (r Reference) OCI() bool {
	return r.address == nil
}

// Tag is the image's tag, "latest" where the URL names neither tag nor digest; "" for an image by digest and for http(s).
func (r Reference) Tag() string {
	return r.tag
}

// Pinned says whether the reference can only ever mean one module.
func (r Reference) Pinned() bool {
	return r.digest != "" || r.sha256 != ""
}

// At is the same image by digest (sha256:…) instead of by tag: what a tag once resolved to stays what it was. Other
// references have no tag, and stay as they are.
func (r Reference) At(digest string) Reference {
	if r.tag != "" {
		r.tag, r.digest = "", digest
	}
	return r
}

// String is the reference without the URL's query, which may hold a signature.
func (r Reference) String() string {
	switch {
	case r.address != nil:
		return r.address.Scheme + "://" + r.address.Host + r.address.EscapedPath()
	case r.tag != "":
		return schemeOCI + "://" + r.repo.Name() + ":" + r.tag
	default:
		return schemeOCI + "://" + r.repo.Name() + "@" + r.digest
	}
}

// host is what fetches are counted by.
func (r Reference) host() string {
	if r.address != nil {
		return strings.ToLower(r.address.Host)
	}
	return strings.ToLower(r.repo.RegistryStr())
}
