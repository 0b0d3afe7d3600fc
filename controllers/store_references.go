// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// referencesInterval is how often the store is told what is in use. A module that it lost is back within about that time.
const referencesInterval = time.Minute

// StoreReferences tells the store which modules the pairs name, so that it keeps those and no others for long, and puts
// back what it lost. No running proxy notices.
type StoreReferences struct {
	// Cache holds the metadata of EnvoyFilters.
	Cache interface {
		client.Reader
		GetInformer(ctx context.Context, kind client.Object, options ...cache.InformerGetOption) (cache.Informer, error)
	}
	// Store takes the references, and answers which of them it lacks.
	Store interface {
		References(ctx context.Context, references []store.Reference) (missing []store.Reference, err error)
	}
	// Modules are those of the reconciler.
	Modules *Modules
}

// Start tells the store again and again, until the context ends.
func (s *StoreReferences) Start(ctx context.Context) error {
	wait.JitterUntilWithContext(ctx, func(ctx context.Context) {
		if err := s.tell(ctx); err != nil && ctx.Err() == nil {
			ctrl.LoggerFrom(ctx).Error(err, "Telling the store which modules are in use")
		}
	}, referencesInterval, 0.1, true)
	return nil
}

func (s *StoreReferences) tell(ctx context.Context) error {
	users, err := s.users(ctx)
	if err != nil {
		return err
	}
	references := make([]store.Reference, 0, len(users))
	for reference := range users {
		references = append(references, reference)
	}
	missing, err := s.Store.References(ctx, references)
	if err != nil {
		return err
	}
	for _, reference := range missing {
		// One of them puts it back for all. Where that one can't, the next time another one may be asked.
		if plugins := users[reference]; len(plugins) > 0 {
			s.Modules.restore(plugins[rand.IntN(len(plugins))])
		}
	}
	return nil
}

// users are the plugins whose pairs, trials or canaries name a module in the store, by module.
func (s *StoreReferences) users(ctx context.Context) (map[store.Reference][]types.NamespacedName, error) {
	// At the start nobody has asked for them yet, and a part of them would pass for all.
	if _, err := s.Cache.GetInformer(ctx, partial(translate.EnvoyFilterKind)); err != nil {
		return nil, fmt.Errorf("wait for the EnvoyFilters: %w", err)
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(translate.EnvoyFilterKind.GroupVersion().WithKind(translate.EnvoyFilterKind.Kind + "List"))
	if err := s.Cache.List(ctx, list, client.MatchingLabels{wasmv1alpha1.LabelManagedBy: wasmv1alpha1.FieldManager}); err != nil {
		return nil, fmt.Errorf("list the EnvoyFilters: %w", err)
	}
	users := map[store.Reference][]types.NamespacedName{}
	for i := range list.Items {
		config := &list.Items[i]
		module := resolve.Parse(config.Annotations[wasmv1alpha1.AnnotationModule])
		if !module.Stored {
			continue
		}
		reference := store.Reference{Digest: module.Digest, Capability: module.Capability}
		plugin := types.NamespacedName{Namespace: config.Namespace, Name: config.Labels[wasmv1alpha1.LabelPlugin]}
		users[reference] = append(users[reference], plugin)
	}
	return users, nil
}

// restore has a plugin's module put into the store once more.
func (m *Modules) restore(plugin types.NamespacedName) {
	m.looks.restore(plugin)
	m.jobs.wake(reconcile.Request{NamespacedName: plugin})
}
