// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// population is how many plugins come and go at most.
const population = 6

// live has plugins come, change and go until stop is closed. Whether a single change succeeds doesn't matter.
func (s *scene) live(ctx context.Context, d *dice, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(30+d.below(150)) * time.Millisecond):
		}
		plugin := s.newPlugin(fmt.Sprintf("random-%d", d.below(population)))
		changes := []string{
			fmt.Sprintf(`{"spec": {"rules": {"text": "%d"}}}`, n), fmt.Sprintf(`{"spec": {"priority": %d}}`, n%100),
			fmt.Sprintf(`{"spec": {"overrides": [{"match": {"hosts": ["%d.example.com"]}, "rules": {"text": "override"}}]}}`, n%3),
			`{"spec": {"overrides": null}}`, `{"spec": {"activation": {"mode": "Off"}}}`,
			`{"spec": {"activation": {"mode": "` + string(s.mode) + `"}}}`, `{"spec": {"delivery": "Store"}}`, `{"spec": {"delivery": null}}`,
		}
		change := client.RawPatch(types.MergePatchType, []byte(changes[d.below(len(changes))]))
		if err := api.Patch(ctx, plugin, change); apierrors.IsNotFound(err) {
			_ = api.Create(ctx, plugin)
		} else if d.below(8) == 0 {
			_ = api.Delete(ctx, plugin)
			if d.below(2) == 0 {
				_ = api.Create(ctx, s.newPlugin(plugin.Name))
			}
		}
	}
}

// accept makes every plugin one that is accepted and on, and has those offered again that were refused for good.
func (s *scene) accept(ctx context.Context) {
	GinkgoHelper()
	plugins, _ := s.standing(ctx, Default)
	for _, plugin := range plugins {
		s.patch(ctx, plugin.Name, `{"spec": {"delivery": null}}`)
	}
	Eventually(ctx, func(g Gomega) {
		plugins, _ := s.standing(ctx, g)
		for _, plugin := range plugins {
			s.revive(ctx)
			g.Expect(plugin.Status.ObservedGeneration).To(Equal(plugin.Generation), plugin.Name)
			applied := apimeta.FindStatusCondition(plugin.Status.Conditions, wasmv1alpha1.ConditionApplied)
			if applied != nil && applied.Reason == wasmv1alpha1.ReasonRefused {
				s.patch(ctx, plugin.Name, fmt.Sprintf(`{"metadata": {"labels": {"touched": "%d"}}}`, time.Now().UnixNano()))
			}
		}
	}).Should(Succeed())
}

// storm disturbs the operator by a plan while plugins come, change and go. When that ends all must be as the specs say.
func (s *scene) storm(ctx context.Context, seed uint64, length time.Duration, servers bool) {
	GinkgoHelper()
	s.late = 3
	stop := make(chan struct{})
	disturbances := plan(s.operators[0], newDice(seed), length, servers)
	var group sync.WaitGroup
	group.Go(func() { s.live(ctx, newDice(seed+1), stop) })
	s.endure(ctx, disturbances)
	close(stop)
	group.Wait()
	s.operators[0].layer.Set()
	s.revive(ctx)
	s.accept(ctx)
	s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
	s.judge(ctx, fmt.Sprintf("FAULTS_SEED=%d", seed))
}

var _ = Describe("An operator in a storm", func() {
	for i := range storms {
		It(fmt.Sprintf("ends where the specs say, %d", i+1), func(ctx SpecContext) {
			newScene(ctx, newOperator(ctx)).storm(ctx, seed+uint64(i), 8*time.Second, long)
		})
	}
})
