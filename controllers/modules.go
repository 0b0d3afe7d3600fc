// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/signature"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Modules resolves the modules of plugins, in the background: a server that hangs holds up no plugin but those of its
// modules, and no worker.
type Modules struct {
	// Resolver does the work.
	Resolver *resolve.Resolver
	// TrustRoot is Sigstore's, for signatures by identity of plugins that name none.
	TrustRoot []byte
	// DryStart says that plugins are started on trial.
	DryStart bool
	// Store is told which modules are in use; nil where there is none.
	Store *store.Client
	// Interval is about the time between two looks at a tag that is to be followed.
	Interval time.Duration

	jobs  *jobs
	looks *looks

	mutex sync.Mutex
	// known are the modules of pairs that stood, for when one is deleted.
	known map[types.NamespacedName]resolve.Module
}

func (m *Modules) setUp() {
	m.jobs, m.looks, m.known = newJobs(), newLooks(m.Interval), map[types.NamespacedName]resolve.Module{}
}

// remember returns what is known of the module of a plugin whose pair stands so, or stood.
func (m *Modules) remember(plugin types.NamespacedName, standing resolve.Module) resolve.Module {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if standing.Digest == "" {
		return m.known[plugin]
	}
	m.known[plugin] = standing
	return standing
}

// forget ends what is done for a plugin that is gone.
func (m *Modules) forget(plugin types.NamespacedName) {
	if m == nil {
		return
	}
	m.jobs.forget(plugin)
	m.looks.forget(plugin)
	m.mutex.Lock()
	defer m.mutex.Unlock()
	delete(m.known, plugin)
}

// patience is how long a module may be on its way before the status says so: most are there by then.
const patience = time.Second

// resolvedModule is what is known of a plugin's module.
type resolvedModule struct {
	resolve.Outcome
	// resolving says that it is on its way. Outcome then is that of an earlier attempt, if there was one.
	resolving bool
	// quiet says that it isn't worth telling yet: most are there by then.
	quiet bool
	// wait is the time until the next attempt, or until it is worth telling; 0 for neither.
	wait time.Duration
}

// done says that the module is there, and the plugin starts.
func (m resolvedModule) done() bool {
	return !m.resolving && m.Failure == nil && m.Refusal == nil
}

// standingModule is the one that a pair remembers.
func standingModule(children apply.Children) resolve.Module {
	if config := children[wasmv1alpha1.EnvoyFilterConfig]; config != nil {
		return resolve.Parse(config.Annotations[wasmv1alpha1.AnnotationModule])
	}
	return resolve.Module{}
}

// settled says whether a standing module needs no look, and the time until the next one, 0 for never.
func (m *Modules) settled(plugin *metav1.PartialObjectMetadata, standing resolve.Module) (bool, time.Duration) {
	if m == nil {
		return standing.Digest == "", 0
	}
	key := client.ObjectKeyFromObject(plugin)
	if standing.Digest == "" || standing.Refresh != plugin.Annotations[wasmv1alpha1.AnnotationRefresh] {
		return false, 0
	}
	m.remember(key, standing)
	wait, due := m.looks.until(key, standing.Always)
	return !due, wait
}

