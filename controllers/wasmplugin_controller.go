// SPDX-License-Identifier: Apache-2.0

// Package controllers does the I/O: it fetches, calls the pure stages in order, writes and reports.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// WasmPluginReconciler turns WasmPlugins into their pairs of EnvoyFilters.
//
// It watches the metadata of both kinds only, and of the ConfigMaps that plugins name. A spec is read when metadata say
// that something is to be done, so that memory doesn't grow with the size of rules, a restart reads none, and an object
// that can't be decoded stops no other.
type WasmPluginReconciler struct {
	// Client reads metadata from the cache, and writes.
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	// Recorder writes events.
	Recorder events.EventRecorder
	// Options is what the installation says.
	Options translate.Options
	// Renderer is the options' translate.Fingerprint.
	Renderer string
	// Metadata watches the ConfigMaps that plugins name.
	Metadata metadata.Interface
	// SecretRefresh is about the time between two looks at the Secrets that a plugin names.
	SecretRefresh time.Duration
	// Modules resolves modules; nil where proxies are left to do it.
	Modules *Modules
	// Rollouts brings changes into force by what proxies say; nil where nobody looks at them.
	Rollouts *Rollouts

	sources   *sources
	written   writtenVersions
	evictions evictions
	repairs   repairs
}

// refusedRetry is the least time after which an EnvoyFilter that the API server refused is offered again: a webhook
// may have changed its mind.
const refusedRetry = 5 * time.Minute

// +kubebuilder:rbac:groups=wasm.solarmesh.io,resources=wasmplugins,verbs=get;list;watch
// +kubebuilder:rbac:groups=wasm.solarmesh.io,resources=wasmplugins/status,verbs=patch
// +kubebuilder:rbac:groups=wasm.solarmesh.io,resources=wasmplugins/finalizers,verbs=update
// +kubebuilder:rbac:groups=networking.istio.io,resources=envoyfilters,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create

