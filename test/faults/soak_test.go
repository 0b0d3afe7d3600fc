// SPDX-License-Identifier: Apache-2.0

//go:build long

package faults

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/faults/oracle"
)

// soakTime is how long the soak goes on: SOAK_MINUTES, or half an hour.
var soakTime = func() time.Duration {
	if minutes, err := strconv.Atoi(os.Getenv("SOAK_MINUTES")); err == nil && minutes > 0 {
		return time.Duration(minutes) * time.Minute
	}
	return 30 * time.Minute
}()

const (
	leaderChanges = 5
	// sampled is how often the resident memory is looked at.
	sampled = 10 * time.Second
	// mostGrowth is by how many MB it may grow in 10 minutes. In a shorter soak than telling the slope tells nothing.
	mostGrowth = 1.0
	telling    = 20 * time.Minute
)

// soak is a small cluster that people work in. Two replicas manage most namespaces. A third process, an installation of
// its own, manages the others, and lives as long as the soak.
type soak struct {
	*replicas
	steady *operator
	// scenes are all namespaces.
	scenes  []*scene
	churn   *churn
	resting map[string]float64
	memory  samples
	// lost counts replicas that gave up by themselves, since they couldn't renew the lease.
	changes, lost, restarts int
	// told is what was counted of goroutines, grown what the memory consists of at the end of the warm-up and of the soak.
	told  string
	grown []string
}

func newSoak(ctx context.Context) *soak {
	GinkgoHelper()
	s := &soak{replicas: &replicas{}}
	var names []string
	for range 6 {
		one := newCrowd(ctx)
		s.scenes, names = append(s.scenes, one), append(names, one.namespace)
	}
	s.scenes[5].behind(ctx)
	flags := append(observing(), "--leader-elect=true", "--leader-election-namespace=wasmplugin-system", "--watch-namespaces="+strings.Join(names[:4], ","))
	s.both[0] = newOperator(ctx, flags...)
	s.both[1] = newOperator(ctx, flags...)
	s.steady = newOperator(ctx, append(observing(), "--watch-namespaces="+strings.Join(names[4:], ","))...)
	for i, one := range s.scenes {
		if one.operators = s.both[:]; i >= 4 {
			one.operators = []*operator{s.steady}
		}
	}
	s.churn = newChurn(s.scenes)
	return s
}

// rest waits until all stands as the specs say and nothing is written any more.
func (s *soak) rest(ctx context.Context) {
	GinkgoHelper()
	for _, one := range s.scenes {
		one.settle(ctx, func(g Gomega) { one.asWished(ctx, g, asSpec) })
	}
	before := s.writes()
	Consistently(ctx, s.writes).WithTimeout(5 * time.Second).Should(Equal(before))
}

func (s *soak) writes() int {
	total := 0
	for _, one := range s.scenes {
		total += len(one.writes())
	}
	return total
}

// event is something that happens to the cluster.
type event struct {
	at time.Duration
	do func(ctx context.Context)
}

func (s *soak) events() []event {
	var events []event
	for i := 1; i <= leaderChanges; i++ {
		events = append(events, event{soakTime * time.Duration(i) / (leaderChanges + 1), s.changeLeader})
		switch i {
		case 2:
			events = append(events, event{soakTime / 3, func(ctx context.Context) { s.again(ctx, istiod.Process) }})
		case 3:
			events = append(events, event{soakTime / 2, func(ctx context.Context) { s.again(ctx, cluster.APIServer) }})
		}
	}
	return events
}

// changeLeader ends the replica that leads, by turns as an upgrade and as a crash do, and starts it again when the other
// one leads.
func (s *soak) changeLeader(ctx context.Context) {
	GinkgoHelper()
	leader, standby := s.roles(ctx)
	if s.changes++; s.changes%2 == 1 {
		Expect(leader.Stop()).To(Succeed())
	} else {
		leader.crash()
	}
	Eventually(ctx, leads).WithArguments(standby).Should(BeTrue())
	leader.restart(ctx)
}

