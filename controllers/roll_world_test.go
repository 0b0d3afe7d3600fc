// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

const gateway = "gw.shop"

// fakeProxies say what they are told to.
type fakeProxies struct {
	matching       []string
	known, refused bool
	early          bool
	unread         []string
	onTrial, inUse proxies.Report
	onCanary       proxies.Report
	counted        map[string]proxies.Counts
	// uncounted says that the canary proxies were not asked yet.
	uncounted       bool
	followed        map[proxies.Key]translate.Expectation
	forgottenTrials int
	moved           []proxies.Key
}

func (f *fakeProxies) Follow(key proxies.Key, expectation translate.Expectation) proxies.Report {
	f.followed[key] = expectation
	switch {
	case key.Trial:
		return f.onTrial
	case key.Canary:
		return f.onCanary
	}
	return f.inUse
}

func (f *fakeProxies) Forget(key proxies.Key) {
	delete(f.followed, key)
	if key.Trial {
		f.forgottenTrials++
	}
}

func (f *fakeProxies) Matching(types.NamespacedName, translate.Reach) ([]string, bool) {
	return f.matching, f.known
}

func (f *fakeProxies) Counted(proxies.Key) (map[string]proxies.Counts, bool) {
	return f.counted, !f.uncounted
}

func (f *fakeProxies) Unread() []string { return f.unread }

func (f *fakeProxies) Early() bool { return f.early }

func (f *fakeProxies) Moved(key proxies.Key, _ time.Time) { f.moved = append(f.moved, key) }

func (f *fakeProxies) Refused() bool { return f.refused }

// follows says whether the plugin, or its trial, is followed.
func (f *fakeProxies) follows(trial bool) bool {
	_, followed := f.followed[proxies.Key{NamespacedName: (*world)(nil).key(), Trial: trial}]
	return followed
}

var (
	pending  = proxies.Report{Matched: 1, Waiting: []string{gateway}, Age: time.Minute, Waited: time.Minute}
	accepted = proxies.Report{Matched: 1, Programmed: 1, Age: time.Minute}
	rejected = proxies.Report{Matched: 1, Rejections: []proxies.Rejection{{Proxy: gateway, Message: "no credentials"}}, Age: time.Minute}
)

// rolledWorld is a world whose changes come into force by what one gateway says.
type rolledWorld struct {
	*world
	proxies *fakeProxies
}

func newRolledWorld(t *testing.T) *rolledWorld {
	t.Helper()
	w := &rolledWorld{world: newWorld(t), proxies: &fakeProxies{
		matching: []string{gateway}, known: true, onTrial: pending, inUse: pending, followed: map[proxies.Key]translate.Expectation{},
	}}
	inner, ok := w.reconciler.Client.(client.WithWatch)
	if !ok {
		t.Fatalf("the client is a %T", w.reconciler.Client)
	}
	w.reconciler.Client = interceptor.NewClient(inner, interceptor.Funcs{Delete: w.remove})
	live, ok := w.reconciler.Live.(client.WithWatch)
	if !ok {
		t.Fatalf("reads live by a %T", w.reconciler.Live)
	}
	w.reconciler.Live = interceptor.NewClient(live, interceptor.Funcs{Get: w.getWhole})
	w.reconciler.Options.ObserveProxies = true
	w.restart()
	return w
}

// restart forgets what the operator holds in memory, also of the proxies.
func (w *rolledWorld) restart() {
	w.world.restart()
	w.reconciler.Rollouts = &Rollouts{Proxies: w.proxies}
	clear(w.proxies.followed)
}

// getWhole reads an EnvoyFilter with its spec, and all else as the world does.
func (w *rolledWorld) getWhole(ctx context.Context, inner client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	into, whole := object.(*unstructured.Unstructured)
	standing := w.children[key.Name]
	if !whole || standing == nil {
		return inner.Get(ctx, key, object, options...)
	}
	into.SetName(standing.Name)
	into.SetNamespace(standing.Namespace)
	into.SetUID(standing.UID)
	into.SetResourceVersion(standing.ResourceVersion)
	into.Object["spec"] = w.specs[key.Name]
	return nil
}

