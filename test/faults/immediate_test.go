// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// The steps of most scenarios.
var (
	created = step{do: func(ctx context.Context, s *scene) { s.create(ctx, s.newPlugin(subject)) }}
	changed = patched(`{"spec": {"rules": {"text": "second"}}}`)
	deleted = step{do: func(ctx context.Context, s *scene) { s.remove(ctx, subject) }}
)

func patched(json string) step {
	return step{do: func(ctx context.Context, s *scene) { s.patch(ctx, subject, json) }}
}

// at has an override of its own for a host.
func at(host string) step { return with(host, "override") }

// with has one host get other rules.
func with(host, rules string) step {
	return patched(`{"spec": {"overrides": [{"match": {"hosts": ["` + host + `"]}, "rules": {"text": "` + rules + `"}}]}}`)
}

// orphaned deletes a plugin, and leaves what it had.
func orphaned(ctx context.Context, s *scene) {
	plugin := &wasmv1alpha1.WasmPlugin{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: subject}}
	Expect(api.Delete(ctx, plugin, client.PropagationPolicy(metav1.DeletePropagationOrphan))).To(Succeed())
	Eventually(ctx, func() bool { return api.Get(ctx, client.ObjectKeyFromObject(plugin), plugin) != nil }).Should(BeTrue())
}

// Nobody looks at proxies.
var immediate = map[string]scenario{
	"a new plugin":               {steps: []step{created}, fewest: 3, always: true},
	"other rules":                {before: []step{created}, steps: []step{changed}, fewest: 2, always: true},
	"another priority":           {before: []step{created}, steps: []step{patched(`{"spec": {"priority": 7}}`)}, fewest: 3},
	"other hosts of overrides":   {before: []step{created, at("a.example.com")}, steps: []step{at("b.example.com")}, fewest: 4, always: true},
	"overrides, and none":        {before: []step{created}, steps: []step{at("a.example.com"), patched(`{"spec": {"overrides": null}}`)}, fewest: 7, back: true},
	"off and on":                 {before: []step{created}, steps: []step{patched(`{"spec": {"activation": {"mode": "Off"}}}`), patched(`{"spec": {"activation": {"mode": "Immediate"}}}`)}, fewest: 4, back: true},
	"other rules, and the first": {before: []step{created}, steps: []step{changed, patched(`{"spec": {"rules": {"text": "first"}}}`)}, fewest: 4, back: true},
	"a spec that isn't accepted": {before: []step{created}, steps: []step{patched(`{"spec": {"delivery": "Store"}}`).refused(), patched(`{"spec": {"delivery": null}}`)}, fewest: 3},
	"deleted":                    {before: []step{created}, steps: []step{deleted}},
	"deleted and made again": {before: []step{created}, steps: []step{{do: func(ctx context.Context, s *scene) {
		s.remove(ctx, subject)
		s.create(ctx, s.newPlugin(subject))
	}}}, fewest: 3, always: true},
	"orphaned and made again": {before: []step{created}, steps: []step{{do: func(ctx context.Context, s *scene) {
		orphaned(ctx, s)
		s.create(ctx, s.newPlugin(subject))
	}}}, fewest: 3},
}

// refused is for a step to a spec that isn't accepted: what stood stands.
func (t step) refused() step {
	do := t.do
	t.do = func(ctx context.Context, s *scene) {
		s.remember(ctx)
		do(ctx, s)
	}
	t.to, t.ready = stillInForce(), []string{wasmv1alpha1.ReasonNotSupported}
	return t
}

var _ = Describe("An operator that is killed", Ordered, ContinueOnFailure, func() {
	var o *operator
	BeforeAll(func(ctx SpecContext) { o = newOperator(ctx) })

	killed(immediate, func(ctx context.Context) *scene { return newScene(ctx, o) })
})
