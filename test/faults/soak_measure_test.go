// SPDX-License-Identifier: Apache-2.0

//go:build long

package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// samples are the resident memory of a process over its life.
type samples struct {
	minutes, megabytes []float64
}

// warmUp is how long a process may take to grow to its size.
func warmUp() time.Duration { return min(3*time.Minute, soakTime/3) }

// told is the memory at every third minute.
func (s *samples) told() string {
	var text []string
	next := 0.0
	for i, minute := range s.minutes {
		if minute >= next {
			text = append(text, fmt.Sprintf("%.1f", s.megabytes[i]))
			next = minute + 3
		}
	}
	return strings.Join(text, " ")
}

// take adds the memory of a process as it is now.
func (s *samples) take(since time.Duration, p *chain.Process) {
	GinkgoHelper()
	s.minutes, s.megabytes = append(s.minutes, since.Minutes()), append(s.megabytes, megabytesOf(p, "VmRSS"))
}

// megabytesOf is a field of /proc/PID/status.
func megabytesOf(p *chain.Process, field string) float64 {
	GinkgoHelper()
	bytes, err := p.Memory(field)
	Expect(err).NotTo(HaveOccurred())
	return float64(bytes) / (1 << 20)
}

// after are the samples from some time on.
func (s *samples) after(since time.Duration) *samples {
	for i, minute := range s.minutes {
		if minute >= since.Minutes() {
			return &samples{s.minutes[i:], s.megabytes[i:]}
		}
	}
	return &samples{}
}

// slope is that of the straight line that is nearest to all samples (least squares), in MB per 10 minutes.
func (s *samples) slope() float64 {
	var meanX, meanY, xy, xx float64
	n := float64(len(s.minutes))
	for i := range s.minutes {
		meanX, meanY = meanX+s.minutes[i]/n, meanY+s.megabytes[i]/n
	}
	for i := range s.minutes {
		xy += (s.minutes[i] - meanX) * (s.megabytes[i] - meanY)
		xx += (s.minutes[i] - meanX) * (s.minutes[i] - meanX)
	}
	if xx == 0 {
		return 0
	}
	return 10 * xy / xx
}

func TestSlope(t *testing.T) {
	s := samples{minutes: []float64{3, 4, 5, 6}, megabytes: []float64{50, 50.2, 50.2, 50.4}}
	if got := s.slope(); got < 1.19 || got > 1.21 {
		t.Errorf("got %v, want 1.2", got)
	}
	if got := s.told(); got != "50.0 50.4" {
		t.Errorf("told %q", got)
	}
	if got := s.after(4 * time.Minute).told(); got != "50.2" {
		t.Errorf("told %q of the end", got)
	}
	if got := (&samples{}).slope(); got != 0 {
		t.Errorf("got %v for no samples", got)
	}
}

// The processes that are compared: the one that lives throughout, and whichever replica leads or waits.
const (
	steady  = "steady"
	leading = "leading"
	waiting = "waiting"
)

// parts tells what the memory of the process that lives consists of, in MB: what Go's runtime has of the kernel, by its use, and
// what is mapped from the binary.
func (s *soak) parts(ctx context.Context) string {
	GinkgoHelper()
	var told []string
	for _, name := range []string{"heap_inuse", "heap_idle", "heap_released", "stack_inuse", "mspan_inuse", "buck_hash_sys", "gc_sys", "other_sys"} {
		bytes, err := s.steady.metric(ctx, "go_memstats_"+name+"_bytes")
		Expect(err).NotTo(HaveOccurred())
		told = append(told, fmt.Sprintf("%s %.2f", name, bytes/(1<<20)))
	}
	for _, field := range []string{"RssAnon", "RssFile"} {
		told = append(told, fmt.Sprintf("%s %.2f", field, megabytesOf(s.steady.Process, field)))
	}
	return strings.Join(told, ", ")
}

// goroutines counts those of each process but for two of every connection: idle ones stay for some time.
func (s *soak) goroutines(ctx context.Context) map[string]float64 {
	GinkgoHelper()
	leader, standby := s.roles(ctx)
	counts := map[string]float64{}
	for role, o := range map[string]*operator{steady: s.steady, leading: leader, waiting: standby} {
		total, err := o.metric(ctx, "go_goroutines")
		Expect(err).NotTo(HaveOccurred())
		counts[role] = total - 2*float64(o.proxy.Connections())
	}
	return counts
}
