// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

func TestEndState(t *testing.T) {
	p := plugin("1", 1, "first")
	config, filter := pairOf(t, p)
	other, _ := pairOf(t, plugin("1", 1, "second"))
	relabeled, orphan := config.DeepCopy(), config.DeepCopy()
	relabeled.SetLabels(map[string]string{"a": "b"})
	orphan.SetOwnerReferences(nil)
	old := plugin("1", 2, "second")
	for name, test := range map[string]struct {
		wanted   Wanted
		standing map[string]*unstructured.Unstructured
		finds    string
	}{
		"as rendered":        {Wanted{Plugin: p}, stand(config, filter), ""},
		"half of it":         {Wanted{Plugin: p}, stand(config), "auth-filter is missing"},
		"of another spec":    {Wanted{Plugin: p}, stand(other, filter), "spec of auth-config"},
		"other labels":       {Wanted{Plugin: p}, stand(relabeled, filter), "labels of auth-config"},
		"nobody's":           {Wanted{Plugin: p}, stand(orphan, filter), "ownerReferences of auth-config"},
		"one too many":       {Wanted{Plugin: p}, stand(config, filter, renamed(config, "-trial")), "auth-config-trial stands"},
		"that is allowed":    {Wanted{Plugin: p, Beside: []wasmv1alpha1.EnvoyFilterRole{wasmv1alpha1.EnvoyFilterTrialConfig}}, stand(config, filter, renamed(config, "-trial")), ""},
		"that is asked for":  {Wanted{Plugin: p, Beside: []wasmv1alpha1.EnvoyFilterRole{wasmv1alpha1.EnvoyFilterTrialConfig}}, stand(config, filter), "auth-config-trial is missing"},
		"of the spec before": {Wanted{Plugin: old, InForce: &p.Spec}, stand(config, filter), ""},
		"no more of it":      {Wanted{Plugin: old}, stand(config, filter), "spec of auth-config"},
	} {
		t.Run(name, func(t *testing.T) {
			finds(t, EndState(options, []Wanted{test.wanted}, test.standing), test.finds)
		})
	}
}

func TestPairs(t *testing.T) {
	first, second := plugin("1", 1, "first"), plugin("1", 2, "second")
	config, filter := pairOf(t, first)
	changed, _ := pairOf(t, second)
	made := func() *life { return begin(t).happens(watch.Added, first, config, filter) }
	again := plugin("2", 1, "first")
	config2, filter2 := pairOf(t, again)
	for name, test := range map[string]struct {
		life  *life
		late  int
		finds string
	}{
		"made and changed":         {made().happens(watch.Modified, second, changed), 0, ""},
		"made twice":               {made().happens(watch.Added, config), 0, "auth-config of 1 was made 2 times"},
		"deleted":                  {made().happens(watch.Deleted, filter), 0, "auth-filter was deleted"},
		"deleted with its plugin":  {made().happens(watch.Deleted, first, config, filter), 0, ""},
		"made anew":                {made().happens(watch.Deleted, first, config, filter).happens(watch.Added, again, config2, filter2), 0, ""},
		"taken over":               {made().happens(watch.Deleted, first).happens(watch.Added, again).happens(watch.Modified, config2, filter2), 0, ""},
		"taken over and deleted":   {made().happens(watch.Deleted, first).happens(watch.Added, again).happens(watch.Modified, config2).happens(watch.Deleted, config2), 0, "auth-config was deleted"},
		"to and fro":               {made().happens(watch.Modified, second, changed, config), 0, "auth-config went back"},
		"to and fro, by one late":  {made().happens(watch.Modified, second, changed, config), 1, ""},
		"to and fro, for a reason": {made().happens(watch.Modified, second, changed, plugin("1", 3, "first"), config), 0, ""},
		"tried":                    {made().happens(watch.Added, renamed(config, "-trial")).happens(watch.Deleted, renamed(config, "-trial")), 0, ""},
		"tried twice": {
			made().happens(watch.Added, renamed(config, "-trial")).happens(watch.Deleted, renamed(config, "-trial")).happens(watch.Added, renamed(config, "-trial")), 0,
			"auth-config-trial of generation 1 of 1 was made 2 times",
		},
	} {
		t.Run(name, func(t *testing.T) { finds(t, Pairs(test.life.history, test.late, 0), test.finds) })
	}
}

// TestPairsAgain: a trial may be made again where that is said, and nothing else goes back by it.
func TestPairsAgain(t *testing.T) {
	first, second := plugin("1", 1, "first"), plugin("1", 2, "second")
	config, filter := pairOf(t, first)
	changed, _ := pairOf(t, second)
	trial := renamed(config, "-trial")
	life := begin(t).happens(watch.Added, first, config, filter, trial).happens(watch.Deleted, trial).happens(watch.Added, trial)
	finds(t, Pairs(life.history, 0, 1), "")
	finds(t, Pairs(life.happens(watch.Deleted, trial).happens(watch.Added, trial).history, 0, 1), "was made 3 times")
	finds(t, Pairs(begin(t).happens(watch.Added, first, config, filter).happens(watch.Modified, second, changed, config).history, 0, 1), "auth-config went back")
}

