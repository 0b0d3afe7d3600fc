// SPDX-License-Identifier: Apache-2.0

package module

import (
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20

	// maxModule is what Istio's agent accepts by default.
	maxModule = 256 * mib
)

// Options say from where modules may come. The zero value is safe: no loopback, no plain-HTTP registry, no proxy.
type Options struct {
	// Timeout bounds one fetch, from its first request to its last byte. Default: 2 minutes.
	Timeout time.Duration
	// PerHost bounds the fetches from one host at the same time; a further one gets Busy. Default: 8.
	PerHost int
	// BlockPrivate refuses private addresses, where registries inside the cluster live.
	BlockPrivate bool
	// AllowLoopback admits the loopback addresses, for tests and for a registry beside the operator.
	AllowLoopback bool
	// Blocked are further addresses that nothing is fetched from, such as the API server's and the operator's own.
	Blocked []netip.Prefix
	// Insecure are registries and servers, as host or host:port, whose certificates are not verified. Such a registry
	// may also speak plain HTTP.
	Insecure []string
	// RootCAs replaces the system's certificate authorities; see CertPool.
	RootCAs *x509.CertPool
	// ProxyFromEnvironment goes through the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name. The addresses that a
	// proxy leads to are for the proxy to check; here only its own is.
	ProxyFromEnvironment bool
	// Resolver looks up names. Default: the system's.
	Resolver *net.Resolver
	// Limits bound what is read.
	Limits Limits
}

// Limits bound what a server can make the operator read and keep. A zero takes its default.
type Limits struct {
	// Compressed bounds the bytes of a download. Default: 256 MiB.
	Compressed int64
	// Module bounds the module's bytes, and so what an archive may unpack to. Default: 256 MiB, as Istio's agent.
	Module int64
	// Ratio bounds how many times larger an archive may become, beyond the first 16 MiB. Default: 200.
	Ratio int64
	// Manifest bounds a manifest's bytes. Default: 4 MiB.
	Manifest int64
	// Layers bounds the layers of an image and the manifests of an index. Default: 128.
	Layers int
	// Entries bounds the files of an archive. Default: 1000.
	Entries int
	// InFlight bounds the memory of all modules that are held, and half of it those of one namespace; a fetch that needs
	// more gets Busy. A module needs twice its size for a moment. Default: 1 GiB, and never less than one module needs.
	InFlight int64
}

func (o Options) withDefaults() Options {
	o.Timeout = orDefault(o.Timeout, 2*time.Minute)
	o.PerHost = orDefault(o.PerHost, 8)
	o.Limits = o.Limits.withDefaults()
	return o
}

func (l Limits) withDefaults() Limits {
	l.Compressed = orDefault(l.Compressed, maxModule)
	l.Module = orDefault(l.Module, maxModule)
	l.Ratio = orDefault(l.Ratio, 200)
	l.Manifest = orDefault(l.Manifest, 4*mib)
	l.Layers = orDefault(l.Layers, 128)
	l.Entries = orDefault(l.Entries, 1000)
	l.InFlight = max(orDefault(l.InFlight, 1024*mib), 2*l.Module+2*chunkSize)
	return l
}

func orDefault[T int | int64 | time.Duration](value, fallback T) T {
	if value > 0 {
		return value
	}
	return fallback
}

// CertPool is the system's certificate authorities and those of a PEM file beside them.
func CertPool(pem []byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		// An image without certificates of its own: what the file brings is then all there is.
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("the CA file holds no certificate; give one or more certificates in PEM form")
	}
	return pool, nil
}
