// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// peersOf are replicas that a test makes known.
type peersOf struct {
	mutex     sync.Mutex
	addresses []string
	asked     atomic.Int64
}

func (p *peersOf) find(context.Context) ([]string, error) {
	p.asked.Add(1)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.addresses, nil
}

func (p *peersOf) are(replicas ...*replica) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.addresses = nil
	for _, r := range replicas {
		p.addresses = append(p.addresses, r.uploads)
	}
}

// pair are two replicas with a folder each.
func pair(t *testing.T) (one, two *replica) {
	t.Helper()
	ofOne, ofTwo := &peersOf{}, &peersOf{}
	one = start(t, func(o *Options) { o.Peers = ofOne.find })
	two = start(t, func(o *Options) { o.Peers = ofTwo.find })
	one.awaitReady(t)
	two.awaitReady(t)
	ofOne.are(two)
	ofTwo.are(one)
	return one, two
}

func (r *replica) serves(t *testing.T, content []byte, capability string) int {
	t.Helper()
	status, _, body := fetch(t, http.MethodGet, r.modules+store.Path(digestOf(content), capability), nil)
	if status == http.StatusOK && !bytes.Equal(body, content) {
		t.Errorf("%d bytes, want %d", len(body), len(content))
	}
	return status
}

// The replica was away when the module came, and is asked for it by many proxies at once.
func TestPeerFetchesOnce(t *testing.T) {
	one, two := pair(t)
	content, capability := plugin(strings.Repeat("a", 1<<20)), store.NewCapability()
	for _, of := range []string{"", capability} {
		ref := store.Reference{Digest: digestOf(content), Capability: of}
		if _, err := one.storage.put(t.Context(), moduleKey(ref), hexOf(ref.Digest), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for _, of := range []string{"", capability} {
				if status := two.serves(t, content, of); status != http.StatusOK {
					t.Errorf("status %d", status)
				}
			}
		})
	}
	group.Wait()
	if fetched := testutil.ToFloat64(one.metrics.requests.WithLabelValues(kindFetch, "200")); fetched != 2 {
		t.Errorf("20 proxies made the replica fetch %v modules, want 2", fetched)
	}
}

// The manager brings a module to one replica, and both have it.
func TestPeerHasIt(t *testing.T) {
	one, two := pair(t)
	content, capability := plugin(strings.Repeat("a", 1<<20)), store.NewCapability()
	for _, of := range []string{"", capability} {
		if err := one.client(t).Put(t.Context(), digestOf(content), of, content); err != nil {
			t.Fatal(err)
		}
	}
	if fetched := testutil.ToFloat64(one.metrics.requests.WithLabelValues(kindFetch, "200")); fetched != 2 {
		t.Errorf("the replica fetched %v modules, want 2", fetched)
	}
	// It is there before the manager writes a pair, and the manager's reads find it too.
	one.stop()
	if status := two.serves(t, content, capability); status != http.StatusOK {
		t.Errorf("without the other: status %d", status)
	}
	if _, err := two.client(t).Get(t.Context(), digestOf(content), ""); err != nil {
		t.Error(err)
	}
}

func TestNobodyHasIt(t *testing.T) {
	one, two := pair(t)
	if status := one.serves(t, plugin("a"), ""); status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
	// Each asked the other, and not the other way round again.
	if asked := testutil.ToFloat64(two.metrics.requests.WithLabelValues(kindFetch, "404")); asked != 1 {
		t.Errorf("the peer was asked %v times", asked)
	}
	two.stop()
	// Now it can't be known: the proxy's agent tries again.
	status, header, _ := fetch(t, http.MethodGet, one.modules+store.Path(digestOf(plugin("a")), ""), nil)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("without the peer: status %d", status)
	}
}

