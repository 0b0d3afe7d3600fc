// SPDX-License-Identifier: Apache-2.0

package story

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// replica answers with its name, and is ready as long as it is said to be.
type replica struct {
	*httptest.Server
	ready atomic.Bool
}

func startTestReplica(t *testing.T, name string) *replica {
	t.Helper()
	r := &replica{}
	r.ready.Store(true)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/readyz" && !r.ready.Load() {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(name))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *replica) endpoint() endpoint {
	address := strings.TrimPrefix(r.URL, "http://")
	return endpoint{address, address}
}

func TestServiceLeadsToPods(t *testing.T) {
	one, two := startTestReplica(t, "one"), startTestReplica(t, "two")
	for name, unready := range map[string]bool{"ready pods only": false, "all pods": true} {
		t.Run(name, func(t *testing.T) {
			s, err := startService(unready)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			}()
			s.setEndpoints([]endpoint{one.endpoint(), two.endpoint()})
			answers := func() map[string]int {
				t.Helper()
				seen := map[string]int{}
				for range 4 {
					answer, err := chain.Probe{URL: "http://" + s.address() + "/"}.Do(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					seen[answer.Body]++
				}
				return seen
			}
			if seen := answers(); seen["one"] != 2 || seen["two"] != 2 {
				t.Errorf("both are ready: %v", seen)
			}
			two.ready.Store(false)
			defer two.ready.Store(true)
			if seen := answers(); (seen["two"] > 0) != unready {
				t.Errorf("two is not ready: %v", seen)
			}
		})
	}
}

func TestServiceWithoutPods(t *testing.T) {
	gone := startTestReplica(t, "gone")
	gone.Close()
	s, err := startService(true)
	if err != nil {
		t.Fatal(err)
	}
	s.setEndpoints([]endpoint{gone.endpoint()})
	if answer, err := (chain.Probe{URL: "http://" + s.address() + "/"}).Do(t.Context()); err == nil {
		t.Errorf("somebody answered %s", answer)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
