// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

func newOwner() Owner {
	plugin := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "auth", UID: "new", Generation: 2}}
	return Owner{PartialObjectMetadata: plugin, Renderer: "r", Sources: `{"configMaps":{"users":"5"}}`, Module: `{"digest":"d"}`}
}

// newChild is the config half as the operator leaves it.
func newChild(owner Owner, role wasmv1alpha1.EnvoyFilterRole) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: owner.Namespace, Name: translate.EnvoyFilterName(owner.Name, role), Generation: 3,
		Labels: translate.Labels(owner, role),
		Annotations: map[string]string{
			wasmv1alpha1.AnnotationPluginUID: string(owner.UID), wasmv1alpha1.AnnotationRenderer: owner.Renderer,
			wasmv1alpha1.AnnotationHash: "h", wasmv1alpha1.AnnotationGeneration: "3",
			wasmv1alpha1.AnnotationSources:   owner.Sources,
			wasmv1alpha1.AnnotationModule:    owner.Module,
			wasmv1alpha1.AnnotationInstances: formatInstances([]string{"wasm.solarmesh.io/shop.auth", "wasm.solarmesh.io/shop.auth~1"}),
		},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, translate.PluginKind)},
	}}
}

func TestOwnership(t *testing.T) {
	controlledBy := func(apiVersion, kind, name string, uid types.UID) func(*metav1.PartialObjectMetadata) {
		return func(child *metav1.PartialObjectMetadata) {
			yes := true
			child.OwnerReferences = []metav1.OwnerReference{{
				APIVersion: apiVersion, Kind: kind, Name: name, UID: uid, Controller: &yes, BlockOwnerDeletion: &yes,
			}}
		}
	}
	ours := wasmv1alpha1.SchemeGroupVersion.String()
	tests := map[string]struct {
		change        func(*metav1.PartialObjectMetadata)
		owned, intact bool
	}{
		"as we left it":                 {func(*metav1.PartialObjectMetadata) {}, true, true},
		"labels and annotations beside": {func(c *metav1.PartialObjectMetadata) { c.Labels["a"], c.Annotations["b"] = "x", "y" }, true, true},
		"another spec":                  {func(c *metav1.PartialObjectMetadata) { c.Generation++ }, true, false},
		"a label is gone":               {func(c *metav1.PartialObjectMetadata) { delete(c.Labels, wasmv1alpha1.LabelRole) }, true, false},
		"all labels are gone":           {func(c *metav1.PartialObjectMetadata) { c.Labels = nil }, true, false},
		"the hash is gone":              {func(c *metav1.PartialObjectMetadata) { delete(c.Annotations, wasmv1alpha1.AnnotationHash) }, true, false},
		"a label was edited":            {func(c *metav1.PartialObjectMetadata) { c.Labels[wasmv1alpha1.LabelRole] = "" }, true, false},
		"a revision of somebody":        {func(c *metav1.PartialObjectMetadata) { c.Labels[wasmv1alpha1.LabelRevision] = "" }, true, false},
		"other sources":                 {func(c *metav1.PartialObjectMetadata) { c.Annotations[wasmv1alpha1.AnnotationSources] = "{}" }, true, false},
		"no sources":                    {func(c *metav1.PartialObjectMetadata) { delete(c.Annotations, wasmv1alpha1.AnnotationSources) }, true, false},
		"another module":                {func(c *metav1.PartialObjectMetadata) { c.Annotations[wasmv1alpha1.AnnotationModule] = "{}" }, true, false},
		"no module":                     {func(c *metav1.PartialObjectMetadata) { delete(c.Annotations, wasmv1alpha1.AnnotationModule) }, true, false},
		"no instances":                  {func(c *metav1.PartialObjectMetadata) { delete(c.Annotations, wasmv1alpha1.AnnotationInstances) }, true, false},
		"instances were edited": {func(c *metav1.PartialObjectMetadata) {
			c.Annotations[wasmv1alpha1.AnnotationInstances] = strings.TrimSuffix(c.Annotations[wasmv1alpha1.AnnotationInstances], " ~1")
		}, true, false},
		"stamped by a later generation": {func(c *metav1.PartialObjectMetadata) { c.Annotations[wasmv1alpha1.AnnotationPluginGeneration] = "3" }, true, false},
		"another renderer":              {func(c *metav1.PartialObjectMetadata) { c.Annotations[wasmv1alpha1.AnnotationRenderer] = "old" }, true, false},
		"its owner is gone":             {func(c *metav1.PartialObjectMetadata) { c.OwnerReferences = nil }, true, false},
		"an earlier self's":             {controlledBy(ours, "WasmPlugin", "auth", "old"), true, false},
		"being deleted":                 {func(c *metav1.PartialObjectMetadata) { c.DeletionTimestamp = &metav1.Time{} }, true, false},
		"another plugin's":              {controlledBy(ours, "WasmPlugin", "other", "old"), false, false},
		"Istio's kind of that name":     {controlledBy("extensions.istio.io/v1alpha1", "WasmPlugin", "auth", "old"), false, false},
		"another controller's":          {controlledBy("apps/v1", "Deployment", "auth", "d"), false, false},
		"somebody's without our marks": {func(c *metav1.PartialObjectMetadata) {
			c.OwnerReferences, c.Labels, c.Annotations = nil, nil, nil
		}, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			owner := newOwner()
			child := newChild(owner, wasmv1alpha1.EnvoyFilterConfig)
			test.change(child)
			if got := owned(child, owner); got != test.owned {
				t.Errorf("owned: %t, want %t", got, test.owned)
			}
			if got := intact(child, owner, wasmv1alpha1.EnvoyFilterConfig); got != test.intact {
				t.Errorf("intact: %t, want %t", got, test.intact)
			}
		})
	}
}

