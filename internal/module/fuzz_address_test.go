// SPDX-License-Identifier: Apache-2.0

package module

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// FuzzAddress: in whatever form an address is written, the guard at the dial says of it what it says of the address itself;
// and what no option admits, none does.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"169.254.169.254", "100.100.100.200", "127.0.0.1", "10.96.0.1", "93.184.216.34", "0.0.0.0", "255.255.255.255"} {
		address := netip.MustParseAddr(seed).As4()
		f.Add(address[:], uint8(0))
	}
	for _, seed := range []string{"fd00:ec2::254", "fe80::1", "::1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "ff02::1", "2606:2800:220:1::1"} {
		address := netip.MustParseAddr(seed).As16()
		f.Add(address[:], uint8(3))
	}
	f.Fuzz(func(t *testing.T, bytes []byte, options uint8) {
		address, ok := netip.AddrFromSlice(bytes)
		if !ok {
			return
		}
		rules := policy{loopback: options&1 != 0, noPrivate: options&2 != 0}
		if options&4 != 0 {
			rules.blocked = prefixes("10.96.0.1/32", "fd00:10:96::1/128")
		}
		refused := rules.check(address) != nil
		plain := address.Unmap()
		// The standard library's own words for what is nobody's module server.
		if never := plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified(); never && !refused {
			t.Errorf("%+v admits %s", rules, address)
		}
		if rules.noPrivate && plain.IsPrivate() && !refused {
			t.Errorf("%+v admits %s", rules, address)
		}
		if strict := (policy{noPrivate: true, blocked: rules.blocked}); refused && strict.check(address) == nil {
			t.Errorf("%+v refuses %s, and one that admits less doesn't", rules, address)
		}
		for _, spelling := range spellings(plain) {
			if got := rules.check(spelling) != nil; got != refused && refused {
				t.Errorf("%+v refuses %s, but not as %s", rules, address, spelling)
			}
		}
	})
}

// spellings are the ways in which IPv6 leads to an IPv4 address.
func spellings(address netip.Addr) []netip.Addr {
	if !address.Is4() || address.IsLoopback() || address.IsUnspecified() {
		return nil // where loopback is admitted, it is so as itself only; and :: and ::1 are addresses of their own
	}
	four := address.As4()
	wrapped := func(prefix string, at int) netip.Addr {
		sixteen := netip.MustParseAddr(prefix).As16()
		copy(sixteen[at:], four[:])
		return netip.AddrFrom16(sixteen)
	}
	all := []netip.Addr{wrapped("::ffff:0:0", 12), wrapped("64:ff9b::", 12), wrapped("2002::1", 2)}
	if four[0] != 0 {
		all = append(all, wrapped("::", 12))
	}
	return all
}

// FuzzHost: a URL that is taken means one host to whoever reads it, and no resolver takes that for an address which the
// guard doesn't.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{
		"http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/x", "http://169.254.43518/", "http://[::ffff:169.254.169.254]:80/",
		"https://example.com:8443/a%20b?x=@y", "https://example.com./a", "http://[fe80::1%25eth0]/", "oci://127.1:5000/a:1", "1.2.3.4.5/a", "http://h\\@x/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rawURL string) {
		ref, err := Parse(rawURL, "")
		if err != nil {
			return
		}
		text := ref.String()
		if ref.OCI() {
			text = "https://" + ref.host() + "/v2/"
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, text, http.NoBody)
		if err != nil || request.URL.User != nil {
			t.Fatalf("%q is taken as %s, but %v", rawURL, text, err)
		}
		parsed, err := url.Parse("//" + ref.host() + "/")
		if err != nil || parsed.Host != ref.host() || !strings.EqualFold(request.URL.Host, ref.host()) {
			t.Errorf("%q has the host %s, and %s, %v", rawURL, ref.host(), request.URL.Host, err)
		}
		host := request.URL.Hostname()
		if _, err := netip.ParseAddr(strings.TrimSuffix(host, ".")); err != nil && readsAsAddress(host) {
			t.Errorf("%q has the host %s, which the C library takes for an address", rawURL, host)
		}
	})
}

// readsAsAddress is inet_aton's grammar: one to four numbers, each decimal, octal or hexadecimal.
func readsAsAddress(host string) bool {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return false
	}
	for _, part := range parts {
		digits, base := part, 10
		if hex, isHex := strings.CutPrefix(strings.ToLower(part), "0x"); isHex {
			digits, base = "0"+hex, 16
		} else if strings.HasPrefix(part, "0") {
			base = 8
		}
		if _, err := strconv.ParseUint(digits, base, 32); err != nil {
			return false
		}
	}
	return true
}