// Reconcile brings one plugin's pair to what its spec says, and says so in its status.
func (r *WasmPluginReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	plugin, children, err := r.observe(ctx, request.NamespacedName)
	if apierrors.IsNotFound(err) || (err == nil && plugin.DeletionTimestamp != nil) {
		// The garbage collector removes the pair, by its owner references.
		r.written.forget(request.NamespacedName)
		r.sources.forget(request.NamespacedName)
		r.Modules.forget(request.NamespacedName)
		r.Rollouts.forget(request.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if wait := r.written.behind(plugin, children); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	if settled, wait, err := r.settled(ctx, plugin, children); settled || err != nil {
		return ctrl.Result{RequeueAfter: wait}, err
	}
	if wait := r.contested(plugin, children); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	return r.reconcile(ctx, request.NamespacedName, children)
}

// settled says, by metadata alone, whether the pair stands as it would be rendered now, and the status says so. If it
// does, it returns the time after which to look again, 0 for never.
func (r *WasmPluginReconciler) settled(ctx context.Context, plugin *metav1.PartialObjectMetadata, children apply.Children) (bool, time.Duration, error) {
	var versions sourceVersions
	if config := children[wasmv1alpha1.EnvoyFilterConfig]; config != nil {
		versions = parseSourceVersions(config.Annotations[wasmv1alpha1.AnnotationSources])
	}
	module := standingModule(children)
	owner := r.owner(plugin, r.sources.expected(plugin, versions), module)
	rolled, proxies, ask := r.Rollouts.settled(client.ObjectKeyFromObject(plugin), children)
	owner.Proxies = proxies
	if !rolled || !children.Complete(owner) || !reported(owner, children) {
		return false, 0, nil
	}
	settled, look := r.Modules.settled(plugin, module)
	if !settled {
		return false, 0, nil
	}
	unchanged, wait, err := r.sources.unchanged(ctx, plugin, versions)
	return unchanged, sooner(ask, sooner(wait, look)), err
}

// reconcile reads the spec and goes through the stages: resolve, translate, apply, report.
func (r *WasmPluginReconciler) reconcile(ctx context.Context, key types.NamespacedName, children apply.Children) (ctrl.Result, error) {
	plugin := &wasmv1alpha1.WasmPlugin{}
	if err := getByName(ctx, r.Live, key, plugin); err != nil {
		return ctrl.Result{RequeueAfter: goneFor(err)}, client.IgnoreNotFound(err)
	}
	if plugin.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	resolved, err := r.resolve(ctx, plugin, children)
	if err != nil || resolved.module.quiet {
		return ctrl.Result{RequeueAfter: resolved.module.wait}, err
	}
	observed := maps.Clone(children)
	observation, later, applyErr := r.bring(ctx, resolved, children)
	if apierrors.IsConflict(applyErr) {
		// Something moved since it was observed. That is no news for the user: look again.
		return ctrl.Result{}, applyErr
	}
	if apierrors.HasStatusCause(applyErr, corev1.NamespaceTerminatingCause) {
		// The namespace is being deleted, the EnvoyFilters were first, and the plugin follows.
		return ctrl.Result{}, nil
	}
	wait, err := r.report(ctx, plugin, observation, later.quiet)
	r.written.remember(plugin, observed, children)
	if applyErr != nil || err != nil {
		return again(applyErr, err)
	}
	if observation.Applied.Reason == wasmv1alpha1.ReasonRefused {
		wait = sooner(wait, refusedRetry+rand.N(refusedRetry))
	}
	wait = sooner(later.wait, sooner(wait, resolved.module.wait))
	return ctrl.Result{RequeueAfter: sooner(wait, r.sources.checkLater(key, resolved.versions))}, nil
}

// again has a plugin tried again after errors. That somebody touched it since it was read is none for the log.
func again(applyErr, statusErr error) (ctrl.Result, error) {
	if applyErr == nil && apierrors.IsConflict(statusErr) {
		return ctrl.Result{Requeue: true}, nil //nolint:staticcheck // nothing else backs off without an error
	}
	return ctrl.Result{}, errors.Join(applyErr, statusErr)
}

// sooner returns the shorter time of two, of which 0 means never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// later says when to look again, 0 for never, and whether it is too early to tell.
type later struct {
	wait  time.Duration
	quiet bool
}

// bring translates and applies. It returns an error only where trying again may help.
func (r *WasmPluginReconciler) bring(ctx context.Context, plugin resolvedPlugin, children apply.Children) (status.Observation, later, error) {
	owner := plugin.owner
	observation := status.Observation{
		Generation: owner.Generation, EnvoyFilters: children.Standing(owner),
		Module: moduleStatus(standingModule(children)), Delivery: r.Options.Delivery(plugin.Plugin.Spec),
		Mode: r.Options.Mode(plugin.Plugin.Spec),
	}
	pair, err := translate.Translate(plugin.Input)
	if err != nil {
		return r.notAccepted(ctx, plugin, err, children, observation)
	}
	plugin.early = r.Rollouts.early() // asked first: an answer may come in between
	observation.Accepted = status.Accepted(append(pair.Notes, untried(plugin.Input, r.Rollouts.refused())...))
	if r.Modules != nil {
		if !plugin.module.done() {
			return r.withoutModule(ctx, plugin, pair, children, observation)
		}
		observation.ModuleResolved = status.Resolved(moduleNotes(plugin.module.Outcome)...)
	}
	if r.Rollouts != nil {
		return r.rollOut(ctx, plugin, pair, children, observation)
	}
	err = apply.Pair(ctx, r.Client, r.Live, owner, pair, children)
	observation.EnvoyFilters, observation.Module = children.Standing(owner), moduleStatus(plugin.module.Module)
	observation.Applied, err = applied(err, plugin)
	return observation, later{}, err
}

func (r *WasmPluginReconciler) owner(plugin *metav1.PartialObjectMetadata, versions sourceVersions, module resolve.Module) apply.Owner {
	owner := apply.Owner{PartialObjectMetadata: plugin, Renderer: r.Renderer, Sources: versions.String(), Observed: r.Rollouts != nil}
	if r.Modules != nil {
		owner.Module = module.String()
	}
	return owner
}

func rejection(err error, pairStands bool) status.Verdict {
	reason := wasmv1alpha1.ReasonInvalidSpec
	if invalid := (*translate.InvalidSpecError)(nil); errors.As(err, &invalid) {
		reason = invalid.Reason
	}
	return status.Rejected(reason, err.Error(), pairStands)
}

// applied turns the outcome of a write into a verdict, and keeps the error where trying again may help.
func applied(err error, plugin resolvedPlugin) (status.Verdict, error) {
	var (
		conflict *apply.ConflictError
		deleting *apply.DeletingError
		tooLarge *apply.TooLargeError
	)
	switch {
	case err == nil:
		return status.Applied(), nil
	case errors.As(err, &conflict):
		// The other object's going is an event.
		return status.ApplyFailed(wasmv1alpha1.ReasonConflict, err.Error(), false), nil
	case errors.As(err, &deleting):
		// Its going is an event, too.
		return status.ApplyFailed(wasmv1alpha1.ReasonDeleting, err.Error(), true), nil
	case errors.As(err, &tooLarge):
		return status.ApplyFailed(wasmv1alpha1.ReasonRenderedTooLarge, err.Error(), false), nil
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return status.ApplyFailed(wasmv1alpha1.ReasonRefused, plugin.masked(err).Error(), false), nil
	default:
		err = plugin.masked(err) // it is logged
		return status.ApplyFailed(wasmv1alpha1.ReasonApplyFailed, err.Error(), true), err
	}
}

// observe reads the metadata of a plugin and of what stands under its names.
func (r *WasmPluginReconciler) observe(ctx context.Context, key types.NamespacedName) (*metav1.PartialObjectMetadata, apply.Children, error) {
	plugin := partial(translate.PluginKind)
	if err := r.Client.Get(ctx, key, plugin); err != nil {
		return nil, nil, err
	}
	children := apply.Children{}
	for _, role := range translate.AllRoles {
		child := partial(translate.EnvoyFilterKind)
		name := types.NamespacedName{Namespace: key.Namespace, Name: translate.EnvoyFilterName(key.Name, role)}
		switch err := r.Client.Get(ctx, name, child); {
		case err == nil:
			children[role] = child
		case !apierrors.IsNotFound(err):
			return nil, nil, fmt.Errorf("read EnvoyFilter %s: %w", name, err)
		}
	}
	return plugin, children, nil
}
