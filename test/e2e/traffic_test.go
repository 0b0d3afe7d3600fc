// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Each stream sends at least enoughRequests before and after a change, and at most maxRequests in all.
const (
	enoughRequests = 50
	maxRequests    = 20000
)

// stream sends one request again and again and keeps what came back.
type stream struct {
	url, host, user string
	// bodies tells answers of one status apart by what they say.
	bodies bool
	client *http.Client

	mu sync.Mutex
	// answers are the statuses, or errors, in order and without repetitions in a row.
	answers     []string
	sent        int
	connections int
}

// newStream sends all requests on one connection, or each on one of its own.
func newStream(url, user string, oneConnection bool) *stream {
	s := &stream{url: url, user: user}
	dialer := &net.Dialer{}
	s.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: !oneConnection,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			s.mu.Lock()
			s.connections++
			s.mu.Unlock()
			return dialer.DialContext(ctx, network, address)
		},
	}}
	return s
}

// stream sends requests for a host, and tells what each answer says.
func (d door) stream(host string, oneConnection bool) *stream {
	s := newStream(fmt.Sprintf("http://127.0.0.1:%d/", d.port), "", oneConnection)
	s.host, s.bodies = host, true
	return s
}

func (s *stream) send(ctx context.Context) {
	status, err := s.request(ctx)
	if ctx.Err() != nil {
		return // Cut off by the end of the test.
	}
	if err != nil {
		status = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	if len(s.answers) == 0 || s.answers[len(s.answers)-1] != status {
		s.answers = append(s.answers, status)
	}
}

func (s *stream) request(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return "", err
	}
	request.Host = s.host
	if name, password, ok := strings.Cut(s.user, ":"); ok {
		request.SetBasicAuth(name, password)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if s.bodies {
		return fmt.Sprintf("%d %s", response.StatusCode, body), err
	}
	return response.Status, err
}

func (s *stream) seen() (answers []string, sent, connections int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.answers), s.sent, s.connections
}

// traffic is streams that run, each in turn, until stopped.
type traffic struct {
	streams []*stream
	done    chan struct{}
	cancel  context.CancelFunc
}

func startTraffic(ctx context.Context, streams ...*stream) *traffic {
	ctx, cancel := context.WithCancel(ctx)
	t := &traffic{streams, make(chan struct{}), cancel}
	go func() {
		defer close(t.done)
		for range maxRequests {
			for _, s := range streams {
				if ctx.Err() != nil {
					return
				}
				s.send(ctx)
			}
		}
	}()
	return t
}

// more waits until each stream has sent enough further requests.
func (t *traffic) more(ctx context.Context) {
	GinkgoHelper()
	for _, s := range t.streams {
		_, before, _ := s.seen()
		Eventually(ctx, func() int {
			_, sent, _ := s.seen()
			return sent - before
		}).WithTimeout(patience).Should(BeNumerically(">=", enoughRequests))
	}
}

func (t *traffic) stop() {
	t.cancel()
	<-t.done
	for _, s := range t.streams {
		s.client.CloseIdleConnections()
	}
}
