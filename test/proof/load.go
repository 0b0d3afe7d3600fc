// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// pace is the time between two requests: 250 a second.
const pace = 4 * time.Millisecond

// load asks one URL again and again, and counts the answers that aren't 200.
type load struct {
	url    string
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}

	open         sync.WaitGroup
	mutex        sync.Mutex
	paused       bool
	sent, failed int
}

func startLoad(ctx context.Context, url string) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{url: url, client: &http.Client{Timeout: 10 * time.Second}, cancel: cancel, done: make(chan struct{})}
	go l.run(ctx)
	return l
}

// run leaves requests waiting beside each other where answers take longer than the pace.
func (l *load) run(ctx context.Context) {
	defer close(l.done)
	defer l.open.Wait()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		l.send(context.WithoutCancel(ctx))
	}
}

func (l *load) send(ctx context.Context) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if !l.paused {
		l.open.Go(func() { l.count(l.ask(ctx)) })
	}
}

func (l *load) ask(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := l.client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.StatusCode == http.StatusOK
}

func (l *load) count(good bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.sent++
	if !good {
		l.failed++
	}
}

// pause lets open requests end, and sends none until resume: the gateway is not there.
func (l *load) pause() {
	l.mutex.Lock()
	l.paused = true
	l.mutex.Unlock()
	l.open.Wait()
}

func (l *load) resume() {
	l.client.CloseIdleConnections()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.paused = false
}

func (l *load) stop() (sent, failed int) {
	l.cancel()
	<-l.done
	l.client.CloseIdleConnections()
	return l.sent, l.failed
}
