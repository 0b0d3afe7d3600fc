// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// FuzzURL: what a spec may say can be fetched, and it names no address that a spec may not. (The other way round a fetch
// takes more: it is asked for nothing that a spec doesn't say.)
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		imageURL, webURL, storeURL, "basic-auth", "a@sha256:" + strings.Repeat("a", 64), "http://[::ffff:169.254.169.254]/x", "http://100.100.100.200:80/",
		"https://h:65536/", "https://u:p@h/", "oci://[2001:db8::1]:5000/a", "http://2852039166/", "https://example.com./%2e%2e/a?b=c", "HTTP://h/a", "http://h:/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rawURL string) {
		if ofSpec(rawURL) != nil {
			return
		}
		checkHostOfSpec(t, rawURL)
		_, err := module.Parse(rawURL, "")
		// store:// isn't fetched, and an image's name has rules that only the fetch knows; it then says so itself.
		if err != nil && module.KindOf(err) != module.Unsupported && !strings.Contains(err.Error(), "no image's name") {
			t.Errorf("a spec may say %q, but it can't be fetched: %v", rawURL, err)
		}
	})
}

// ofSpec is what a spec's URL is refused for.
func ofSpec(rawURL string) error {
	plugin := &wasmv1alpha1.WasmPlugin{}
	plugin.Namespace, plugin.Name, plugin.UID, plugin.Generation = "shop", "auth", "uid", 1
	plugin.Spec.URL, plugin.Spec.Selector.MatchLabels = rawURL, map[string]wasmv1alpha1.LabelValue{"istio": "gateway"}
	_, err := translate.Translate(translate.Input{Plugin: plugin})
	if invalid, ok := errors.AsType[*translate.InvalidSpecError](err); ok && invalid.Field == "spec.url" {
		return err
	}
	return nil
}

// checkHostOfSpec: a host that is an address is nobody's metadata service, also where IPv6 wraps it.
func checkHostOfSpec(t *testing.T, rawURL string) {
	t.Helper()
	if _, rest, found := strings.Cut(rawURL, "://"); found {
		rawURL = rest
	}
	parsed, err := url.Parse("//" + rawURL)
	if err != nil || parsed.User != nil {
		return // no host, then: an image's name with a digest
	}
	address, err := netip.ParseAddr(parsed.Hostname())
	if err != nil {
		return
	}
	services := []string{"100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"}
	for _, service := range services {
		if address.Unmap() == netip.MustParseAddr(service) {
			t.Errorf("a spec may say %q", rawURL)
		}
	}
	if address.Unmap().WithZone("").IsLinkLocalUnicast() {
		t.Errorf("a spec may say %q", rawURL)
	}
}
