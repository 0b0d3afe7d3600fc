// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// changes are all that a plugin can become, with what it takes.
var changes = map[string]struct {
	from, to version
	writes   []wasmv1alpha1.EnvoyFilterRole
	reads    int
}{
	"nothing": {version{generation: 1}, version{generation: 1}, nil, 0},
	"the base rules": {
		version{generation: 1, base: "a", overrides: []string{"x"}}, version{generation: 2, base: "b", overrides: []string{"x"}}, roles(config), 0,
	},
	"an override more": {
		version{generation: 1, overrides: []string{"x"}}, version{generation: 2, overrides: []string{"x", "y"}}, roles(config, filter, config), 1,
	},
	"an override less": {
		version{generation: 1, overrides: []string{"x", "y"}}, version{generation: 2, overrides: []string{"x"}}, roles(config, filter, config), 1,
	},
	"all overrides less": {
		version{generation: 1, overrides: []string{"x", "y"}}, version{generation: 2}, roles(config, filter, config), 1,
	},
	"other rules of an override": {
		version{generation: 1, overrides: []string{"x"}}, version{generation: 2, overrides: []string{"y"}}, roles(config), 0,
	},
	"all rules": {
		version{generation: 1, base: "a", overrides: []string{"x"}}, version{generation: 2, base: "b", overrides: []string{"y"}}, roles(config), 0,
	},
	"rules that change places": {
		version{generation: 1, overrides: []string{"x", "y"}}, version{generation: 2, overrides: []string{"y", "x"}}, roles(config), 0,
	},
	"rules that become equal": {
		version{generation: 1, overrides: []string{"x", "y"}}, version{generation: 2, overrides: []string{"x", "x"}}, roles(config, filter, config), 1,
	},
	"only the generation": {version{generation: 1}, version{generation: 2}, roles(filter), 0},
	"only the versions of sources": {
		version{generation: 1, sources: `{"configMaps":{"a":"1"}}`}, version{generation: 1, sources: `{"configMaps":{"a":"2"}}`}, roles(config), 0,
	},
	"sources of the base rules": {
		version{generation: 1, sources: "1", base: "a"}, version{generation: 1, sources: "2", base: "b"}, roles(config), 0,
	},
	"sources of an override": {
		version{generation: 1, sources: "1", overrides: []string{"x"}},
		version{generation: 1, sources: "2", overrides: []string{"y"}},
		roles(config), 0,
	},
	"sources that part two overrides": {
		version{generation: 1, sources: "1", overrides: []string{"x", "x"}},
		version{generation: 1, sources: "2", overrides: []string{"x", "y"}},
		roles(config, filter, config), 1,
	},
	"a revision": {
		version{generation: 1, overrides: []string{"x"}}, version{generation: 1, overrides: []string{"x"}, revision: "canary"}, roles(config, filter), 0,
	},
	"a revision and an override": {
		version{generation: 1, overrides: []string{"x"}, revision: "stable"}, version{generation: 2, overrides: []string{"x", "y"}}, roles(config, filter, config), 1,
	},
}

func roles(roles ...wasmv1alpha1.EnvoyFilterRole) []wasmv1alpha1.EnvoyFilterRole { return roles }

// standing is a server on which a version stands.
func standing(t *testing.T, v version) *server {
	t.Helper()
	s := newServer(t)
	s.mustBring(v)
	s.writes, s.reads = nil, 0
	return s
}

func TestOrderOfWrites(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s := standing(t, change.from)
			if _, reads := s.mustBring(change.to); !slices.Equal(s.writes, change.writes) || reads != change.reads {
				t.Errorf("writes %v and reads %d, want %v and %d", s.writes, reads, change.writes, change.reads)
			}
		})
	}
}

// TestKilled ends the operator after each write. The next one goes on, with no write more than there would have been, or
// brings another version that came meanwhile, or the one before.
func TestKilled(t *testing.T) {
	for name, change := range changes {
		for k := 1; k < len(change.writes); k++ {
			killed := standing(t, change.from)
			killed.killAfter = k
			if _, _, err := killed.bring(change.to); !errors.Is(err, errKilled) {
				t.Fatalf("%s, %d: %v", name, k, err)
			}
			killed.killAfter = -1
			owner, _ := change.to.pair(t)
			if killed.observed().Complete(owner) {
				t.Errorf("%s: the pair counts as complete after write %d of %d", name, k, len(change.writes))
			}
			t.Run(fmt.Sprintf("%s, after write %d", name, k), func(t *testing.T) {
				s := killed.clone(t)
				if writes, reads := s.mustBring(change.to); writes != len(change.writes)-k || reads > 1 {
					t.Errorf("writes %v and %d reads, want %v", s.writes, reads, change.writes[k:])
				}
			})
			for meanwhile, next := range map[string]version{
				"and taken back":      {change.from.generation + 2, change.from.sources, change.from.overrides, change.from.base, change.from.revision},
				"and changed again":   {change.to.generation + 1, "9", []string{"z"}, "c", ""},
				"and sources as once": {change.to.generation, change.from.sources, change.from.overrides, change.to.base, change.to.revision},
			} {
				t.Run(fmt.Sprintf("%s, after write %d, %s", name, k, meanwhile), func(t *testing.T) {
					s := killed.clone(t)
					if writes, reads := s.mustBring(next); writes > 3 || reads > 1 {
						t.Errorf("writes %v and %d reads", s.writes, reads)
					}
				})
			}
		}
	}
}

