// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"net/http"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
	"github.com/solarmesh/wasmplugin-operator/test/faults/oracle"
)

// hold keeps requests on their way, and delivers them when it is told to, even if whoever sent them has gone.
type hold struct {
	o    *operator
	what []inject.Match

	mu    sync.Mutex
	taken []bool
	// release lets them go.
	release chan struct{}
}

// holds has the first request kept that each of the matches is about.
func (o *operator) holds(what ...inject.Match) *hold {
	h := &hold{o: o, what: what, taken: make([]bool, len(what)), release: make(chan struct{})}
	o.layer.Add(h.serve)
	return h
}

func (h *hold) serve(w http.ResponseWriter, r *http.Request) bool {
	if !h.take(r) {
		return false
	}
	<-h.release
	h.o.proxy.Forward(w, r.WithContext(context.WithoutCancel(r.Context())))
	return true
}

func (h *hold) take(r *http.Request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, match := range h.what {
		if !h.taken[i] && match(r) {
			h.taken[i] = true
			return true
		}
	}
	return false
}

// all says whether every request has come that is to be kept.
func (h *hold) all() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !slices.Contains(h.taken, false)
}

// deliver lets the requests go, and returns what the API server answered, by the name of the object.
func (h *hold) deliver(ctx context.Context, namespace string) map[string]int {
	GinkgoHelper()
	close(h.release)
	answers := map[string]int{}
	Eventually(ctx, func() map[string]int {
		for _, write := range h.o.layer.Writes(namespace) {
			if write.Injected {
				answers[write.Name] = write.Status
			}
		}
		return answers
	}).Should(HaveLen(len(h.what)))
	return answers
}

const (
	// young is made when the leader freezes, renewed made again in the meantime, reported has but its status to come.
	young    = "young"
	renewed  = "renewed"
	reported = "reported"
)

// frozenMidWrite freezes the leader between what it has read and what it writes of it: a change of the subject, new
// plugins, a status. Its requests come to the API server when the other one has written something newer.
func (r *replicas) frozenMidWrite(ctx context.Context) {
	GinkgoHelper()
	s := newScene(ctx, r.both[0], r.both[1])
	s.create(ctx, s.newPlugin(bystander))
	s.create(ctx, s.newPlugin(reported))
	s.take(ctx, []step{created})
	s.mayNotTouch(ctx)

	leader, standby := r.roles(ctx)
	late := leader.holds(
		inject.About(inject.IsChildWrite, s.namespace, subject), inject.About(inject.IsChildWrite, s.namespace, young),
		inject.About(inject.IsChildWrite, s.namespace, renewed), inject.About(inject.IsStatusWrite, s.namespace, reported),
	)
	s.create(ctx, s.newPlugin(young))
	s.create(ctx, s.newPlugin(renewed))
	s.patchAll(ctx, "second", subject, reported)
	Eventually(ctx, late.all).Should(BeTrue())
	Expect(leader.Freeze()).To(Succeed())

	s.operators = []*operator{standby}
	s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
	s.remove(ctx, renewed)
	s.create(ctx, s.newPlugin(renewed))
	s.patchAll(ctx, "third", subject, reported, young)
	s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })

	s.nothingHappens(ctx, func() {
		Expect(late.deliver(ctx, s.namespace)).To(Equal(map[string]int{
			subject + "-config": http.StatusConflict, young + "-config": http.StatusConflict,
			renewed + "-config": http.StatusConflict, reported: http.StatusConflict,
		}))
		Expect(leader.Thaw()).To(Succeed())
		leader.lost(ctx)
	})
	r.succeeded(ctx, s, "leader frozen between what it read and what it wrote")
}

// patchAll gives plugins other rules.
func (s *scene) patchAll(ctx context.Context, rules string, plugins ...string) {
	GinkgoHelper()
	for _, plugin := range plugins {
		s.patch(ctx, plugin, `{"spec": {"rules": {"text": "`+rules+`"}}}`)
	}
}

// nothingHappens says that an old leader changes nothing, and that the new one has nothing to mend.
func (s *scene) nothingHappens(ctx context.Context, during func()) {
	GinkgoHelper()
	before := s.soFar(ctx)
	during()
	s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
	after := s.soFar(ctx)
	since := before[len(before)-1].Version()
	Expect(slices.DeleteFunc(after, func(event oracle.Event) bool {
		return event.Version() <= since || event.Object.GetName() == mark
	}).String()).To(BeEmpty())
}
