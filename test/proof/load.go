// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// pace is the time between two requests: 250 a second. A machine that can't do at least atLeast proves nothing.
	pace    = 4 * time.Millisecond
	atLeast = 200
	// ownConnection: each tenth request has a connection of its own, the others share some.
	ownConnection = 10
)

// load asks one URL again and again, and counts the answers that aren't 200.
type load struct {
	url    string
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}

	open  sync.WaitGroup
	mutex sync.Mutex
	// paused says that there is no gateway to ask; active is how long there was one, up to since.
	paused bool
	since  time.Time
	active time.Duration
	// phase is what happens at the moment; failures counts by it and by what was answered.
	phase        string
	failures     map[string]int
	sent, failed int
}

func startLoad(ctx context.Context, url string) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{
		url: url, cancel: cancel, done: make(chan struct{}), since: time.Now(), failures: map[string]int{},
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100}},
	}
	go l.run(ctx)
	return l
}

// run leaves requests waiting beside each other where answers take longer than the pace, and makes up for late ticks.
func (l *load) run(ctx context.Context) {
	defer close(l.done)
	defer l.open.Wait()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	next := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for ; !next.After(time.Now()); next = next.Add(pace) {
			l.send(context.WithoutCancel(ctx))
		}
	}
}

func (l *load) send(ctx context.Context) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.paused {
		return
	}
	l.sent++
	phase, alone := l.phase, l.sent%ownConnection == 0
	l.open.Go(func() {
		if err := l.ask(ctx, alone); err != nil {
			l.fail(phase, err)
		}
	})
}

func (l *load) ask(ctx context.Context, alone bool) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, http.NoBody)
	if err != nil {
		return err
	}
	request.Close = alone
	response, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err = io.Copy(io.Discard, response.Body); err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d", response.StatusCode)
	}
	return err
}

func (l *load) fail(phase string, err error) {
	// Without the port of the client, which differs each time.
	_, reason, found := strings.Cut(err.Error(), "->")
	if !found {
		reason = err.Error()
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.failed++
	l.failures[phase+": "+reason]++
}

// enter names what happens from now on.
func (l *load) enter(phase string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.phase = phase
}

// pause lets open requests end, and sends none until resume: the gateway is not there.
func (l *load) pause() {
	l.mutex.Lock()
	l.paused = true
	l.active += time.Since(l.since)
	l.mutex.Unlock()
	l.open.Wait()
}

func (l *load) resume() {
	l.client.CloseIdleConnections()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.paused, l.since = false, time.Now()
}

// stop returns how many requests were sent a second, and what the failed ones were answered.
func (l *load) stop() (rate float64, failures []string) {
	l.cancel()
	l.pause()
	<-l.done
	l.client.CloseIdleConnections()
	for what, count := range l.failures {
		failures = append(failures, fmt.Sprintf("%d × %s", count, what))
	}
	slices.Sort(failures)
	return float64(l.sent) / l.active.Seconds(), failures
}
