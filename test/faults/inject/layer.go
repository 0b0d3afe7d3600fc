// SPDX-License-Identifier: Apache-2.0

// Package inject makes the faults of an API server, and of the way to it, as they reach an operator: each is a
// chain.Intercept of the proxy between both. A Layer puts them in place, counts them, and remembers what was written.
package inject

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// Layer is what an operator's requests go through.
type Layer struct {
	proxy    *chain.CountingProxy
	injected atomic.Int64

	mu     sync.Mutex
	faults []chain.Intercept
	writes []Write
}

// Write is a request of an operator that changes an object of the spec's, whatever became of it.
type Write struct {
	Method string
	Target
	// UID is that of the object that is meant; empty for one that is made. Owner is the uid in its owner reference.
	UID, Owner string
	// Status is what the operator was answered, 0 for nothing. Injected says that a fault stood in the way.
	Status   int
	Injected bool
}

// New puts a layer without faults into a proxy.
func New(proxy *chain.CountingProxy) *Layer {
	l := &Layer{proxy: proxy}
	proxy.Intercept(l.serve)
	return l
}

// Set replaces all faults. The first one that takes a request keeps it.
func (l *Layer) Set(faults ...chain.Intercept) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = faults
}

// Add adds a fault before the others, and returns what takes it out.
func (l *Layer) Add(fault chain.Intercept) (remove func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := &fault
	l.faults = slices.Insert(l.faults, 0, func(w http.ResponseWriter, r *http.Request) bool {
		l.mu.Lock()
		current := entry
		l.mu.Unlock()
		return current != nil && (*current)(w, r)
	})
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		entry = nil
	}
}

// Injected is how many requests met a fault.
func (l *Layer) Injected() int { return int(l.injected.Load()) }

// Writes are those to objects of a namespace, in their order.
func (l *Layer) Writes(namespace string) []Write {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Write
	for _, write := range l.writes {
		if write.Namespace == namespace {
			found = append(found, write)
		}
	}
	return found
}

func (l *Layer) serve(w http.ResponseWriter, r *http.Request) bool {
	l.mu.Lock()
	faults := slices.Clone(l.faults)
	l.mu.Unlock()
	answer := &answer{ResponseWriter: w}
	done := l.record(r, answer)
	for _, fault := range faults {
		if fault(answer, r) {
			l.injected.Add(1)
			done(true)
			return true
		}
	}
	defer done(false)
	l.proxy.Forward(answer, r)
	return true
}

// record remembers a write. What it returns is called with how it ended.
func (l *Layer) record(r *http.Request, answer *answer) func(injected bool) {
	if !IsWrite(r) {
		return func(bool) {}
	}
	write := Write{Method: r.Method, Target: TargetOf(r)}
	write.UID, write.Owner = identities(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	at := len(l.writes)
	l.writes = append(l.writes, write)
	return func(injected bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.writes[at].Status, l.writes[at].Injected = answer.status, injected
	}
}

// identities reads of which object, and of which owner, a body is. It leaves the body to be read again.
func identities(r *http.Request) (uid, owner string) {
	content, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(content))
	if err != nil {
		return "", ""
	}
	var body struct {
		Metadata struct {
			UID             string `json:"uid"`
			OwnerReferences []struct {
				UID string `json:"uid"`
			} `json:"ownerReferences"`
		} `json:"metadata"`
		Preconditions struct {
			UID string `json:"uid"`
		} `json:"preconditions"`
	}
	if json.Unmarshal(content, &body) != nil {
		return "", "" // a JSON patch is a list
	}
	if len(body.Metadata.OwnerReferences) > 0 {
		owner = body.Metadata.OwnerReferences[0].UID
	}
	return body.Metadata.UID + body.Preconditions.UID, owner
}

// answer notes the status that an operator is answered.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the first one.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write makes an answer an io.Writer.
func (a *answer) Write(content []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(content)
}

// Unwrap lets an http.ResponseController flush and hijack.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