// TestCreationKilled: whoever comes after a crash between the first two writes makes the rest.
func TestCreationKilled(t *testing.T) {
	s := newServer(t)
	s.killAfter = 1
	v := version{generation: 1, overrides: []string{"x"}}
	if _, _, err := s.bring(v); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	s.killAfter = -1
	if writes, reads := s.mustBring(v); writes != 1 || reads != 0 {
		t.Errorf("%d writes and %d reads", writes, reads)
	}
}

// TestNamesThatAreNotKnown: where nobody can tell what stands, it is looked at, and kept as long as it may be needed.
func TestNamesThatAreNotKnown(t *testing.T) {
	from, to := version{generation: 1, overrides: []string{"x"}}, version{generation: 2, overrides: []string{"x", "y"}}
	setInstances := func(value string) func(*unstructured.Unstructured) {
		return func(object *unstructured.Unstructured) {
			annotations := object.GetAnnotations()
			annotations[wasmv1alpha1.AnnotationInstances] = value
			object.SetAnnotations(annotations)
		}
	}
	for name, edit := range map[string]func(*unstructured.Unstructured){
		"removed": func(object *unstructured.Unstructured) { object.SetAnnotations(nil) },
		"emptied": setInstances(""),
		"edited":  setInstances("00000000 wasm.solarmesh.io/shop.auth"),
	} {
		t.Run(name, func(t *testing.T) {
			s := standing(t, from)
			s.edit(config, func(object *unstructured.Unstructured) {
				object.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(&metav1.ObjectMeta{Name: "auth", UID: "uid"},
					wasmv1alpha1.SchemeGroupVersion.WithKind("WasmPlugin"))})
				edit(object)
			})
			if writes, reads := s.mustBring(to); writes > 4 || reads != 1 {
				t.Errorf("writes %v and %d reads", s.writes, reads)
			}
			repaired := standing(t, from)
			repaired.edit(config, edit)
			if writes, reads := repaired.mustBring(from); writes > 2 || reads > 0 {
				t.Errorf("only to repair it: writes %v and %d reads", repaired.writes, reads)
			}
		})
	}
}

// TestStandingSpecMoved: what is read must be what was observed.
func TestStandingSpecMoved(t *testing.T) {
	from, to := version{generation: 1, overrides: []string{"x"}}, version{generation: 2, overrides: []string{"x", "y"}}
	for name, move := range map[string]func(*server){
		"changed": func(s *server) { s.edit(config, func(*unstructured.Unstructured) {}) },
		"gone":    func(s *server) { delete(s.objects, config) },
	} {
		t.Run(name, func(t *testing.T) {
			s := standing(t, from)
			observed := s.observed()
			move(s)
			owner, pair := to.pair(t)
			if err := Pair(t.Context(), s.client(), s.client(), owner, pair, observed); !apierrors.IsConflict(err) || len(s.writes) > 0 {
				t.Errorf("writes %v, returns %v", s.writes, err)
			}
		})
	}
}

// TestTooLargeTogether: two halves of which each is small enough may not be so together.
func TestTooLargeTogether(t *testing.T) {
	large := func(text string) []string {
		return []string{strings.Repeat(text, 250_000), strings.Repeat(text+"b", 120_000), strings.Repeat(text+"c", 120_000)}
	}
	s := standing(t, version{generation: 1, overrides: large("x")})
	_, _, err := s.bring(version{generation: 2, overrides: large("y")[:2]})
	if tooLarge := (*TooLargeError)(nil); !errors.As(err, &tooLarge) || len(s.writes) > 0 || !strings.Contains(err.Error(), "in two steps") {
		t.Errorf("writes %v, returns %v", s.writes, err)
	}
	s.mustBring(version{generation: 3})
	s.mustBring(version{generation: 4, overrides: large("y")[:2]})
}

// TestDeleting: a half that a finalizer holds is written as long as it stands, and the other one, too.
func TestDeleting(t *testing.T) {
	for _, role := range roles(config, filter) {
		t.Run(string(role), func(t *testing.T) {
			from, to := version{generation: 1, base: "a"}, version{generation: 2, base: "b", overrides: []string{"x"}}
			s := standing(t, from)
			s.edit(role, func(object *unstructured.Unstructured) {
				object.SetDeletionTimestamp(&metav1.Time{Time: time.Unix(1700000000, 0)})
				object.SetFinalizers([]string{"example.com/keep"})
				object.SetGeneration(object.GetGeneration() + 1)
			})
			for i, v := range []version{from, to, to} {
				s.writes = nil
				owner, pair := v.pair(t)
				err := Pair(t.Context(), s.client(), s.client(), owner, pair, s.observed())
				if deleting := (*DeletingError)(nil); !errors.As(err, &deleting) || !strings.Contains(err.Error(), "example.com/keep") {
					t.Errorf("returns %v", err)
				}
				if s.observed().Complete(owner) {
					t.Error("counts as complete")
				}
				if changed := i == 1; changed != (len(s.writes) > 0) {
					t.Errorf("%d: writes %v", i, s.writes)
				}
			}
			// It is gone, and the operator hears of it.
			delete(s.objects, role)
			s.mustBring(to)
		})
	}
}