// resolveModule returns what is known of a plugin's module, and has found out what isn't.
func (r *WasmPluginReconciler) resolveModule(plugin resolvedPlugin, children apply.Children) resolvedModule {
	key := client.ObjectKeyFromObject(plugin.Plugin)
	wish := r.Modules.looks.wish(key)
	request, err := r.moduleRequest(plugin, r.Modules.remember(key, standingModule(children)))
	if err != nil {
		return resolvedModule{Outcome: resolve.Outcome{Failure: resolve.FailureOf(err)}}
	}
	refresh := plugin.Plugin.Annotations[wasmv1alpha1.AnnotationRefresh]
	always := translate.Always(plugin.Plugin.Spec)
	request.Look = wish.look || request.Known.Refresh != refresh ||
		(always && (!r.Modules.looks.looked(key) || !children.OfGeneration(plugin.owner)))
	request.Restore = wish.restore
	outcome, known, err := r.Modules.Resolver.Standing(request)
	if err != nil {
		return resolvedModule{Outcome: resolve.Outcome{Failure: resolve.FailureOf(err)}}
	}
	found := resolvedModule{Outcome: outcome}
	if !known {
		id := fmt.Sprintf("%s %d %s %s %d %t %q", plugin.owner.UID, plugin.owner.Generation, plugin.versions, request.ID, wish.number, request.Look, refresh)
		again := time.Duration(0)
		if always {
			again = r.Modules.Interval
		}
		found = r.Modules.jobs.outcome(key, id, again, func(ctx context.Context) resolve.Outcome {
			return r.Modules.Resolver.Resolve(ctx, request)
		})
	}
	if wish.overdue(found) {
		return r.Modules.meanwhile(request, found)
	}
	if found.done() {
		found.Module.Refresh, found.Module.Always = refresh, always
		r.Modules.looks.done(key, wish, found.Module.Always)
		// A look that brings no news ends in no write, whose echo would have the plugin looked at again.
		found.wait, _ = r.Modules.looks.until(key, always)
	}
	return found
}

// meanwhile is what holds while somebody looks at a module that is known: what runs is as good as before.
func (m *Modules) meanwhile(request resolve.Request, found resolvedModule) resolvedModule {
	request.Look, request.Restore = false, false
	outcome, known, err := m.Resolver.Standing(request)
	if err != nil || !known {
		return found
	}
	return resolvedModule{Outcome: outcome, wait: found.wait}
}

// moduleRequest is what is asked for.
func (r *WasmPluginReconciler) moduleRequest(plugin resolvedPlugin, standing resolve.Module) (resolve.Request, error) {
	spec := plugin.Plugin.Spec
	origin, err := resolve.ParseOrigin(spec.URL, spec.SHA256)
	if err != nil {
		return resolve.Request{}, err
	}
	request := resolve.Request{
		Origin: origin, Namespace: plugin.Plugin.Namespace, Known: standing, Mask: plugin.Mask,
		Store: r.Options.Delivery(spec) == wasmv1alpha1.DeliveryStore,
	}
	if request.ID, err = requestID(plugin, request.Store); err != nil {
		return resolve.Request{}, err
	}
	if spec.ImagePullSecret != "" {
		request.PullSecret = func(ctx context.Context) ([]byte, error) {
			return r.pullSecret(ctx, types.NamespacedName{Namespace: plugin.Plugin.Namespace, Name: spec.ImagePullSecret})
		}
	}
	if translate.Verifies(spec) {
		request.Policy = func(ctx context.Context) (signature.Policy, error) { return r.policy(ctx, plugin.Input) }
	}
	if r.Modules.DryStart {
		request.Start = func(module resolve.Module) (drystart.Request, error) { return startRequest(plugin.Input, module) }
	}
	return request, nil
}

// requestID tells requests apart whose answers may differ, of one plugin.
func requestID(plugin resolvedPlugin, store bool) (string, error) {
	spec := plugin.Plugin.Spec
	valueOf := func(reference wasmv1alpha1.KeyReference) []byte {
		return plugin.Sources[rules.Object{Kind: rules.ConfigMap, Name: reference.Name}].Data[reference.Key]
	}
	keys := [][]byte{valueOf(spec.Verification.TrustRoot.ConfigMapKeyRef)}
	for _, key := range spec.Verification.Keys {
		keys = append(keys, valueOf(key.ConfigMapKeyRef))
	}
	raw, err := json.Marshal([]any{spec.URL, spec.SHA256, spec.ImagePullSecret, spec.Verification, keys, store})
	if err != nil {
		return "", fmt.Errorf("tell a module from another: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), nil
}

// startRequest is what a proxy would start the module with.
func startRequest(in translate.Input, module resolve.Module) (drystart.Request, error) {
	in.Module = module.Located(in)
	pair, err := translate.Translate(in)
	if err != nil {
		return drystart.Request{}, err
	}
	request, err := drystart.FromEnvoyFilter(pair.Config.Object.Object)
	for _, secret := range in.Sources.Secrets() {
		request.Secrets = append(request.Secrets, string(secret))
	}
	return request, err
}
