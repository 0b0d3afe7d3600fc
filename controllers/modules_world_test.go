// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
)

const followInterval = 10 * time.Minute

// moduleWorld is a world whose operator resolves modules, by the clock of a bubble. It is server and checker.
type moduleWorld struct {
	*world
	*wakeUps

	// content is what any URL leads to; err is what the server answers instead, after slow.
	content string
	err     error
	slow    time.Duration
	// refuses are words with which the plugin refuses its rules.
	refuses string
	// fetches and looks are how often modules, and tags, were asked for; starts is how often one was tried.
	fetches, looks, starts int
	// credentials are those that came with the last request.
	credentials string
}

func inModuleWorld(t *testing.T, test func(*moduleWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &moduleWorld{world: newWorld(t), content: "one"}
		w.reconciler.Options.ResolveModules = true
		w.plugin.Spec.URL = "oci://registry.example.com/auth:1"
		w.startOver()
		test(w)
		w.sources.stop()
	})
}

// startOver is the operator's restart, with an empty folder.
func (w *moduleWorld) startOver() {
	w.t.Helper()
	w.restart()
	w.wakeUps = newWakeUps()
	modules := &Modules{
		Resolver: resolve.New(resolve.Parts{Fetcher: w, Memory: module.NewMemory(module.Limits{}), Checker: w, Cache: w.cache()}), DryStart: true, Interval: followInterval,
	}
	w.reconciler.Modules = modules
	modules.setUp()
	if err := modules.jobs.start(w.t.Context(), w.wakeUps); err != nil {
		w.t.Fatal(err)
	}
}

// Fetch implements resolve.Fetcher.
func (w *moduleWorld) Fetch(_ context.Context, ref module.Reference, pullSecret []byte) (*module.Module, error) {
	w.fetches++
	w.credentials = string(pullSecret)
	if pass(w.slow); w.err != nil {
		return nil, w.err
	}
	return &module.Module{Content: []byte(w.content), Facts: module.Facts{
		Digest: digestOf(w.content), ManifestDigest: digestOf("image of " + w.content), ResolvedDigest: digestOf("image of " + w.content),
		Size: int64(len(w.content)), ABI: "0.2.1", Source: ref.At(digestOf("image of " + w.content)).String(),
	}}, nil
}

// Resolve implements resolve.Fetcher.
func (w *moduleWorld) Resolve(context.Context, module.Reference, []byte) (string, error) {
	w.looks++
	return digestOf("image of " + w.content), w.err
}

// Signatures implements resolve.Fetcher: there are none.
func (*moduleWorld) Signatures(context.Context, module.Reference, []string, []byte) ([]module.Attachment, error) {
	return nil, nil
}

// Check implements resolve.Checker.
func (w *moduleWorld) Check(context.Context, drystart.Request) ([]drystart.Verdict, error) {
	w.starts++
	if w.refuses != "" {
		return []drystart.Verdict{{Outcome: drystart.Refused, Stage: drystart.StageConfigure, Reason: w.refuses}}, nil
	}
	return []drystart.Verdict{{Outcome: drystart.Accepted}}, nil
}

func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// reconcileAll reconciles as often as the operator is woken, by its jobs and by its own writes.
func (w *moduleWorld) reconcileAll() ctrl.Result {
	w.t.Helper()
	for {
		before := len(w.writes)
		result := w.mustReconcile()
		synctest.Wait()
		if woken := w.take(); len(woken) == 0 && len(w.writes) == before {
			return result
		}
	}
}

// run lets time pass, and has the plugin reconciled as often as the operator is woken or asked for it.
func (w *moduleWorld) run(duration time.Duration) {
	w.t.Helper()
	end := time.Now().Add(duration)
	for {
		wait := w.reconcileAll().RequeueAfter
		if left := time.Until(end); wait == 0 || wait > left {
			pass(left)
			return
		}
		pass(wait)
	}
}

// stand brings the plugin to where its pair stands, and forgets what was done for it.
func (w *moduleWorld) stand() {
	w.t.Helper()
	w.reconcileAll()
	w.wantReady()
	w.writes, w.fetches, w.looks, w.starts = nil, 0, 0, 0
}

func (w *moduleWorld) wantModule(status metav1.ConditionStatus, reason string, words ...string) {
	w.t.Helper()
	w.wantCondition(wasmv1alpha1.ConditionModuleResolved, status, reason, words...)
}

// wantAsked asserts what was asked of server and checker, no tag among it, and begins anew.
func (w *moduleWorld) wantAsked(fetches, starts int) {
	w.t.Helper()
	if w.fetches != fetches || w.looks != 0 || w.starts != starts {
		w.t.Errorf("fetched %d times, looked %d times, tried %d times; want %d, 0, %d", w.fetches, w.looks, w.starts, fetches, starts)
	}
	w.fetches, w.looks, w.starts = 0, 0, 0
}

func (w *moduleWorld) refresh(value string) {
	w.plugin.Annotations = map[string]string{wasmv1alpha1.AnnotationRefresh: value}
}

// changeSpec is a change of somebody's.
func (w *moduleWorld) changeSpec(change func(*wasmv1alpha1.WasmPluginSpec)) {
	change(&w.plugin.Spec)
	w.plugin.Generation++
}

// loseModule has the plugin name a module that can't be had.
func (w *moduleWorld) loseModule() {
	w.t.Helper()
	w.err = module.NewError(module.Unreachable, "the server refuses connections")
	w.changeSpec(func(spec *wasmv1alpha1.WasmPluginSpec) { spec.URL = "oci://registry.example.com/auth:2" })
	w.reconcileAll()
	w.wantWrites("status")
}

// cache is an empty folder.
func (w *moduleWorld) cache() *resolve.Cache {
	w.t.Helper()
	cache, err := resolve.NewCache(w.t.TempDir(), 1<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	return cache
}

// everything is all that was written.
func (w *moduleWorld) everything() string {
	return jsonOf([]any{w.children, w.specs, w.status})
}

func jsonOf(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