// A replica that starts with an empty disk is ready when it has all that is in use.
func TestLostDisk(t *testing.T) {
	var set []store.Reference
	one := start(t, nil)
	for i := range 20 {
		content := plugin(fmt.Sprint(i))
		ref := store.Reference{Digest: digestOf(content)}
		if i%2 == 1 {
			ref.Capability = store.NewCapability()
		}
		if err := one.client(t).Put(t.Context(), ref.Digest, ref.Capability, content); err != nil {
			t.Fatal(err)
		}
		set = append(set, ref)
	}
	if _, err := one.client(t).References(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	known := &peersOf{}
	known.are(one)
	two := start(t, func(o *Options) { o.Peers = known.find })
	two.awaitReady(t)
	one.stop()
	for _, ref := range set {
		if status, _, _ := fetch(t, http.MethodGet, two.modules+ref.Path(), nil); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	if held := testutil.ToFloat64(two.metrics.ready); held != 1 {
		t.Errorf("ready is %v", held)
	}
	// What is stored must be what the name says, also here.
	path := filepath.Join(two.folder, moduleKey(set[0]))
	if content, err := os.ReadFile(path); err != nil || digestOf(content) != set[0].Digest {
		t.Errorf("%v", err)
	}
}

// What no replica has is missing for the manager, who brings it. What a peer has is not.
func TestMissing(t *testing.T) {
	one, two := pair(t)
	atPeer, nowhere := plugin("1"), plugin("2")
	if err := two.client(t).Put(t.Context(), digestOf(atPeer), "", atPeer); err != nil {
		t.Fatal(err)
	}
	missing, err := one.client(t).References(t.Context(), []store.Reference{{Digest: digestOf(atPeer)}, {Digest: digestOf(nowhere)}})
	if err != nil || len(missing) != 1 || missing[0].Digest != digestOf(nowhere) {
		t.Fatalf("missing %v, %v", missing, err)
	}
	if count := testutil.ToFloat64(one.metrics.missing); count != 1 {
		t.Errorf("missing_modules is %v", count)
	}
	if log := one.logs.String(); !strings.Contains(log, digestOf(nowhere)) {
		t.Errorf("the log doesn't say what is missing: %s", log)
	}
	// The other learns of it in the next round, and fetches what is brought to the first.
	if err := one.client(t).Put(t.Context(), digestOf(nowhere), "", nowhere); err != nil {
		t.Fatal(err)
	}
	two.keepUp(t.Context())
	one.stop()
	for _, content := range [][]byte{atPeer, nowhere} {
		if status := two.serves(t, content, ""); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
}

// A peer that lies, or whose disk does, can't bring a wrong module under a digest.
func TestPeerWithWrongContent(t *testing.T) {
	one, two := pair(t)
	content := plugin("a")
	path := filepath.Join(one.folder, moduleKey(store.Reference{Digest: digestOf(content)}))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, plugin("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	// As if it had been hashed, and was damaged then.
	found, err := one.storage.stat(t.Context(), moduleKey(store.Reference{Digest: digestOf(content)}))
	if err != nil {
		t.Fatal(err)
	}
	one.storage.verified.Store(moduleKey(store.Reference{Digest: digestOf(content)}), found)
	if status := two.serves(t, content, ""); status != http.StatusServiceUnavailable {
		t.Errorf("status %d", status)
	}
	if stored, err := two.storage.list(t.Context(), ""); err != nil || len(stored) != 0 {
		t.Errorf("it is kept: %v, %v", stored, err)
	}
}

// Peers that don't answer hold up a start for a bounded time only.
func TestStartWithoutAnswer(t *testing.T) {
	listener := listen(t)
	listener.Close()
	known := &peersOf{}
	known.addresses = []string{listener.Addr().String()}
	r := start(t, func(o *Options) { o.Peers = known.find })
	r.awaitReady(t)
	if asked := known.asked.Load(); asked != startAttempts {
		t.Errorf("asked %d times, want %d", asked, startAttempts)
	}
	if !strings.Contains(r.logs.String(), "Not everything could be had from the other replicas") {
		t.Error("the log doesn't say it")
	}
}

func TestServicePeers(t *testing.T) {
	find, host, err := ServicePeers("localhost:8443")
	if err != nil || host != "localhost" {
		t.Fatal(host, err)
	}
	if others, err := find(t.Context()); err != nil || len(others) != 0 {
		t.Errorf("this machine is not its own peer: %v, %v", others, err)
	}
	find, _, err = ServicePeers("192.0.2.7:8443")
	if err != nil {
		t.Fatal(err)
	}
	if others, err := find(t.Context()); err != nil || len(others) != 1 || others[0] != net.JoinHostPort("192.0.2.7", "8443") {
		t.Errorf("%v, %v", others, err)
	}
	// A list is taken as it is, and each is known by its own address.
	find, host, err = ServicePeers("127.0.0.1:8443,[::1]:8444")
	if err != nil || host != "" {
		t.Fatal(host, err)
	}
	if listed, err := find(t.Context()); err != nil || !slices.Equal(listed, []string{"127.0.0.1:8443", "[::1]:8444"}) {
		t.Errorf("%v, %v", listed, err)
	}
	for _, address := range []string{"", "store", ":8443", "store:", "127.0.0.1:8443,store:8443", "127.0.0.1:8443,"} {
		if _, _, err := ServicePeers(address); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}
