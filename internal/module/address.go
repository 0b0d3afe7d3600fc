// SPDX-License-Identifier: Apache-2.0

package module

import (
	"net"
	"net/netip"
	"syscall"
	"time"
)

const dialTimeout = 10 * time.Second

var (
	// metadataServices hand out credentials to whoever asks; those at link-local addresses need no entry.
	metadataServices = prefixes(
		"100.100.100.200/32", // Alibaba Cloud
		"168.63.129.16/32",   // Azure
		"192.0.0.192/32",     // Oracle Cloud
		"fd00:ec2::/32",      // AWS
		"fd20:ce::254/128",   // Google Cloud
	)
	// internal are ranges beside RFC 1918 and RFC 4193 that clusters use inside.
	internal = prefixes(
		"100.64.0.0/10", // carrier-grade NAT, pods of some managed clusters
		"198.18.0.0/15", // benchmarks
		"240.0.0.0/4",   // class E, pods of some managed clusters and Istio's addresses for ServiceEntries
		"fec0::/10",     // site-local, deprecated
	)
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	broadcast   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	// embedding are the IPv6 ranges that lead to an IPv4 address, and where in the address that stands.
	embedding = map[netip.Prefix]int{
		netip.MustParsePrefix("64:ff9b::/96"): 12, // NAT64
		netip.MustParsePrefix("2002::/16"):    2,  // 6to4
		netip.MustParsePrefix("::/96"):        12, // IPv4-compatible, deprecated
	}
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// policy says which addresses may be dialed.
type policy struct {
	loopback, noPrivate bool
	blocked             []netip.Prefix
}

// dialer connects only where the policy lets it. The check comes after the name was resolved and right before the
// connection, so neither a redirect, nor a second answer of DNS, nor another spelling of an address gets around it.
func (p policy) dialer(resolver *net.Resolver) *net.Dialer {
	return &net.Dialer{
		Timeout: dialTimeout, Resolver: resolver,
		Control: func(_, address string, _ syscall.RawConn) error {
			target, err := netip.ParseAddrPort(address)
			if err != nil {
				return newError(Blocked, "leads to something that is no IP address")
			}
			return p.check(target.Addr())
		},
	}
}

// check refuses an address with an error that names its class only: which address a name has inside the cluster is
// nobody's business outside.
func (p policy) check(address netip.Addr) error {
	class := p.refused(address.Unmap().WithZone(""))
	switch class {
	case "":
		return nil
	case "private":
		return newError(Blocked, "leads to a private address, and this installation fetches modules from public addresses only")
	default:
		return newError(Blocked, "leads to an address that modules are not fetched from (%s)", class)
	}
}

// refused is the class for which an address is refused, "" if it isn't.
func (p policy) refused(address netip.Addr) string {
	if class := p.ownClass(address); class != "" || !address.Is6() {
		return class
	}
	for prefix, offset := range embedding {
		if !prefix.Contains(address) || address.IsLoopback() {
			continue
		}
		bytes := address.As16()
		inner := netip.AddrFrom4([4]byte(bytes[offset : offset+4]))
		if class := p.ownClass(inner); class != "" {
			return class
		}
	}
	return ""
}

// ownClass leaves aside what an address may embed.
func (p policy) ownClass(address netip.Addr) string {
	switch {
	case address.IsLoopback():
		if p.loopback && !within(p.blocked, address) {
			return ""
		}
		return "loopback"
	case within(p.blocked, address):
		return "blocked by this installation"
	case p.noPrivate && (address.IsPrivate() || within(internal, address)):
		return "private"
	default:
		return neverClass(address)
	}
}

// neverClass is the class of an address that no option admits.
func neverClass(address netip.Addr) string {
	switch {
	case address.IsUnspecified() || thisNetwork.Contains(address):
		return "unspecified"
	case address.IsLinkLocalUnicast():
		return "link-local"
	case address.IsMulticast() || address == broadcast:
		return "multicast"
	case within(metadataServices, address):
		return "metadata service"
	default:
		return ""
	}
}

func within(list []netip.Prefix, address netip.Addr) bool {
	for _, prefix := range list {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}
