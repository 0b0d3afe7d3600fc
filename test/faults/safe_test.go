// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
)

// rolled is a plugin whose changes go to canary proxies first, until somebody says more.
var rolled = step{do: func(ctx context.Context, s *scene) {
	plugin := s.newPlugin(subject)
	plugin.Spec.Rollout.Canary = wasmv1alpha1.Canary{
		Selector: wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{track: "canary"}}, HoldSeconds: 86400,
	}
	s.create(ctx, plugin)
}}

// onCanary is a change that canary proxies have.
var onCanary = step{
	do:    func(ctx context.Context, s *scene) { s.remember(ctx); changed.do(ctx, s) },
	to:    stillInForce(translate.CanaryRoles...),
	ready: []string{wasmv1alpha1.ReasonOnCanary},
}

// told says a user's word on a change that is on canary.
func told(annotation string) func(ctx context.Context, s *scene) {
	return func(ctx context.Context, s *scene) {
		GinkgoHelper()
		_, standing := s.standing(ctx, Default)
		canary := standing[translate.EnvoyFilterName(subject, wasmv1alpha1.EnvoyFilterCanaryConfig)]
		Expect(canary).NotTo(BeNil())
		content := canary.GetAnnotations()[wasmv1alpha1.AnnotationContent]
		s.patch(ctx, subject, `{"metadata": {"annotations": {"`+annotation+`": "`+content+`"}}}`)
	}
}

var (
	promoted = step{do: told(wasmv1alpha1.AnnotationPromote)}
	aborted  = step{
		do: told(wasmv1alpha1.AnnotationAbort), to: stillInForce(wasmv1alpha1.EnvoyFilterCanaryConfig),
		ready: []string{wasmv1alpha1.ReasonTakenBack},
	}
	refusedOnTrial = step{
		do: func(ctx context.Context, s *scene) {
			s.remember(ctx)
			s.mesh.refuse("~trial~")
			changed.do(ctx, s)
		},
		to: stillInForce(wasmv1alpha1.EnvoyFilterTrialConfig), ready: []string{wasmv1alpha1.ReasonRejected},
	}
	refusedOnCanary = step{
		do: func(ctx context.Context, s *scene) {
			s.remember(ctx)
			s.mesh.refuse("~canary~")
			changed.do(ctx, s)
		},
		to: stillInForce(wasmv1alpha1.EnvoyFilterCanaryConfig), ready: []string{wasmv1alpha1.ReasonRejected, wasmv1alpha1.ReasonTakenBack},
	}
	back = patched(`{"spec": {"rules": {"text": "first"}}}`)
)

// Changes come into force by what proxies say.
var safe = map[string]scenario{
	"a new plugin, by a trial":        {steps: []step{created}, fewest: 7},
	"other rules, by a trial":         {before: []step{created}, steps: []step{changed}, fewest: 6},
	"other hosts, without a trial":    {before: []step{created, at("a.example.com")}, steps: []step{at("b.example.com")}, fewest: 4}, // proxies get the same content
	"other overrides, by a trial":     {before: []step{created, at("a.example.com")}, steps: []step{with("b.example.com", "other")}, fewest: 8},
	"rules that are refused on trial": {before: []step{created}, steps: []step{refusedOnTrial}, fewest: 5, again: 1},
	"rules that are refused, and the first again": {
		before: []step{created}, steps: []step{refusedOnTrial, back}, fewest: 7, back: true, again: 1,
	},
	"a canary, promoted":             {before: []step{rolled}, steps: []step{onCanary, promoted}, fewest: 10, always: true},
	"a canary, aborted":              {before: []step{rolled}, steps: []step{onCanary, aborted}, fewest: 9},
	"rules that a canary refuses":    {before: []step{rolled}, steps: []step{refusedOnCanary}, fewest: 8, again: 1},
	"a canary, and the first again":  {before: []step{rolled}, steps: []step{onCanary, back}, fewest: 10, back: true},
	"off and on, with proxies":       {before: []step{created}, steps: []step{patched(`{"spec": {"activation": {"mode": "Off"}}}`), patched(`{"spec": {"activation": {"mode": "Safe"}}}`)}, fewest: 4},
	"deleted while on canary":        {before: []step{rolled, onCanary}, steps: []step{deleted}},
	"deleted and made again, safely": {before: []step{created}, steps: []step{{do: func(ctx context.Context, s *scene) { s.remove(ctx, subject); s.create(ctx, s.newPlugin(subject)) }}}, fewest: 3},
}

var _ = Describe("An operator that is killed while it asks proxies", Ordered, ContinueOnFailure, func() {
	var o *operator
	BeforeAll(func(ctx SpecContext) { o = newOperator(ctx, observing()...) })

	killed(safe, func(ctx context.Context) *scene { return newSafeScene(ctx, o) })

	if long {
		for i := range 2 {
			It(fmt.Sprintf("ends where the specs say after a storm, %d", i+1), func(ctx SpecContext) {
				newSafeScene(ctx, o).storm(ctx, seed+100+uint64(i), 10*time.Second, false)
			})
		}
	}
})

var _ = Describe("An operator that starts", func() {
	It("writes nothing of what it can't know before istiod has answered", func(ctx SpecContext) {
		asked, err := chain.StartCountingProxy(&rest.Config{Host: istiod.URL})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(asked.Close()).To(Succeed()) })
		o := newOperator(ctx, "--observe-proxies=true", "--istiod-debug-url="+asked.URL)
		s := newSafeScene(ctx, o)
		s.create(ctx, s.newPlugin(bystander))
		s.take(ctx, []step{created, refusedOnTrial})
		s.mayNotTouch(ctx)

		starts := func() time.Duration {
			answers := make(chan struct{})
			asked.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
				select {
				case <-answers:
				case <-r.Context().Done():
				}
				return false
			})
			o.kill()
			asked.Reset()
			began := time.Now()
			s.revive(ctx)
			Eventually(ctx, func(g Gomega) { s.haveLooked(ctx, g) }).Should(Succeed())
			Eventually(ctx, asked.Requests).ShouldNot(BeEmpty())
			close(answers)
			return time.Since(began)
		}
		before := len(s.writes())
		// After 5 seconds it does say so, which a busy machine may take.
		for starts() > 4*time.Second {
			s.settle(ctx, refusedOnTrial.reached(ctx, s))
			before = len(s.writes())
		}
		s.settle(ctx, refusedOnTrial.reached(ctx, s))
		// Whom it waits for it tells of after 2 seconds.
		Consistently(ctx, func() []inject.Write { return s.writes()[before:] }).WithTimeout(3 * time.Second).Should(BeEmpty())
		s.judge(ctx, "a start before istiod answers")
	})
})
