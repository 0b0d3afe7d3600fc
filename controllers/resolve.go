// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// resolvedPlugin is a plugin with all that its pair is made of.
type resolvedPlugin struct {
	translate.Input
	owner    apply.Owner
	versions sourceVersions
	module   resolvedModule
	// early says that it was too early to tell what proxies do, before they were asked about.
	early bool
}

// resolve reads what a spec refers to.
func (r *WasmPluginReconciler) resolve(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, children apply.Children) (resolvedPlugin, error) {
	found, versions, err := r.sources.read(ctx, plugin)
	if err != nil {
		return resolvedPlugin{}, err
	}
	ties, err := r.ties(ctx, plugin)
	if err != nil {
		return resolvedPlugin{}, err
	}
	resolved := resolvedPlugin{
		Input:    translate.Input{Plugin: plugin, Sources: found, Ties: ties, Options: r.Options},
		owner:    r.owner(metadataOf(plugin), versions, resolve.Module{}),
		versions: versions,
	}
	if r.Modules == nil {
		return resolved, nil
	}
	if _, err := translate.Translate(resolved.Input); err != nil {
		return resolved, nil //nolint:nilerr // what is wrong with the spec is said when it is rendered with its module
	}
	resolved.module = r.resolveModule(resolved, children) //nolint:contextcheck // the work goes on when this reconcile has ended
	if resolved.module.done() {
		resolved.Module = resolved.module.Module.Located(resolved.Input)
		resolved.owner = r.owner(metadataOf(plugin), versions, resolved.module.Module)
	}
	return resolved, nil
}

// identityIndex is the cache's index of plugins by translate.IdentityKey.
const identityIndex = "identity"

func identityOf(plugin client.Object) []string {
	return []string{translate.IdentityKey(plugin.GetNamespace(), plugin.GetName())}
}

// ties returns the plugins, as namespace/name, that can meet this one in a proxy and have its identity key.
func (r *WasmPluginReconciler) ties(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin) ([]string, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(translate.PluginKind.GroupVersion().WithKind(translate.PluginKind.Kind + "List"))
	if err := r.Client.List(ctx, list, client.MatchingFields{identityIndex: identityOf(plugin)[0]}); err != nil {
		return nil, fmt.Errorf("look for plugins of equal rank: %w", err)
	}
	var ties []string
	for i := range list.Items {
		other := client.ObjectKeyFromObject(&list.Items[i])
		if other != client.ObjectKeyFromObject(plugin) && r.Options.Meet(other.Namespace, plugin.Namespace) {
			ties = append(ties, other.String())
		}
	}
	slices.Sort(ties)
	return ties, nil
}

// maskedError is an error of the API server, whose words may quote what it refuses, without what may be a credential.
type maskedError struct {
	text  string
	cause error
}

func (e *maskedError) Error() string { return e.text }

// Unwrap lets the cause be told, not read.
func (e *maskedError) Unwrap() error { return e.cause }

func (p resolvedPlugin) masked(err error) error {
	return &maskedError{text: p.Mask(err.Error()), cause: err}
}
