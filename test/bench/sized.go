// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// sized is what was found with a number of plugins.
type sized struct {
	Plugins int `json:"plugins"`
	// Create and Raw are the rounds, of which the operator's and the raw client's alternate.
	Create []cost `json:"create"`
	Raw    []cost `json:"raw"`
	Change []cost `json:"change"`
	Touch  []cost `json:"touch"`
	// Restart is with all plugins as they should be.
	Restart []cost `json:"restart"`
	// Empty is an operator without plugins, Full one that created all, Started one that found them at its start.
	Empty   memory `json:"empty"`
	Full    memory `json:"full"`
	Started memory `json:"started"`
	// BigEmpty and BigFull are the same with large rules, of BigPlugins plugins.
	BigPlugins int    `json:"bigPlugins"`
	BigEmpty   memory `json:"bigEmpty"`
	BigFull    memory `json:"bigFull"`
	// Idle is a plugin that is created while nothing else happens.
	Idle   latency `json:"idle"`
	Edit   latency `json:"edit"`
	Delete latency `json:"delete"`
	// Backlog is a plugin that is created while all others are rendered anew, of which BacklogLeft were left at the end.
	Backlog     latency `json:"backlog"`
	BacklogLeft int     `json:"backlogLeft"`
	// Quiet are the requests of a minute in which nothing happens.
	Quiet float64 `json:"quietPerMinute"`
	// Removed is what the operator does when plugins are deleted, RemovedPlugins how many.
	Removed        traffic  `json:"removed"`
	RemovedPlugins int      `json:"removedPlugins"`
	Failover       failover `json:"failover"`
}

// plan says how often, by the number of plugins.
type plan struct {
	plugins, rounds, again, latencies int
	quiet                             time.Duration
	profiles                          string
	// waves says to stop after what happens to all plugins at a time.
	waves bool
}

// planFor does less of what takes long.
func planFor(plugins int) plan {
	p := plan{plugins: plugins, rounds: 5, again: 5, latencies: 100, quiet: 30 * time.Second}
	if plugins > 1000 {
		p.rounds, p.again = 2, 3
	}
	if plugins > 5000 {
		p.rounds = 1
	}
	return p
}

// session is a size that is being measured.
type session struct {
	*world
	plan plan
	// fleet grows by what is created in between.
	fleet fleet
	found *sized
	o     *operator
	// first is the round that counts for nothing.
	first cost
}

// measureSize measures everything with a number of plugins. None stands before and after.
func (w *world) measureSize(ctx context.Context, p plan) (found sized, err error) {
	found.Plugins = p.plugins
	s := &session{world: w, plan: p, fleet: fleet{n: p.plugins}, found: &found}
	for _, part := range s.parts() {
		w.say("%d plugins: %s", p.plugins, part.name)
		if err := part.do(ctx); err != nil {
			return found, fmt.Errorf("%d plugins: %s: %w", p.plugins, part.name, err)
		}
	}
	return found, nil
}

type part struct {
	name string
	do   func(context.Context) error
}

// parts are what is measured, in an order in which each needs what the one before leaves.
func (s *session) parts() []part {
	waves := []part{{"creating, beside the raw client", s.alternate}, {"changing, touching, restarting", s.waves}}
	if s.plan.waves {
		return append(waves, part{"removing", s.end})
	}
	return append(waves,
		part{"waiting", s.wait},
		part{"one at a time", s.single},
		part{"failing over", s.replicas},
		part{"rendering anew", s.renderAnew},
		part{"deleting", s.delete},
		part{"large rules", s.bigRules},
	)
}

// alternate has the operator and the raw client create all plugins in turns: ABBA, so that a machine that gets slower or
// faster does it to both. The first round of the operator counts for nothing: the raw client learns from it what to write.
func (s *session) alternate(ctx context.Context) error {
	s.ours.record(true)
	defer s.ours.record(false)
	var err error
	if s.first, err = s.createOnce(ctx, false); err != nil {
		return err
	}
	s.ours.record(false)
	for round := range s.plan.rounds {
		turns := []func(context.Context) error{s.ourTurn, s.rawTurn}
		if round%2 == 1 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		for _, turn := range turns {
			if err := turn(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) rawTurn(ctx context.Context) error {
	c, err := s.raw(ctx, s.fleet)
	s.found.Raw = append(s.found.Raw, c)
	return errors.Join(err, s.remove(ctx))
}

func (s *session) ourTurn(ctx context.Context) error {
	c, err := s.createOnce(ctx, s.plan.profiles != "" && len(s.found.Create) == s.plan.rounds-1)
	s.found.Create = append(s.found.Create, c)
	return err
}

// createOnce starts an operator, has it create everything, and removes all of it.
func (s *session) createOnce(ctx context.Context, profiled bool) (c cost, err error) {
	o, err := s.startOperator(ctx, "operator", s.ours)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, o.Kill(ctx)) }()
	if err := o.ready(ctx, 0); err != nil {
		return c, err
	}
	if s.found.Empty, err = o.memory(ctx); err != nil {
		return c, err
	}
	saved := func() error { return nil }
	if profiled {
		saved = s.profileCreate(ctx, o)
	}
	if c, err = s.create(ctx, o, s.fleet); err != nil {
		return c, err
	}
	if err = saved(); err != nil {
		return c, err
	}
	if s.found.Full, err = o.memory(ctx); err != nil {
		return c, err
	}
	return c, errors.Join(o.Stop(ctx), s.remove(ctx))
}

func (s *session) profileFile(name string) string {
	return filepath.Join(s.plan.profiles, fmt.Sprintf("%s-%d.pb.gz", name, s.plan.plugins))
}

// waves are what happens to all plugins. They stand from here on, and the operator runs.
func (s *session) waves(ctx context.Context) error {
	var err error
	if s.o, err = s.startOperator(ctx, "operator", s.ours); err != nil {
		return err
	}
	if err := s.o.ready(ctx, 0); err != nil {
		return err
	}
	if _, err := s.create(ctx, s.o, s.fleet); err != nil {
		return err
	}
	for i := range s.plan.again {
		changed, err := s.change(ctx, s.o, s.fleet, i+2)
		if err != nil {
			return err
		}
		touched, err := s.touch(ctx, s.o, s.fleet, fmt.Sprintf("team-%d", i))
		if err != nil {
			return err
		}
		started, err := s.restart(ctx, s.o, s.fleet)
		if err != nil {
			return err
		}
		s.found.Change, s.found.Touch, s.found.Restart = append(s.found.Change, changed), append(s.found.Touch, touched), append(s.found.Restart, started)
	}
	if s.found.Started, err = s.o.memory(ctx); err != nil || s.plan.profiles == "" {
		return err
	}
	return s.profileRestart(ctx)
}
