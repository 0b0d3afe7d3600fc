// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"net/http"
	"strings"
	"sync"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// Match picks requests.
type Match func(*http.Request) bool

// Target is what a request is about.
type Target struct {
	Namespace, Resource, Name, Subresource string
}

// TargetOf reads the path of a request for a resource of a group.
func TargetOf(r *http.Request) Target {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/apis/"), "/")
	var t Target
	if len(parts) < 3 || !strings.HasPrefix(r.URL.Path, "/apis/") {
		return t
	}
	parts = parts[2:]
	if parts[0] == "namespaces" && len(parts) > 2 {
		t.Namespace, parts = parts[1], parts[2:]
	}
	fields := []*string{&t.Resource, &t.Name, &t.Subresource}
	for i := range min(len(parts), len(fields)) {
		*fields[i] = parts[i]
	}
	return t
}

// The resources that an operator reads and writes.
const (
	EnvoyFilters = "envoyfilters"
	WasmPlugins  = "wasmplugins"
)

// IsWrite says whether a request changes an object of a spec's: neither an event nor the lease.
func IsWrite(r *http.Request) bool {
	resource := TargetOf(r).Resource
	return r.Method != http.MethodGet && (resource == EnvoyFilters || resource == WasmPlugins)
}

// WritesOf matches the writes to objects of a namespace.
func WritesOf(namespace string) Match {
	return func(r *http.Request) bool { return IsWrite(r) && TargetOf(r).Namespace == namespace }
}

// IsWatch says whether a request is a watch of a resource; "" is any of both.
func IsWatch(resource string) Match {
	return func(r *http.Request) bool {
		found := TargetOf(r).Resource
		wanted := found == resource || (resource == "" && (found == EnvoyFilters || found == WasmPlugins))
		return wanted && r.Method == http.MethodGet && r.URL.Query().Get("watch") != ""
	}
}

// IsRead matches the reads of single objects, with their specs.
func IsRead(r *http.Request) bool {
	t := TargetOf(r)
	return r.Method == http.MethodGet && t.Name != "" && (t.Resource == EnvoyFilters || t.Resource == WasmPlugins)
}

// IsChildWrite matches the writes of EnvoyFilters that leave something behind.
func IsChildWrite(r *http.Request) bool {
	return IsWrite(r) && TargetOf(r).Resource == EnvoyFilters && r.Method != http.MethodDelete
}

// IsDelete matches the deletions of EnvoyFilters.
func IsDelete(r *http.Request) bool { return r.Method == http.MethodDelete && IsWrite(r) }

// IsStatusWrite matches the writes of a plugin's status.
func IsStatusWrite(r *http.Request) bool {
	return IsWrite(r) && TargetOf(r).Subresource == "status"
}

// About narrows a match to a plugin, its EnvoyFilters among it, of a namespace.
func About(match Match, namespace, plugin string) Match {
	return func(r *http.Request) bool {
		t := TargetOf(r)
		return t.Namespace == namespace && (t.Name == plugin || strings.HasPrefix(t.Name, plugin+"-config") ||
			strings.HasPrefix(t.Name, plugin+"-filter")) && match(r)
	}
}

// First lets a fault happen to the first n requests that match.
func First(n int, match Match, fault chain.Intercept) chain.Intercept {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		hit := n > 0 && match(r)
		if hit {
			n--
		}
		mu.Unlock()
		return hit && fault(w, r)
	}
}

// Where lets a fault happen to every request that matches.
func Where(match Match, fault chain.Intercept) chain.Intercept {
	return func(w http.ResponseWriter, r *http.Request) bool { return match(r) && fault(w, r) }
}
