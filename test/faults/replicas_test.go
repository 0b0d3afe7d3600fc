// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
	"github.com/solarmesh/wasmplugin-operator/test/faults/oracle"
)

// replicas are two operators of which one leads. The lease is client-go's: who leads renews it every 2 s and gives up
// after 10 s without; who waits takes it when it has seen it unchanged for 15 s.
type replicas struct{ both [2]*operator }

// newReplicas starts them. In the end the one that leads gives the lease back, so that the next ones needn't wait for it.
func newReplicas(ctx context.Context) *replicas {
	GinkgoHelper()
	r := &replicas{}
	for i := range r.both {
		r.both[i] = newOperator(ctx, "--leader-elect=true", "--leader-election-namespace=wasmplugin-system")
		if i == 0 {
			Eventually(ctx, leads).WithArguments(r.both[0]).Should(BeTrue())
		}
	}
	DeferCleanup(func() {
		for _, o := range r.both {
			if o.Runs() {
				_ = o.Stop() // a spec that failed may have left it frozen
			}
		}
	})
	return r
}

// leads says whether an operator holds the lease. One that is frozen isn't to be asked.
func leads(ctx context.Context, o *operator) bool {
	leading, err := o.metric(ctx, "leader_election_master_status")
	return err == nil && leading == 1
}

// roles starts again what has ended, and says who leads and who waits.
func (r *replicas) roles(ctx context.Context) (leader, standby *operator) {
	GinkgoHelper()
	for _, o := range r.both {
		if !o.Runs() {
			o.restart(ctx)
		}
	}
	Eventually(ctx, func(g Gomega) {
		leader, standby = r.both[0], r.both[1]
		if !leads(ctx, leader) {
			leader, standby = standby, leader
		}
		g.Expect(leads(ctx, leader)).To(BeTrue())
		g.Expect(leads(ctx, standby)).To(BeFalse())
	}).Should(Succeed())
	return leader, standby
}

// restart starts a process again that has ended, after a look at what it said last.
func (o *operator) restart(ctx context.Context) {
	GinkgoHelper()
	Expect(oracle.Sound(oracle.Process{Log: o.Log()})).To(BeEmpty())
	Expect(o.Process.Kill()).To(Succeed())
	Eventually(ctx, o.proxy.Connections).Should(BeZero())
	o.proxy.Reset()
	Expect(o.Start(ctx)).To(Succeed())
}

// crash kills a process that no scene is to start again.
func (o *operator) crash() {
	if err := o.Process.Kill(); err == nil {
		tally.add(count{kills: 1})
	}
}

// lost waits until a process has given up since it no longer leads.
func (o *operator) lost(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, o.ExitCode).Should(Equal(1))
	Expect(o.Log()).To(ContainSubstring("leader election lost"))
}

// isLease matches the requests for the lease.
func isLease(r *http.Request) bool { return strings.Contains(r.URL.Path, "/leases/") }

// changesLease matches those that take or renew it.
func changesLease(r *http.Request) bool { return isLease(r) && r.Method != http.MethodGet }

// first says when the first request came that matches.
func (o *operator) first(match inject.Match) <-chan time.Time {
	seen := make(chan time.Time, 1)
	o.layer.Add(func(_ http.ResponseWriter, r *http.Request) bool {
		if match(r) {
			select {
			case seen <- time.Now():
			default:
			}
		}
		return false
	})
	return seen
}

// replicated is a scene of both replicas, in which the subject has a host of its own, and a bystander stands. What happens
// next is a change of four writes: the old and new configuration, the filter, the new configuration, the status.
func (r *replicas) replicated(ctx context.Context) *scene {
	GinkgoHelper()
	s := newScene(ctx, r.both[0], r.both[1])
	s.create(ctx, s.newPlugin(bystander))
	s.take(ctx, []step{created, at("a.example.com")})
	s.mayNotTouch(ctx)
	return s
}

const writesOfAChange = 4

// succeeded has the whole scene looked at when the leader has ended and the other one has done what was left.
func (r *replicas) succeeded(ctx context.Context, s *scene, what string) {
	GinkgoHelper()
	r.roles(ctx)
	s.operators = r.both[:]
	s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
	s.judge(ctx, what)
}

// tell says in the report how long something took. Nothing depends on it.
func tell(what string, took time.Duration) {
	AddReportEntry(fmt.Sprintf("%s: %.1f s", what, took.Seconds()))
}

// killedLeader kills the leader after k of the writes of a change.
func (r *replicas) killedLeader(ctx context.Context, k int) {
	GinkgoHelper()
	s := r.replicated(ctx)
	leader, standby := r.roles(ctx)
	next := standby.first(inject.WritesOf(s.namespace))
	killed := make(chan time.Time, 1)
	leader.layer.Set(leader.layer.Kill(k, inject.WritesOf(s.namespace), func() { leader.crash(); killed <- time.Now() }))
	at("b.example.com").do(ctx, s)
	since := time.Time{}
	Eventually(ctx, killed).Should(Receive(&since))

	s.operators = []*operator{standby}
	s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
	Expect(s.writes()).To(HaveLen(writesOfAChange-k), "no more than was left")
	if k < writesOfAChange {
		tell(fmt.Sprintf("leader killed after %d of %d writes, until the next write", k, writesOfAChange), (<-next).Sub(since))
	}
	r.succeeded(ctx, s, fmt.Sprintf("leader killed after %d writes", k))
}

// waited has looked at all requests of a replica since its start: of plugins and EnvoyFilters it reads metadata, and it
// changes nothing.
func waited(o *operator) {
	GinkgoHelper()
	requests := o.proxy.Requests()
	Expect(requests).NotTo(BeEmpty())
	for _, request := range requests {
		Expect(request.Method).To(Equal(http.MethodGet), "%+v", request)
		for _, kind := range []string{inject.EnvoyFilters, inject.WasmPlugins} {
			if strings.Contains(request.Path, "/"+kind) {
				Expect(request.Accept).To(ContainSubstring("as=PartialObjectMetadata"), "%+v", request)
			}
		}
	}
}

var _ = Describe("Of two replicas", Ordered, func() {
	var r *replicas
	BeforeAll(func(ctx SpecContext) { r = newReplicas(ctx) })

	It("the one that waits writes nothing and reads no spec", func(ctx SpecContext) {
		_, standby := r.roles(ctx)
		s := newScene(ctx, r.both[0], r.both[1])
		s.create(ctx, s.newPlugin(bystander))
		s.take(ctx, []step{created, changed, at("a.example.com")})
		s.mayNotTouch(ctx)
		s.take(ctx, []step{deleted})
		waited(standby)
		s.judge(ctx, "a replica that waits")
	})

	It("one goes on where the other one was killed", func(ctx SpecContext) {
		r.killedLeader(ctx, 2)
	})

	It("a frozen leader's last writes are refused when the other one has gone on", func(ctx SpecContext) {
		r.frozenMidWrite(ctx)
	})
})
