// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
)

var errKilled = errors.New("the operator was killed")

// mortalWorld is one whose operator is killed after some writes.
type mortalWorld struct {
	*rolledWorld
	// left is how many writes it lives for.
	left int
}

func newMortalWorld(t *testing.T) *mortalWorld {
	t.Helper()
	w := &mortalWorld{rolledWorld: newCanaryWorld(t), left: -1}
	inner, ok := w.reconciler.Client.(client.WithWatch)
	if !ok {
		t.Fatalf("the client is a %T", w.reconciler.Client)
	}
	w.reconciler.Client = interceptor.NewClient(inner, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			return w.write(func() error { return c.Patch(ctx, object, patch, options...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			return w.write(func() error { return c.Delete(ctx, object, options...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, name string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			return w.write(func() error { return c.SubResource(name).Patch(ctx, object, patch, options...) })
		},
	})
	return w
}

func (w *mortalWorld) write(do func() error) error {
	if w.left == 0 {
		return errKilled
	}
	w.left--
	err := do()
	w.mustDeliver()
	return err
}

var discovered = regexp.MustCompile(`"name":"(wasm\.solarmesh\.io/[^"]+)"`)

// mustDeliver: whatever was written last, what a filter names is delivered.
func (w *mortalWorld) mustDeliver() {
	w.t.Helper()
	for _, end := range []string{"", "-trial", "-canary"} {
		filter, config := w.text("auth-filter"+end), w.text("auth-config"+end)
		for _, name := range discovered.FindAllStringSubmatch(filter, -1) {
			listener := strings.HasSuffix(name[1], "~gateway")
			replaced := end == "-canary" && !strings.Contains(name[1], "~canary~")
			if !listener && !replaced && !strings.Contains(config, `"name":"`+name[1]+`"`) {
				w.t.Errorf("auth-filter%s names %s, which auth-config%s doesn't deliver", end, name[1], end)
			}
		}
	}
}

func (w *mortalWorld) text(name string) string {
	raw, err := json.Marshal(w.specs[name])
	if err != nil {
		w.t.Fatal(err)
	}
	return string(raw)
}

// settle lets the operator work until nothing is written any more, and starts it anew whenever it was killed.
func (w *mortalWorld) settle() (killed bool) {
	w.t.Helper()
	for range 30 {
		w.writes = nil
		if _, err := w.reconcile(); errors.Is(err, errKilled) {
			killed, w.left = true, -1
			w.restart()
			continue
		} else if err != nil {
			w.t.Fatal(err)
		}
		if len(w.writes) == 0 {
			return killed
		}
	}
	w.t.Fatalf("writes %q for ever", w.writes)
	return false
}

// outcome is what stands in the end, without when that was.
func (w *mortalWorld) outcome() string {
	text := fmt.Sprintf("%s %v\n", w.condition(wasmv1alpha1.ConditionReady).Reason, slices.Sorted(maps.Keys(w.children)))
	for _, name := range []string{"auth-config", "auth-filter"} {
		text += w.text(name) + "\n"
	}
	return text
}

// TestKilledAfterEachWrite: the children end as if the operator had lived, and what a filter names is delivered all the time.
func TestKilledAfterEachWrite(t *testing.T) {
	for name, scenario := range map[string]struct {
		change                     func(w *mortalWorld)
		onTrial, onCanary, inUse   proxies.Report
		reason                     string
		fewest                     int
		promoteOnceOn, abortOnceOn bool
	}{
		"a change without a canary": {
			change: func(w *mortalWorld) { w.plugin.Spec.Rollout = wasmv1alpha1.Rollout{} }, onTrial: accepted, inUse: accepted,
			reason: wasmv1alpha1.ReasonProgrammed, fewest: 5,
		},
		"a refused change": {onTrial: rejected, inUse: accepted, reason: wasmv1alpha1.ReasonRejected, fewest: 5},
		"a refused change of a plugin that is switched off": {
			change: func(w *mortalWorld) { w.plugin.Spec.Activation.Mode = wasmv1alpha1.ActivationOff }, onTrial: rejected, inUse: accepted,
			reason: wasmv1alpha1.ReasonRejected, fewest: 6,
		},
		"a change on canary":       {onTrial: accepted, onCanary: accepted, inUse: accepted, reason: wasmv1alpha1.ReasonOnCanary, fewest: 7},
		"a promoted change":        {onTrial: accepted, onCanary: accepted, inUse: accepted, promoteOnceOn: true, reason: wasmv1alpha1.ReasonProgrammed, fewest: 10},
		"a change that is aborted": {onTrial: accepted, onCanary: accepted, inUse: accepted, abortOnceOn: true, reason: wasmv1alpha1.ReasonTakenBack, fewest: 9},
		"other places": {
			change: func(w *mortalWorld) {
				w.plugin.Spec.Overrides = []wasmv1alpha1.Override{{Match: wasmv1alpha1.OverrideMatch{Hosts: []string{"a.example.com"}}, Mode: wasmv1alpha1.OverrideDisable}}
			},
			onTrial: accepted, onCanary: accepted, inUse: accepted, promoteOnceOn: true, reason: wasmv1alpha1.ReasonProgrammed, fewest: 12,
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := func(left int) (string, bool) {
				w := newMortalWorld(t)
				w.change()
				if scenario.change != nil {
					scenario.change(w)
				}
				w.proxies.onTrial, w.proxies.onCanary, w.proxies.inUse = scenario.onTrial, scenario.onCanary, scenario.inUse
				w.left = left
				killed := w.settle()
				if scenario.promoteOnceOn || scenario.abortOnceOn {
					key := wasmv1alpha1.AnnotationPromote
					if scenario.abortOnceOn {
						key = wasmv1alpha1.AnnotationAbort
					}
					w.annotate(key, w.content())
					killed = w.settle() || killed
				}
				if reason := w.condition(wasmv1alpha1.ConditionReady).Reason; reason != scenario.reason {
					t.Errorf("killed after %d writes: Ready %s", left, reason)
				}
				return w.outcome(), killed
			}
			want, _ := run(-1)
			points := 0
			for killed := true; killed; points++ {
				var got string
				if got, killed = run(points); got != want {
					t.Errorf("killed after %d writes, it ends as\n%s, and else as\n%s", points, got, want)
				}
			}
			if points-1 < scenario.fewest {
				t.Errorf("only %d writes", points-1)
			}
		})
	}
}
