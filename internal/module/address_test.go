// SPDX-License-Identifier: Apache-2.0

package module

import (
	"net/netip"
	"testing"
)

func TestRow3AddressPolicy(t *testing.T) {
	open := policy{}
	public := policy{noPrivate: true}
	tests := map[string]struct {
		policy  policy
		address string
		want    string
	}{
		"public":                           {public, "93.184.216.34", ""},
		"public IPv6":                      {public, "2606:2800:220:1::1", ""},
		"private":                          {open, "10.1.2.3", ""},
		"private, refused":                 {public, "10.1.2.3", "private"},
		"unique local, refused":            {public, "fd12::1", "private"},
		"pods of a managed cluster":        {public, "100.64.3.4", "private"},
		"class E":                          {public, "240.240.0.7", "private"},
		"loopback":                         {open, "127.0.0.1", "loopback"},
		"loopback of 8 bits":               {open, "127.9.9.9", "loopback"},
		"loopback IPv6":                    {open, "::1", "loopback"},
		"loopback, allowed":                {policy{loopback: true}, "::1", ""},
		"loopback, allowed but blocked":    {policy{loopback: true, blocked: prefixes("127.0.0.2/32")}, "127.0.0.2", "loopback"},
		"loopback, mapped":                 {open, "::ffff:127.0.0.1", "loopback"},
		"link-local":                       {open, "169.254.169.254", "link-local"},
		"link-local, also with loopback":   {policy{loopback: true}, "169.254.169.254", "link-local"},
		"link-local, mapped":               {open, "::ffff:169.254.169.254", "link-local"},
		"link-local, NAT64":                {open, "64:ff9b::a9fe:a9fe", "link-local"},
		"link-local, 6to4":                 {open, "2002:a9fe:a9fe::1", "link-local"},
		"link-local, IPv4-compatible":      {open, "::169.254.169.254", "link-local"},
		"link-local IPv6 with zone":        {open, "fe80::1%eth0", "link-local"},
		"metadata, Alibaba":                {open, "100.100.100.200", "metadata service"},
		"metadata, Azure":                  {open, "168.63.129.16", "metadata service"},
		"metadata, Oracle":                 {open, "192.0.0.192", "metadata service"},
		"metadata, AWS IPv6":               {open, "fd00:ec2::254", "metadata service"},
		"metadata, Google IPv6":            {open, "fd20:ce::254", "metadata service"},
		"unspecified":                      {open, "0.0.0.0", "unspecified"},
		"this network":                     {open, "0.1.2.3", "unspecified"},
		"unspecified IPv6":                 {open, "::", "unspecified"},
		"multicast":                        {open, "224.0.0.251", "multicast"},
		"multicast IPv6":                   {open, "ff02::1", "multicast"},
		"broadcast":                        {open, "255.255.255.255", "multicast"},
		"the API server":                   {policy{blocked: prefixes("10.96.0.1/32")}, "10.96.0.1", "blocked by this installation"},
		"beside the API server":            {policy{blocked: prefixes("10.96.0.1/32")}, "10.96.0.2", ""},
		"the API server, mapped":           {policy{blocked: prefixes("10.96.0.1/32")}, "::ffff:10.96.0.1", "blocked by this installation"},
		"the API server, NAT64":            {policy{blocked: prefixes("10.96.0.1/32")}, "64:ff9b::a60:1", "blocked by this installation"},
		"public by NAT64":                  {public, "64:ff9b::5db8:d822", ""},
		"loopback stays free of embedding": {policy{loopback: true, noPrivate: true}, "::1", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.policy.refused(netip.MustParseAddr(tc.address).Unmap().WithZone("")); got != tc.want {
				t.Errorf("%s is of class %q, want %q", tc.address, got, tc.want)
			}
			if err := tc.policy.check(netip.MustParseAddr(tc.address)); (err != nil) != (tc.want != "") {
				t.Errorf("check: %v, want an error: %t", err, tc.want != "")
			}
		})
	}
}