// TestRevision: the plugin's stands on its children, and no other.
func TestRevision(t *testing.T) {
	owner := newOwner()
	owner.Labels = map[string]string{wasmv1alpha1.LabelRevision: "canary"}
	child := newChild(owner, wasmv1alpha1.EnvoyFilterFilter)
	if !intact(child, owner, wasmv1alpha1.EnvoyFilterFilter) {
		t.Error("a child with the plugin's revision isn't intact")
	}
	for name, change := range map[string]func(){
		"another one on the child":   func() { child.Labels[wasmv1alpha1.LabelRevision] = "stable" },
		"none on the child":          func() { delete(child.Labels, wasmv1alpha1.LabelRevision) },
		"an empty one on the plugin": func() { owner.Labels[wasmv1alpha1.LabelRevision] = "" },
	} {
		if change(); intact(child, owner, wasmv1alpha1.EnvoyFilterFilter) {
			t.Error(name)
		}
	}
}

func TestComplete(t *testing.T) {
	now := newOwner().stamp()
	before := "1" + strings.TrimPrefix(now, "2")
	otherModule := newOwner()
	otherModule.Module = `{"digest":"e"}`
	stamp := func(child *metav1.PartialObjectMetadata, generation string) {
		child.Annotations[wasmv1alpha1.AnnotationPluginGeneration] = generation
	}
	tests := map[string]struct {
		change func(config, filter *metav1.PartialObjectMetadata, children Children)
		want   bool
	}{
		"the filter was written last": {func(_, filter *metav1.PartialObjectMetadata, _ Children) { stamp(filter, now) }, true},
		"the config was written last": {func(config, filter *metav1.PartialObjectMetadata, _ Children) {
			stamp(config, now)
			stamp(filter, before)
		}, true},
		"an earlier generation":        {func(_, filter *metav1.PartialObjectMetadata, _ Children) { stamp(filter, before) }, false},
		"interrupted after the config": {func(_, _ *metav1.PartialObjectMetadata, _ Children) {}, false},
		"without the sources":          {func(_, filter *metav1.PartialObjectMetadata, _ Children) { stamp(filter, "2") }, false},
		"of other sources":             {func(_, filter *metav1.PartialObjectMetadata, _ Children) { stamp(filter, "2-00000000") }, false},
		"of another module":            {func(_, filter *metav1.PartialObjectMetadata, _ Children) { stamp(filter, otherModule.stamp()) }, false},
		"a later generation beside it": {func(config, filter *metav1.PartialObjectMetadata, _ Children) { stamp(config, "3"); stamp(filter, now) }, false},
		"no number":                    {func(_, filter *metav1.PartialObjectMetadata, _ Children) { stamp(filter, "two") }, false},
		"one half is gone": {func(config, _ *metav1.PartialObjectMetadata, children Children) {
			stamp(config, now)
			delete(children, wasmv1alpha1.EnvoyFilterFilter)
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			owner := newOwner()
			config, filter := newChild(owner, wasmv1alpha1.EnvoyFilterConfig), newChild(owner, wasmv1alpha1.EnvoyFilterFilter)
			children := Children{wasmv1alpha1.EnvoyFilterConfig: config, wasmv1alpha1.EnvoyFilterFilter: filter}
			test.change(config, filter, children)
			if got := children.Complete(owner); got != test.want {
				t.Errorf("complete: %t, want %t", got, test.want)
			}
		})
	}
}