// live lets the time pass, and has happen what is to happen.
func (s *soak) live(ctx context.Context) {
	GinkgoHelper()
	events, start, next := s.events(), time.Now(), time.Duration(0)
	for ticker := time.NewTicker(time.Second); time.Since(start) < soakTime; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.supervise(ctx)
		if len(events) > 0 && time.Since(start) >= events[0].at {
			events[0].do(ctx)
			events = events[1:]
		}
		if time.Since(start) >= next {
			next += sampled
			s.memory.take(time.Since(start), s.steady.Process)
			if len(s.grown) == 0 && time.Since(start) >= warmUp() {
				s.grown = append(s.grown, s.parts(ctx))
			}
			for _, o := range append(s.both[:], s.steady) {
				o.proxy.Reset() // what is remembered of requests would fill the memory
			}
		}
	}
	s.grown = append(s.grown, s.parts(ctx))
	Expect(events).To(BeEmpty(), "all of it has happened")
}

// supervise starts a replica again that gave up, as a kubelet does.
func (s *soak) supervise(ctx context.Context) {
	GinkgoHelper()
	for _, o := range s.both {
		if !o.Runs() {
			Expect(o.Log()).To(ContainSubstring("leader election lost"))
			s.lost++
			o.restart(ctx)
		}
	}
	Expect(s.steady.Runs()).To(BeTrue())
}

// report is all of it in a line.
func (s *soak) report(took time.Duration) string {
	return fmt.Sprintf("soak of %s: %d changes by users (%.1f in a second, %d failed), %d leader changes, %d leases lost, %d restarts of servers, "+
		"%d writes by operators; the process that lived: resident MB every 3 minutes %s, %+.2f in 10 minutes after %s, from (%s); goroutines at rest, before and after: %s",
		soakTime, s.churn.made.Load(), float64(s.churn.made.Load())/took.Seconds(), s.churn.failed.Load(), s.changes, s.lost, s.restarts,
		s.writes(), s.memory.told(), s.memory.after(warmUp()).slope(), warmUp(), strings.Join(s.grown, ") to ("), s.told)
}

var _ = Describe("For a long time", Ordered, func() {
	It("goes on with neither a wrong EnvoyFilter nor a leak", func(ctx SpecContext) {
		s := newSoak(ctx)
		s.churn.fill(ctx)
		s.rest(ctx)
		s.resting = s.goroutines(ctx)
		start := time.Now()
		stop := s.churn.start(ctx)
		s.live(ctx)
		stop()
		took := time.Since(start)
		s.rest(ctx)

		s.noLeak(ctx)
		AddReportEntry(s.report(took))
		Expect(s.churn.made.Load()).To(BeNumerically(">", soakTime.Seconds()), "it was worth it")
		var violations []string
		for _, o := range append(s.both[:], s.steady) {
			violations = append(violations, o.sound(ctx)...)
		}
		if slope := s.memory.after(warmUp()).slope(); soakTime >= telling && slope > mostGrowth {
			violations = append(violations, fmt.Sprintf("O8: the resident memory grows by %.2f MB in 10 minutes", slope))
		}
		judged("soak", violations)
	})
})

// again ends a server as a crash does, and starts it.
func (s *soak) again(ctx context.Context, server *chain.Process) {
	GinkgoHelper()
	Expect(server.Kill()).To(Succeed())
	Expect(server.Start(ctx)).To(Succeed())
	s.restarts++
}

// noLeak has the goroutines counted when all is at rest again.
func (s *soak) noLeak(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		var found []string
		counts := s.goroutines(ctx)
		s.told = fmt.Sprint(s.resting, counts)
		for role, now := range counts {
			for _, violation := range oracle.Sound(oracle.Process{Before: s.resting[role], After: now}) {
				found = append(found, role+": "+violation)
			}
		}
		g.Expect(found).To(BeEmpty())
	}).WithTimeout(3 * time.Minute).WithPolling(time.Second).Should(Succeed())
}
