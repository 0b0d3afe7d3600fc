// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const urlField = "spec.url"

var (
	printableASCII = regexp.MustCompile(`^[!-~]+$`)
	// imageName has only what an image's reference is made of, after an IPv6 address.
	imageName = regexp.MustCompile(`^(\[[^\]/]*\])?[-A-Za-z0-9._:/@]*$`)
	// hostName is a host that is no address; escapes in a URL can make others.
	hostName = regexp.MustCompile(`^[-._a-zA-Z0-9]+$`)
	// imageByDigest is the one form in which an @ in an image's first part is no user name, whether its digest is good or not.
	imageByDigest = regexp.MustCompile(`^[^/@]+@sha256:[^/@]*$`)
	// wellPinned is an image with a good digest or none.
	wellPinned = regexp.MustCompile(`^[^@]*(@sha256:[a-f0-9]{64})?$`)
	// numericLabel at the end of a host makes it an address to resolvers of the C library, in whatever base.
	numericLabel = regexp.MustCompile(`^(0[xX][0-9A-Fa-f]*|[0-9]+)$`)
)

// refusedAddresses answer to whoever is on the same machine or in the same cloud, with credentials among others.
var refusedAddresses = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"),     // link-local: most clouds' metadata service
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud's
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure's
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle Cloud's
	netip.MustParsePrefix("fe80::/10"),          // link-local
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS'
	netip.MustParsePrefix("fd20:ce::/32"),       // Google Cloud's
	netip.MustParsePrefix("64:ff9b::/32"),       // wraps an IPv4 address, for NAT64
	netip.MustParsePrefix("::/16"),              // wraps an IPv4 address, or is none that a module is at
}

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
	image := scheme == "oci"
	switch {
	case strings.Contains(authority, "@") && (!image || !imageByDigest.MatchString(rest)):
		return invalid(urlField, "must not contain a user name or password; name a Secret in spec.imagePullSecret")
	case authority == "" || strings.HasPrefix(authority, ":"):
		return invalid(urlField, "has no host; write for example oci://registry.example.com/plugin:1.0")
	}
	if image {
		if err := checkImage(rest); err != nil {
			return err
		}
	}
	if !hasPath && (image || scheme == "store") {
		return nil // a name without a host: what follows a colon is its tag
	}
	return checkAuthority(scheme, rest)
}

func checkImage(reference string) error {
	switch {
	case !wellPinned.MatchString(reference):
		return invalid(urlField, "has a digest that isn't one; write @sha256: and 64 lower-case hex digits")
	case !imageName.MatchString(reference):
		return invalid(urlField, "has a character that no image's name has; write for example oci://registry.example.com/plugin:1.0")
	}
	return nil
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
	if scheme == "store" {
		return nil
	}
	return checkAddress(parsed.Hostname())
}

// checkAddress looks at a host that is an address. What a name resolves to is known only where it is fetched.
func checkAddress(host string) error {
	address, err := netip.ParseAddr(host)
	if err != nil {
		host = strings.TrimSuffix(host, ".")
		if !hostName.MatchString(host) {
			return invalid(urlField, "has a host with a character that no host's name has; check it for %%-escapes")
		}
		if numericLabel.MatchString(host[strings.LastIndex(host, ".")+1:]) {
			return invalid(urlField, "has a host that is a number, or an address in an unusual form; write its name, or an address such as 192.0.2.1")
		}
		return nil
	}
	if address.IsLoopback() {
		return nil // a sidecar of the proxy's own pod, for example
	}
	address = address.WithZone("")
	if slices.ContainsFunc(refusedAddresses, func(refused netip.Prefix) bool { return refused.Contains(address) }) {
		return invalid(urlField, "names a link-local address, that of a cloud's metadata service, or an IPv6 address that wraps one of IPv4; write the host that serves the module")
	}
	return nil
}
