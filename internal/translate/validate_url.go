// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const urlField = "spec.url"

var (
	printableASCII = regexp.MustCompile(`^[!-~]+$`)
	// imageByDigest is the one form in which an @ in an image's first part is no user name.
	imageByDigest = regexp.MustCompile(`^[^/@]+@sha256:[a-f0-9]{64}$`)
	// wellPinned is an image with a good digest or none.
	wellPinned = regexp.MustCompile(`^[^@]*(@sha256:[a-f0-9]{64})?$`)
)

// checkURL never repeats the URL: what is wrong with it may be a password.
func checkURL(in Input) error {
	raw := in.Plugin.Spec.URL
	if !printableASCII.MatchString(raw) || strings.Contains(raw, "#") || len(raw) > 2048 {
		return invalid(urlField, "must be 1 to 2048 characters of printable ASCII, without spaces or a fragment (#)")
	}
	scheme, rest, _ := strings.Cut(moduleURL(raw), "://")
	if !slices.Contains([]string{"oci", "http", "https", "store"}, scheme) {
		return invalid(urlField, "has an unknown scheme; use oci://, https://, http:// or store://")
	}
	return checkHost(scheme, rest)
}

func checkHost(scheme, rest string) error {
	authority, _, hasPath := strings.Cut(rest, "/")
	authority, _, _ = strings.Cut(authority, "?")
	switch {
	case strings.Contains(authority, "@") && (scheme != "oci" || !imageByDigest.MatchString(rest)):
		return invalid(urlField, "must not contain a user name or password; name a Secret in spec.imagePullSecret")
	case authority == "" || strings.HasPrefix(authority, ":"):
		return invalid(urlField, "has no host; write for example oci://registry.example.com/plugin:1.0")
	case scheme == "oci" && !wellPinned.MatchString(rest):
		return invalid(urlField, "has a digest that isn't one; write @sha256: and 64 lower-case hex digits")
	case (scheme == "oci" || scheme == "store") && !hasPath:
		return nil // a name without a host: what follows a colon is its tag
	default:
		return checkAuthority(scheme, rest)
	}
}

// checkAuthority parses host and port, of an image as of any URL.
func checkAuthority(scheme, rest string) error {
	parsed, err := url.Parse(scheme + "://" + rest)
	if err != nil || parsed.Hostname() == "" {
		return invalid(urlField, "is not a valid URL; check the host, the port and %%-escapes")
	}
	if port := parsed.Port(); port != "" || strings.HasSuffix(parsed.Host, ":") {
		if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
			return invalid(urlField, "has a port that is empty, 0 or above 65535")
		}
	}
	return nil
}

// moduleOfStore says whether the module is in the operator's own store.
func moduleOfStore(spec wasmv1alpha1.WasmPluginSpec) bool {
	return strings.HasPrefix(spec.URL, "store://")
}
