// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// maxSuspects bounds what is remembered. Whoever is forgotten is no worse off than a module that was never tried.
	maxSuspects = 1024

	shortestPause = 50 * time.Millisecond
	longestPause  = time.Second
)

// suspects are the modules with which the checker ended, and how often it did. They are tried alone, so that they take
// nobody else's check with them, until one of their checks ends well.
type suspects struct {
	mutex  sync.Mutex
	deaths map[[sha256.Size]byte]int
}

func (s *suspects) has(module [sha256.Size]byte) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.deaths[module] > 0
}

func (s *suspects) blame(module [sha256.Size]byte) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.deaths[module] == 0 && len(s.deaths) >= maxSuspects {
		for other := range s.deaths {
			delete(s.deaths, other)
			break
		}
	}
	s.deaths[module]++
	return s.deaths[module]
}

func (s *suspects) clear(module [sha256.Size]byte) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.deaths, module)
}

// awaitReturn waits for a checker that ended.
func (c *Client) awaitReturn(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, c.options.Wait)
	defer cancel()
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		if c.healthy(waiting) {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-waiting.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("wait for the checker: %w", ctx.Err())
			}
			// The next one who finds nobody need not wait as long.
			c.ended.Store(false)
			return &Unavailable{"the checker ended and is not back yet; the plugin is tried when it is"}
		}
	}
}

func (c *Client) healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, anyHost+pathHealth, http.NoBody)
	if err != nil {
		return false
	}
	response, err := c.http.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}
