// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/watch"
)

// latency is how long one thing took, done again and again, in milliseconds. It counts from before the request that begins
// it, so that a round trip is in it.
type latency struct {
	Times int     `json:"times"`
	P50   float64 `json:"p50ms"`
	P99   float64 `json:"p99ms"`
	// Request is the median of the request that begins it.
	Request float64 `json:"requestP50ms"`
	// Writes are those of the operator, each time.
	Writes float64 `json:"writes"`
}

// stopwatch collects times.
type stopwatch struct{ all, requests []time.Duration }

func (s *stopwatch) latency(t traffic) latency {
	return latency{
		Times: len(s.all), P50: percentile(s.all, 50), P99: percentile(s.all, 99), Request: percentile(s.requests, 50),
		Writes: ratio(float64(t.Writes), float64(len(s.all))),
	}
}

// percentile is the least time that so many of a hundred don't exceed, in milliseconds.
func percentile(times []time.Duration, percent int) float64 {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	index := max(0, (len(sorted)*percent+99)/100-1)
	return float64(sorted[index].Microseconds()) / 1000
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// createIdle creates plugins from the first one on, each when nothing else is going on, until both its EnvoyFilters are seen.
func (w *world) createIdle(ctx context.Context, o *operator, f fleet, first, times int) (latency, error) {
	seen, err := w.observe(ctx)
	if err != nil {
		return latency{}, err
	}
	defer seen.stop()
	var s stopwatch
	o.Reset()
	for i := first; i < first+times; i++ {
		if err := s.create(ctx, w.admin, seen, f, i); err != nil {
			return latency{}, err
		}
		if _, err := o.wait(ctx, writesOf*(i-first+1)); err != nil {
			return latency{}, err
		}
	}
	return s.latency(o.traffic()), nil
}

// create times one creation.
func (s *stopwatch) create(ctx context.Context, admin *api, seen *observer, f fleet, i int) error {
	mark, start := seen.mark(), time.Now()
	if _, err := f.create(ctx, admin, i); err != nil {
		return err
	}
	s.requests = append(s.requests, time.Since(start))
	at, err := seen.added(ctx, mark, f.children(i)...)
	if err == nil {
		s.all = append(s.all, at.Sub(start))
	}
	return err
}

// drift edits or deletes EnvoyFilters by hand, one at a time, until each is as it was.
func (w *world) drift(ctx context.Context, o *operator, f fleet, times int, byHand hand) (latency, error) {
	seen, err := w.observe(ctx)
	if err != nil {
		return latency{}, err
	}
	defer seen.stop()
	var s stopwatch
	o.Reset()
	for i := range times {
		name := f.children(i % f.n)[i%2]
		mark, start := seen.mark(), time.Now()
		repaired, err := byHand(ctx, w.admin, name)
		if err != nil {
			return latency{}, err
		}
		s.requests = append(s.requests, time.Since(start))
		at, err := seen.wait(ctx, mark, repaired)
		if err != nil {
			return latency{}, fmt.Errorf("%s: %w", name, err)
		}
		s.all = append(s.all, at.Sub(start))
	}
	err = o.rest(ctx)
	return s.latency(o.traffic()), err
}

// hand changes an EnvoyFilter as a user would, and returns how one sees that it was repaired.
type hand func(ctx context.Context, admin *api, name string) (func(sighting) bool, error)

func editByHand(ctx context.Context, admin *api, name string) (func(sighting) bool, error) {
	edited, err := admin.doMeta(ctx, request{
		method: http.MethodPatch, path: envoyFiltersPath + "/" + name + "?fieldManager=somebody", contentType: asMergePatch,
		body: []byte(`{"spec":{"priority":77}}`),
	})
	return func(s sighting) bool { return s.Name == name && s.Generation > edited.Generation }, err
}

func deleteByHand(ctx context.Context, admin *api, name string) (func(sighting) bool, error) {
	_, err := admin.do(ctx, request{method: http.MethodDelete, path: envoyFiltersPath + "/" + name})
	return func(s sighting) bool { return s.Name == name && s.kind == watch.Added }, err
}

// otherRendering is a flag by which the operator takes all that stands for rendered by another version of it: it then refuses
// some plugins, none of them ours.
const otherRendering = "--istio-version=1.24"

// backlog has the operator, which must not run, render all plugins anew, as a new version of it does, and creates others
// meanwhile, until both their EnvoyFilters are seen. It returns how many were still to be rendered at the end, too.
func (w *world) backlog(ctx context.Context, m *meter, f fleet, times int) (found latency, left int, err error) {
	seen, err := w.observe(ctx)
	if err != nil {
		return found, 0, err
	}
	defer seen.stop()
	m.Reset()
	o, err := w.startOperator(ctx, "backlog", m, otherRendering)
	if err != nil {
		return found, 0, err
	}
	defer func() { err = errors.Join(err, o.Stop(ctx)) }()
	err = untilNil(ctx, time.Minute, func(context.Context) error {
		if o.traffic().Writes == 0 {
			return errors.New("nothing is rendered anew")
		}
		return nil
	})
	if err != nil {
		return found, 0, err
	}
	var s stopwatch
	for i := f.n; i < f.n+times; i++ {
		if err := s.create(ctx, w.admin, seen, f, i); err != nil {
			return found, 0, err
		}
		left = f.n - f.renderedAnew(o.meter)
	}
	return s.latency(traffic{}), left, o.rest(ctx)
}

// renderedAnew counts the plugins whose second EnvoyFilter was written.
func (f fleet) renderedAnew(m *meter) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := 0
	for i := range f.n {
		if m.written[envoyFiltersPath+"/"+f.children(i)[1]] {
			count++
		}
	}
	return count
}
