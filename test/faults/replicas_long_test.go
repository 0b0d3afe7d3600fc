// SPDX-License-Identifier: Apache-2.0

//go:build long

package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
)

// frozenFor is longer than a lease lasts.
const frozenFor = 20 * time.Second

// asked has the leader end as an upgrade does, in the middle of a change: it gives the lease back.
func (r *replicas) asked(ctx context.Context) {
	GinkgoHelper()
	s := r.replicated(ctx)
	leader, standby := r.roles(ctx)
	next, before := standby.first(inject.WritesOf(s.namespace)), len(leader.layer.Writes(s.namespace))
	stopped := make(chan error, 1)
	leader.layer.Add(inject.First(1, inject.About(inject.IsChildWrite, s.namespace, subject), func(http.ResponseWriter, *http.Request) bool {
		go func() { stopped <- leader.Stop() }()
		return false
	}))
	at("b.example.com").do(ctx, s)
	Eventually(ctx, stopped).Should(Receive(Succeed()))
	since := time.Now()
	Expect(leader.ExitCode()).To(BeZero())
	Eventually(ctx, leads).WithArguments(standby).Should(BeTrue())
	tell("leader asked to end, from its end until the other one leads", time.Since(since))

	done := len(leader.layer.Writes(s.namespace)) - before
	s.operators = []*operator{standby}
	// If all was written when it ended, the other one is still to look at something.
	s.patch(ctx, subject, `{"spec": {"priority": 7}}`)
	s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
	tell("leader asked to end, from its end until the other one's first write", (<-next).Sub(since))
	AddReportEntry(fmt.Sprintf("writes of a change before the end: %d of %d", done, writesOfAChange))
	r.succeeded(ctx, s, "leader asked to end")
}

// frozen freezes the leader for longer than its lease, while plugins change. What it knew, it knows again when it goes on.
func (r *replicas) frozen(ctx context.Context) {
	GinkgoHelper()
	s := r.replicated(ctx)
	s.create(ctx, s.newPlugin(reported))
	s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
	leader, standby := r.roles(ctx)
	Expect(leader.Freeze()).To(Succeed())
	since, before := time.Now(), len(leader.layer.Writes(s.namespace))
	s.operators = []*operator{standby}
	s.remove(ctx, reported)
	s.take(ctx, []step{changed, at("b.example.com"), deleted, created, changed})
	Eventually(ctx, time.Since).WithArguments(since).Should(BeNumerically(">", frozenFor))
	s.nothingHappens(ctx, func() {
		Expect(leader.Thaw()).To(Succeed())
		leader.lost(ctx)
	})
	AddReportEntry(fmt.Sprintf("writes that a thawed leader still sent: %v", leader.layer.Writes(s.namespace)[before:]))
	r.succeeded(ctx, s, "leader frozen for longer than its lease")
}

// cutOff has the leader's requests for the lease fail in the middle of a change, whose second write stays on its way.
func (r *replicas) cutOff(ctx context.Context, what string, fault chain.Intercept) {
	GinkgoHelper()
	s := r.replicated(ctx)
	s.create(ctx, s.newPlugin(reported))
	s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
	leader, standby := r.roles(ctx)
	var failing, wrote latest
	leader.layer.Set(wrote.of(inject.WritesOf(s.namespace)))
	taken := standby.first(changesLease)
	first := true
	late := leader.holds(inject.Match(func(r *http.Request) bool {
		if !inject.About(inject.IsChildWrite, s.namespace, subject)(r) {
			return false
		}
		first = !first
		return first // the second one
	}))
	at("b.example.com").do(ctx, s)
	Eventually(ctx, late.all).Should(BeTrue())
	failing.note()
	leader.layer.Add(inject.Where(isLease, fault))

	// It goes on with the others as long as it may, and no longer.
	number := 0
	Eventually(ctx, func(g Gomega) {
		number++
		s.patchAll(ctx, fmt.Sprint(number), reported)
		g.Expect(leader.Runs()).To(BeFalse())
	}).WithPolling(200 * time.Millisecond).Should(Succeed())
	leader.lost(ctx)
	s.operators = []*operator{standby}
	s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
	Expect(standby.writesAbout(s, subject)).To(Equal(writesOfAChange-1), "no more than was left")
	since := time.Time{}
	Expect(taken).To(Receive(&since))
	tell(what+", until the old leader's last write", wrote.at().Sub(failing.at()))
	tell(what+", until the other one takes it", since.Sub(failing.at()))
	Expect(wrote.at()).To(BeTemporally("<", since), "nobody writes who no longer leads")
	s.nothingHappens(ctx, func() {
		Expect(late.deliver(ctx, s.namespace)).To(Equal(map[string]int{subject + "-filter": http.StatusConflict}))
	})
	leader.layer.Set()
	r.succeeded(ctx, s, what)
}

// writesAbout counts what an operator wrote of a plugin.
func (o *operator) writesAbout(s *scene, plugin string) int {
	count := 0
	for _, write := range o.layer.Writes(s.namespace) {
		if write.Name == plugin || write.Name == plugin+"-config" || write.Name == plugin+"-filter" {
			count++
		}
	}
	return count
}

// latest is a moment.
type latest struct{ nanoseconds atomic.Int64 }

func (l *latest) note()         { l.nanoseconds.Store(time.Now().UnixNano()) }
func (l *latest) at() time.Time { return time.Unix(0, l.nanoseconds.Load()) }

// of notes when the last request came that matches.
func (l *latest) of(match inject.Match) chain.Intercept {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if match(r) {
			l.note()
		}
		return false
	}
}

// blackHole answers nothing, until whoever asked gives up.
func blackHole(_ http.ResponseWriter, r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body) // a server hears of a client's end only when it has read all
	<-r.Context().Done()
	return true
}

var _ = Describe("Of two replicas, whatever becomes of one", Ordered, ContinueOnFailure, func() {
	var r *replicas
	BeforeAll(func(ctx SpecContext) { r = newReplicas(ctx) })

	for _, k := range []int{0, 1, 3, 4} {
		It(fmt.Sprintf("the other one goes on when it is killed after %d writes", k), func(ctx SpecContext) { r.killedLeader(ctx, k) })
	}
	It("the other one goes on when it is asked to end", func(ctx SpecContext) { r.asked(ctx) })
	It("the other one goes on while it is frozen, and it ends when it isn't any more", func(ctx SpecContext) { r.frozen(ctx) })
	It("the other one goes on when it is refused the lease", func(ctx SpecContext) {
		r.cutOff(ctx, "lease refused", chain.FailWith(http.StatusInternalServerError, isLease))
	})
	It("the other one goes on when it hears nothing about the lease", func(ctx SpecContext) {
		r.cutOff(ctx, "nothing heard about the lease", blackHole)
	})
})