func TestOrder(t *testing.T) {
	p := plugin("1", 1, "first")
	config, filter := pairOf(t, p)
	elsewhere := plugin("1", 2, "first")
	elsewhere.Spec.Overrides = []wasmv1alpha1.Override{{
		Match: wasmv1alpha1.OverrideMatch{Hosts: []string{"a.example.com"}}, Mode: wasmv1alpha1.OverrideDisable,
	}}
	config2, filter2 := pairOf(t, elsewhere)
	for name, test := range map[string]struct {
		life  *life
		finds string
	}{
		"the configuration first":   {begin(t).happens(watch.Added, p, config, filter), ""},
		"the filter first":          {begin(t).happens(watch.Added, p, filter, config), "O3: after ADDED of auth-filter in version 2"},
		"other names":               {begin(t).happens(watch.Added, p, config, filter).happens(watch.Modified, elsewhere, config2, filter2), "after MODIFIED of auth-config in version 5"},
		"a trial's filter first":    {begin(t).happens(watch.Added, p, renamed(filter, "-trial")), "auth-filter-trial names"},
		"gone, the filter last":     {begin(t).happens(watch.Added, p, config, filter).happens(watch.Deleted, p, config, filter), ""},
		"the filter first, listed":  {begin(t).happens(watch.Added, p).lists(filter, config), ""},
		"listed alone":              {begin(t).happens(watch.Added, p).lists(filter).happens(watch.Added, renamed(filter, "-of-somebody")), "auth-filter names"},
		"listed alone, and touched": {begin(t).happens(watch.Added, p).lists(filter).happens(watch.Modified, filter), "O3: after MODIFIED of auth-filter in version 3"},
		"not gone":                  {begin(t).happens(watch.Added, p, config, filter).happens(watch.Deleted, config), "auth-filter names"},
	} {
		t.Run(name, func(t *testing.T) { finds(t, Order(test.life.history), test.finds) })
	}
}

func TestStatuses(t *testing.T) {
	first := func() *wasmv1alpha1.WasmPlugin { return plugin("1", 1, "first") }
	config, filter := pairOf(t, first())
	other, _ := pairOf(t, plugin("1", 2, "second"))
	second := func() *wasmv1alpha1.WasmPlugin { return plugin("1", 2, "second") }
	made := func() *life { return begin(t).happens(watch.Added, first(), config, filter) }
	for name, test := range map[string]struct {
		life  *life
		finds string
	}{
		"true":               {made().happens(watch.Modified, reports(first(), ready, 1, config, filter)), ""},
		"too early":          {begin(t).happens(watch.Added, first(), config, reports(first(), ready, 1, config, filter), filter), "is said to be ready in version 3: auth-filter is missing"},
		"of another spec":    {made().happens(watch.Modified, other, reports(first(), ready, 1, other, filter)), "is said to be ready"},
		"says nothing":       {made().happens(watch.Modified, reports(first(), waiting, 1, config, filter)), ""},
		"about an old spec":  {made().happens(watch.Modified, func() any { p := reports(first(), ready, 1, config, filter); p.Generation = 2; return p }()), "its status is about 1"},
		"never":              {made(), "its status is about 0"},
		"names too few":      {made().happens(watch.Modified, reports(first(), ready, 1, config)), `says "" of auth-filter`},
		"names another":      {made().happens(watch.Modified, reports(first(), waiting, 1, other, filter)), "of auth-config"},
		"names what is gone": {made().happens(watch.Modified, reports(first(), ready, 1, config, filter)).happens(watch.Deleted, filter), "names auth-filter, which isn't there"},
		"another time": {
			made().happens(watch.Modified, reports(first(), ready, 1, config, filter), reports(first(), ready, 2, config, filter)), "the time of Ready of auth changed",
		},
		"another time, and nobody saw why": {
			made().happens(watch.Modified, reports(first(), ready, 1, config, filter)).missed(watch.Modified, 0, reports(first(), ready, 2, config, filter)), "",
		},
		"while nobody saw": {
			made().happens(watch.Modified, second(), reports(second(), ready, 1, other, filter)).missed(watch.Modified, 1, other), "",
		},
		"before nobody saw": {
			made().happens(watch.Modified, second(), reports(second(), ready, 1, other, filter)).missed(watch.Modified, 0, other), "is said to be ready",
		},
		"another time, for a reason": {
			made().happens(watch.Modified, reports(first(), waiting, 1, config, filter), reports(first(), ready, 2, config, filter)), "",
		},
	} {
		t.Run(name, func(t *testing.T) { finds(t, Statuses(test.life.history, options), test.finds) })
	}
}
