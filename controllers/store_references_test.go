// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// pairs are the EnvoyFilters of a cluster, and a store that answers which modules it lacks.
type pairs struct {
	client.Reader

	items []metav1.PartialObjectMetadata
	// synced says that somebody waited for all of them.
	synced   bool
	syncErr  error
	storeErr error
	told     []store.Reference
	lacks    func(store.Reference) bool
}

// GetInformer waits for the EnvoyFilters.
func (p *pairs) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	p.synced = true
	return nil, p.syncErr
}

// List implements client.Reader.
func (p *pairs) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	if !p.synced {
		return errors.New("not cached")
	}
	var asked client.ListOptions
	asked.ApplyOptions(options)
	into := list.(*metav1.PartialObjectMetadataList)
	for _, item := range p.items {
		if asked.LabelSelector.Matches(labels.Set(item.Labels)) {
			into.Items = append(into.Items, item)
		}
	}
	return nil
}

// References is the store's answer.
func (p *pairs) References(_ context.Context, references []store.Reference) ([]store.Reference, error) {
	p.told = references
	var missing []store.Reference
	for _, reference := range references {
		if p.lacks != nil && p.lacks(reference) {
			missing = append(missing, reference)
		}
	}
	return missing, p.storeErr
}

// add has a pair that names a module.
func (p *pairs) add(plugin string, module resolve.Module, change func(*metav1.PartialObjectMetadata)) {
	config := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: plugin + "-config",
		Labels: map[string]string{
			wasmv1alpha1.LabelManagedBy: wasmv1alpha1.FieldManager, wasmv1alpha1.LabelRole: wasmv1alpha1.RoleConfig, wasmv1alpha1.LabelPlugin: plugin,
		},
		Annotations: map[string]string{wasmv1alpha1.AnnotationModule: module.String()},
	}}
	if change != nil {
		change(&config)
	}
	p.items = append(p.items, config)
}

func newStoreReferences(t *testing.T, p *pairs) (*StoreReferences, *wakeUps) {
	t.Helper()
	modules, woken := &Modules{Interval: lookInterval}, newWakeUps()
	modules.setUp()
	if err := modules.jobs.start(t.Context(), woken); err != nil {
		t.Fatal(err)
	}
	return &StoreReferences{Cache: p, Store: p, Modules: modules}, woken
}

// TestStoreIsTold of all modules that pairs name, each once, and of nothing else.
func TestStoreIsTold(t *testing.T) {
	private := resolve.Module{Digest: digestOf("private"), Capability: strings.Repeat("c", 43), Stored: true}
	public := resolve.Module{Digest: digestOf("public"), Stored: true}
	p := &pairs{}
	p.add("a", public, nil)
	p.add("b", public, nil)
	p.add("c", private, nil)
	p.add("direct", resolve.Module{Digest: digestOf("direct")}, nil)
	p.add("somebody", resolve.Module{Digest: digestOf("foreign"), Stored: true}, func(m *metav1.PartialObjectMetadata) { m.Labels = nil })
	p.add("edited", public, func(m *metav1.PartialObjectMetadata) { m.Annotations[wasmv1alpha1.AnnotationModule] = "{" })
	references, woken := newStoreReferences(t, p)
	if err := references.tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(p.told, func(a, b store.Reference) int { return strings.Compare(a.Capability, b.Capability) })
	if want := []store.Reference{{Digest: public.Digest}, {Digest: private.Digest, Capability: private.Capability}}; !slices.Equal(p.told, want) {
		t.Errorf("told %v, want %v", p.told, want)
	}
	if len(woken.plugins) != 0 {
		t.Error("has modules put back that are there")
	}
}

// TestStoreLostModule: one of the plugins puts it back for all, and no plugin of another module is bothered.
func TestStoreLostModule(t *testing.T) {
	lost := resolve.Module{Digest: digestOf("lost"), Stored: true}
	p := &pairs{lacks: func(reference store.Reference) bool { return reference.Digest == lost.Digest }}
	p.add("a", lost, nil)
	p.add("b", lost, nil)
	p.add("c", resolve.Module{Digest: digestOf("kept"), Stored: true}, nil)
	references, woken := newStoreReferences(t, p)
	seen := map[string]bool{}
	for range 40 {
		if err := references.tell(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(woken.plugins) != 1 {
			t.Fatalf("%d are woken", len(woken.plugins))
		}
		plugin := pluginNamed(<-woken.plugins)
		wished := references.Modules.looks.wish(plugin)
		if !wished.restore || wished.look {
			t.Errorf("wished %+v", wished)
		}
		references.Modules.looks.done(plugin, wished, false)
		seen[plugin.Name] = true
	}
	if !seen["a"] || !seen["b"] || seen["c"] {
		t.Errorf("woken %v: where one can't, another is never asked", seen)
	}
}

// TestStoreIsToldNothing where it isn't known what is in use, or the store doesn't answer.
func TestStoreIsToldNothing(t *testing.T) {
	p := &pairs{syncErr: errors.New("no such kind")}
	references, woken := newStoreReferences(t, p)
	if err := references.tell(t.Context()); err == nil || p.told != nil {
		t.Errorf("told %v, %v", p.told, err)
	}
	p.syncErr, p.storeErr = nil, errors.New("down")
	p.lacks = func(store.Reference) bool { return true }
	p.add("a", resolve.Module{Digest: digestOf("a"), Stored: true}, nil)
	if err := references.tell(t.Context()); err == nil || len(woken.plugins) != 0 {
		t.Errorf("%d are woken, %v", len(woken.plugins), err)
	}
}

// TestRestoreWakes: what is wished for reaches the plugin, and ends there.
func TestRestoreWakes(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.reconciler.Options.StoreURL = "http://store.example.com"
		kept := &keepingStore{}
		world.reconciler.Modules.Resolver = resolve.New(resolve.Parts{Fetcher: world, Memory: module.NewMemory(module.Limits{}), Checker: world, Store: kept, Cache: world.cache()})
		world.stand()
		if kept.puts != 1 {
			t.Fatalf("put into the store %d times", kept.puts)
		}
		for range 2 {
			world.reconciler.Modules.restore(world.key())
			world.reconcileAll()
		}
		world.wantWrites()
		world.wantAsked(0, 0)
		if kept.puts != 3 {
			t.Errorf("put into the store %d times", kept.puts)
		}
		if world.wantReady(); !world.delivers("http://store.example.com/modules/sha256/") {
			t.Error("isn't delivered from the store")
		}
	})
}

// keepingStore counts what is put into it.
type keepingStore struct {
	resolve.Store

	puts int
}

// Put implements resolve.Store.
func (s *keepingStore) Put(context.Context, string, string, []byte) error {
	s.puts++
	return nil
}
