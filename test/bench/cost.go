// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"
)

// cost is what a step took.
type cost struct {
	// Seconds until all was written, by the clock: it depends on what else the machine does.
	Seconds float64 `json:"seconds"`
	// Begun is when the first request came.
	Begun float64 `json:"secondsToFirstRequest"`
	traffic
	// CPU seconds of processes, until nothing was under way any more.
	OperatorCPU  float64 `json:"operatorCPU"`
	APIServerCPU float64 `json:"apiserverCPU"`
	EtcdCPU      float64 `json:"etcdCPU"`
	// Failures are writes that were refused.
	Failures []string `json:"failures,omitempty"`
}

// step does something, and returns when it was done. It returns when nothing is under way any more.
type step func(ctx context.Context) (time.Time, error)

// measure measures a step of a meter's client. The operator may be nil.
func (w *world) measure(ctx context.Context, m *meter, o *operator, do step) (cost, error) {
	pids := []int{0, w.cluster.APIServer.PID(), w.cluster.Etcd.PID()}
	if o != nil {
		pids[0] = o.PID()
	}
	before, err := cpus(pids)
	if err != nil {
		return cost{}, err
	}
	m.Reset()
	start := time.Now()
	done, err := do(ctx)
	if err != nil {
		return cost{}, err
	}
	after, err := cpus(pids)
	if err != nil {
		return cost{}, err
	}
	return cost{
		Seconds: done.Sub(start).Seconds(), Begun: m.begun(start).Sub(start).Seconds(), traffic: m.traffic(), Failures: m.failed(),
		OperatorCPU: after[0] - before[0], APIServerCPU: after[1] - before[1], EtcdCPU: after[2] - before[2],
	}, nil
}

func cpus(pids []int) ([]float64, error) {
	seconds := make([]float64, len(pids))
	var errs []error
	for i, pid := range pids {
		if pid == 0 {
			continue
		}
		used, err := cpuOf(pid)
		seconds[i] = used.Seconds()
		errs = append(errs, err)
	}
	return seconds, errors.Join(errs...)
}