// TestStamp: what a pair was made of without sources and without a module is its generation alone, as it was written before
// there was either.
func TestStamp(t *testing.T) {
	stamps := map[string]string{}
	for name, change := range map[string]func(*Owner){
		"both":    func(*Owner) {},
		"sources": func(o *Owner) { o.Module = "" },
		"module":  func(o *Owner) { o.Sources = "" },
		"neither": func(o *Owner) { o.Sources, o.Module = "", "" },
	} {
		owner := newOwner()
		change(&owner)
		if other, has := stamps[owner.stamp()]; has {
			t.Errorf("%s: has the stamp of %s", name, other)
		}
		stamps[owner.stamp()] = name
	}
	if stamps["2"] != "neither" {
		t.Errorf("got %v", stamps)
	}
}

// TestModuleAnnotation stands on the half with the configuration only, and only where there is a module.
func TestModuleAnnotation(t *testing.T) {
	owner := newOwner()
	config, filter := translate.EnvoyFilter{Role: wasmv1alpha1.EnvoyFilterConfig, Instances: []string{"a"}}, translate.EnvoyFilter{Role: wasmv1alpha1.EnvoyFilterFilter}
	if got := annotations(owner, config, nil, 1, false)[wasmv1alpha1.AnnotationModule]; got != owner.Module {
		t.Errorf("the config half has %q", got)
	}
	if _, has := annotations(owner, filter, nil, 1, true)[wasmv1alpha1.AnnotationModule]; has {
		t.Error("the filter half has it too")
	}
	owner.Module = ""
	if _, has := annotations(owner, config, nil, 1, true)[wasmv1alpha1.AnnotationModule]; has {
		t.Error("it is there without a module")
	}
}

func TestOfGeneration(t *testing.T) {
	owner := newOwner()
	children := Children{}
	for role, stamp := range map[wasmv1alpha1.EnvoyFilterRole]string{wasmv1alpha1.EnvoyFilterConfig: "1", wasmv1alpha1.EnvoyFilterFilter: ""} {
		children[role] = newChild(owner, role)
		children[role].Annotations[wasmv1alpha1.AnnotationPluginGeneration] = stamp
	}
	if children.OfGeneration(owner) || (Children{}).OfGeneration(owner) {
		t.Error("is of a generation that it isn't of")
	}
	children[wasmv1alpha1.EnvoyFilterFilter].Annotations[wasmv1alpha1.AnnotationPluginGeneration] = owner.stamp()
	if !children.OfGeneration(owner) {
		t.Error("isn't of its generation")
	}
}