// remove deletes what was seen, and nothing newer.
func (w *rolledWorld) remove(_ context.Context, _ client.WithWatch, object client.Object, options ...client.DeleteOption) error {
	var asked client.DeleteOptions
	asked.ApplyOptions(options)
	standing := w.children[object.GetName()]
	if standing == nil {
		w.t.Fatalf("deletes %s, which isn't there", object.GetName())
	}
	if asked.Preconditions == nil || asked.Preconditions.UID == nil || *asked.Preconditions.UID != standing.UID ||
		asked.Preconditions.ResourceVersion == nil || *asked.Preconditions.ResourceVersion != standing.ResourceVersion {
		w.t.Errorf("deletes %s with preconditions %v", object.GetName(), asked.Preconditions)
	}
	w.writes = append(w.writes, "delete "+object.GetName())
	w.drop(object.GetName())
	return nil
}

// drop is somebody's deletion.
func (w *rolledWorld) drop(names ...string) {
	for _, name := range names {
		delete(w.children, name)
		delete(w.specs, name)
	}
}

// step reconciles, and expects these writes to EnvoyFilters.
func (w *rolledWorld) step(what string, want ...string) {
	w.t.Helper()
	w.writes = nil
	w.mustReconcile()
	got := slices.DeleteFunc(slices.Clone(w.writes), func(write string) bool { return write == "status" })
	if !slices.Equal(got, want) {
		w.t.Fatalf("%s: writes %q, want %q", what, got, want)
	}
}

// quiet expects that nothing at all is written any more.
func (w *rolledWorld) quiet(what string) {
	w.t.Helper()
	w.step(what)
	w.writes = nil
	w.mustReconcile()
	if len(w.writes) > 0 {
		w.t.Errorf("%s: writes %q once more", what, w.writes)
	}
}

// programmed expects a condition, and how far status.proxies is.
func (w *rolledWorld) programmed(what, reason, summary string) {
	w.t.Helper()
	condition := w.condition(wasmv1alpha1.ConditionProgrammed)
	if condition.Reason != reason || w.status.Proxies.Summary != summary {
		w.t.Errorf("%s: Programmed %s %s: %s; %q", what, condition.Status, condition.Reason, condition.Message, w.status.Proxies.Summary)
	}
}

// inForce brings the plugin as it is into force, by a trial.
func (w *rolledWorld) inForce() {
	w.t.Helper()
	w.step("new", trialPair...)
	w.proxies.onTrial = accepted
	w.step("accepted", stablePair...)
	w.proxies.inUse = accepted
	w.step("in use", trialGone...)
	w.quiet("done")
	w.proxies.onTrial, w.proxies.forgottenTrials = pending, 0
}

// change asks for other content.
func (w *rolledWorld) change() {
	w.plugin.Spec.Rules.Raw = []byte(`{"basic_auth_rules":[{"credentials":["another:one"]}]}`)
	w.plugin.Generation++
	w.plugin.ResourceVersion = w.nextVersion()
}

// offThoughRefused has a change refused, and then the plugin switched off.
func (w *rolledWorld) offThoughRefused() {
	w.t.Helper()
	w.change()
	w.step("changed", trialPair...)
	w.proxies.onTrial = rejected
	w.step("refused", "delete auth-filter-trial", "EnvoyFilter auth-config-trial")
	w.plugin.Spec.Activation.Mode = wasmv1alpha1.ActivationOff
	w.plugin.Generation++
	w.step("off", "EnvoyFilter auth-filter")
}

var (
	trialPair  = []string{"EnvoyFilter auth-config-trial", "EnvoyFilter auth-filter-trial"}
	stablePair = []string{"EnvoyFilter auth-config", "EnvoyFilter auth-filter"}
	trialGone  = []string{"delete auth-filter-trial", "delete auth-config-trial"}
)
