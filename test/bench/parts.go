// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// profileCreate saves profiles of the operator and of the API server, for as long as the first round took. The function that
// it returns waits for them.
func (s *session) profileCreate(ctx context.Context, o *operator) func() error {
	query := fmt.Sprintf("profile?seconds=%d", max(2, int(s.first.Seconds)))
	saved := make(chan error, 2)
	go func() { saved <- o.profile(ctx, query, s.profileFile("create")) }()
	go func() {
		body, err := s.admin.do(ctx, request{method: http.MethodGet, path: "/debug/pprof/" + query, accept: "*/*"})
		saved <- errors.Join(err, os.WriteFile(s.profileFile("apiserver"), body, 0o600))
	}()
	return func() error { return errors.Join(<-saved, <-saved) }
}

// profileRestart saves profiles of an operator that starts with all plugins, and of its memory.
func (s *session) profileRestart(ctx context.Context) error {
	saved := make(chan error, 1)
	_, err := s.restart(ctx, s.o, s.fleet, func() {
		saved <- chain.Until(ctx, func(ctx context.Context) error {
			return s.o.profile(ctx, "profile?seconds=1", s.profileFile("restart"))
		})
	})
	if err != nil {
		return err
	}
	return errors.Join(<-saved, s.o.profile(ctx, "heap?gc=1", s.profileFile("heap")))
}

// end ends the operator and removes everything.
func (s *session) end(ctx context.Context) error {
	return errors.Join(s.o.Stop(ctx), s.remove(ctx))
}

// wait counts the requests while nothing happens.
func (s *session) wait(ctx context.Context) error {
	s.o.Reset()
	timer := time.NewTimer(s.plan.quiet)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.found.Quiet = float64(s.o.traffic().Total) / s.plan.quiet.Minutes()
	return nil
}

// single is about one plugin at a time. It ends the operator.
func (s *session) single(ctx context.Context) error {
	var err error
	if s.found.Edit, err = s.drift(ctx, s.o, s.fleet, s.plan.latencies, editByHand); err != nil {
		return err
	}
	if s.found.Delete, err = s.drift(ctx, s.o, s.fleet, s.plan.latencies, deleteByHand); err != nil {
		return err
	}
	if s.found.Idle, err = s.createIdle(ctx, s.o, s.fleet, s.fleet.n, s.plan.latencies); err != nil {
		return err
	}
	s.fleet.n += s.plan.latencies
	return errors.Join(s.o.rest(ctx), s.o.Stop(ctx))
}

func (s *session) replicas(ctx context.Context) error {
	var err error
	s.found.Failover, err = s.failOver(ctx, s.fleet)
	s.fleet.n += 2
	return err
}

// inBacklog is how many plugins are created while others are rendered anew.
const inBacklog = 10

func (s *session) renderAnew(ctx context.Context) error {
	var err error
	s.found.Backlog, s.found.BacklogLeft, err = s.backlog(ctx, s.ours, s.fleet, inBacklog)
	s.fleet.n += inBacklog
	return err
}

// removed is how many plugins the garbage collector is given: it is slow by its own limits.
const removed = 20

// delete deletes some plugins while the operator and the garbage collector run, and then all without them.
func (s *session) delete(ctx context.Context) (err error) {
	o, err := s.startOperator(ctx, "operator", s.ours, otherRendering)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Kill(ctx)) }()
	if err := errors.Join(o.ready(ctx, s.fleet.n), s.cluster.StartControllerManager(ctx)); err != nil {
		return err
	}
	o.Reset()
	for i := range min(removed, s.fleet.n) {
		if err := s.fleet.removePlugin(ctx, s.admin, i); err != nil {
			return err
		}
	}
	err = untilNil(ctx, 2*time.Minute, func(ctx context.Context) error { return s.fleet.collected(ctx, s.admin, min(removed, s.fleet.n)) })
	if err := errors.Join(err, o.rest(ctx)); err != nil {
		return err
	}
	s.found.Removed, s.found.RemovedPlugins = o.traffic(), min(removed, s.fleet.n)
	return errors.Join(o.Stop(ctx), s.cluster.ControllerManager.Stop(), s.remove(ctx))
}

func (s *session) bigRules(ctx context.Context) error {
	// More would not fit into etcd as it is set up by default.
	s.found.BigPlugins = min(s.plan.plugins, 1000)
	var err error
	s.found.BigEmpty, s.found.BigFull, err = s.withBigRules(ctx, s.found.BigPlugins)
	return err
}
