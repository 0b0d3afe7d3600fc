// SPDX-License-Identifier: Apache-2.0

// Package module turns a reference into verified bytes: it fetches a module from an image registry or a web server,
// bounded in bytes, time and in the addresses that it may come from, checks its digest and that Envoy can load it.
package module

import (
	"context"
	"net/http"
	"sync"
)

// Facts are what is known of a module once it was fetched.
type Facts struct {
	// Digest is the SHA-256 of the module's bytes, sha256:….
	Digest string
	// ManifestDigest is that of the image's manifest, of the one for linux/amd64 if the image has several; "" for http(s).
	ManifestDigest string
	// ResolvedDigest is what the image's name led to: ManifestDigest, or the digest of the index that lists it. It is what
	// Resolve returns and Reference.At takes.
	ResolvedDigest string
	// Size is the module's, in bytes.
	Size int64
	// ABI is the version of proxy-wasm that the module was built for, such as 0.2.1.
	ABI string
	// Source says where the module came from, with the digest that leads to the very same: of the manifest for an image,
	// of the module for http(s). It has no query.
	Source string
}

// Module is a module that has passed all checks.
type Module struct {
	Facts

	// Content is the module's bytes, until Release.
	Content []byte

	release func()
}

// Release lets the content go, and gives its memory back to others. It may be called once more, and on nil.
func (m *Module) Release() {
	if m == nil {
		return
	}
	if m.Content = nil; m.release != nil {
		m.release()
	}
}

// Fetcher fetches modules. It may be used by many at once; it keeps connections, and neither modules nor credentials.
type Fetcher struct {
	options         Options
	strict, lenient *http.Transport
	memory          *Memory

	mutex sync.Mutex
	hosts map[string]int
}

// New makes a Fetcher.
func New(options Options) *Fetcher {
	options = options.withDefaults()
	return &Fetcher{
		options: options, hosts: map[string]int{}, memory: NewMemory(options.Limits),
		strict: newTransport(options, false), lenient: newTransport(options, true),
	}
}

// Memory is what fetched modules take, for what else reads modules.
func (f *Fetcher) Memory() *Memory { return f.memory }

// Close gives idle connections back.
func (f *Fetcher) Close() {
	f.strict.CloseIdleConnections()
	f.lenient.CloseIdleConnections()
}

// Fetch gets a module and checks it. pullSecret is the content of a Secret of type kubernetes.io/dockerconfigjson, nil for
// none; http(s) references don't use it. The module takes memory until its Release. Every error but that of a context that
// was cancelled is an *Error.
func (f *Fetcher) Fetch(ctx context.Context, ref Reference, pullSecret []byte) (module *Module, err error) {
	var held *Module
	defer func() { held.Release() }()
	err = f.within(ctx, ref, func(ctx context.Context) error {
		read, err := f.memory.collect(ref.namespace, func(content *buffer) (Facts, error) { return f.read(ctx, ref, pullSecret, content) })
		if err != nil {
			return err
		}
		held = read
		held.ABI, err = Inspect(held.Content)
		return err
	})
	if err != nil {
		return nil, err
	}
	module, held = held, nil
	return module, nil
}

func (f *Fetcher) read(ctx context.Context, ref Reference, pullSecret []byte, content *buffer) (Facts, error) {
	if !ref.OCI() {
		return f.readAddress(ctx, ref, content)
	}
	session, err := f.login(ctx, ref, pullSecret)
	if err != nil {
		return Facts{}, err
	}
	return session.readImage(ctx, ref, content)
}

// Resolve asks a registry which digest a tag has now (sha256:…), and reads neither the manifest nor a layer. For an image by
// digest it asks nobody. The answer is the registry's word, and Fetch of Reference.At(digest) checks it.
func (f *Fetcher) Resolve(ctx context.Context, ref Reference, pullSecret []byte) (string, error) {
	if ref.tag == "" {
		if ref.digest == "" {
			return "", about(ref, newError(Unsupported, "only an image's tag can be resolved without fetching the module"))
		}
		return ref.digest, nil
	}
	var digest string
	err := f.within(ctx, ref, func(ctx context.Context) error {
		session, err := f.login(ctx, ref, pullSecret)
		if err == nil {
			digest, err = session.resolve(ctx, ref.tag)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return digest, nil
}

// within runs a fetch in its time, with a place among those of its host.
func (f *Fetcher) within(ctx context.Context, ref Reference, fetch func(context.Context) error) error {
	if !f.enter(ref.host()) {
		busy := newError(Busy, "%d modules are being fetched from this host already; this one waits its turn", f.options.PerHost)
		busy.RetryAfter = busyRetry
		return about(ref, busy)
	}
	defer f.leave(ref.host())
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	err := fetch(ctx)
	if ctx.Err() != nil {
		// Whatever came of it: a server that is told to stop may end its answer as if that were all.
		err = ofNetwork(ctx.Err())
	}
	if err != nil {
		return about(ref, err)
	}
	return nil
}

// enter takes a place rather than waiting for one: whoever waits keeps a worker from modules of other hosts.
func (f *Fetcher) enter(host string) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.hosts[host] >= f.options.PerHost {
		return false
	}
	f.hosts[host]++
	return true
}

func (f *Fetcher) leave(host string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.hosts[host]--; f.hosts[host] == 0 {
		delete(f.hosts, host)
	}
}
