// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

const (
	defaultWait = 30 * time.Second
	// maxTries bounds how often a check is begun that ends with the checker.
	maxTries = 4
	// largeModule is the size from which a module takes so much memory that two of them are not tried at a time.
	largeModule = 8 << 20
)

// ClientOptions say which checker to ask.
type ClientOptions struct {
	// Socket is the path of the checker's Unix socket.
	Socket string
	// Wait is how long a check waits for a checker that ended while it ran. Default: 30 seconds.
	Wait time.Duration
}

// Client has plugins checked. It is safe for concurrent use, and keeps those waiting that are more than the checker can
// run at a time, so call it where waiting delays nobody.
type Client struct {
	options ClientOptions
	http    *http.Client
	// turns are the checks that may run, large those of large modules among them.
	turns, large *semaphore.Weighted
	suspects     suspects
	// ended: it was there before, and a check broke off; so it is about to be back.
	ended atomic.Bool
}

// Unavailable is the error for a checker that can't be asked at the moment.
type Unavailable struct {
	sentence string
}

// Error is a sentence for users.
func (u *Unavailable) Error() string { return u.sentence }

// Temporary says that the same check may succeed later.
func (*Unavailable) Temporary() bool { return true }

// brokenOff is the error for a checker that ended before it answered. begun: it was at this check.
type brokenOff struct {
	begun bool
}

func (*brokenOff) Error() string { return "the checker ended before it answered" }

// NewClient makes a Client.
func NewClient(options ClientOptions) *Client {
	if options.Wait == 0 {
		options.Wait = defaultWait
	}
	client := &Client{
		options: options, turns: semaphore.NewWeighted(atOnce), large: semaphore.NewWeighted(1),
		suspects: suspects{deaths: map[[sha256.Size]byte]int{}},
	}
	client.http = &http.Client{Transport: &http.Transport{
		DialContext: client.dial,
		// On a new connection it is plain that what breaks off is the check.
		DisableKeepAlives: true,
		// The checker asks for a check when it can take it. Until then the context is the only bound.
		ExpectContinueTimeout: time.Hour,
	}}
	return client
}

func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	connection, err := dial(ctx, c.options.Socket)
	switch {
	case err == nil || ctx.Err() != nil:
		return connection, err
	case c.ended.Load():
		return nil, &brokenOff{}
	default:
		return nil, &Unavailable{"the checker can't be reached; the plugin is tried when it can: " + err.Error()}
	}
}

// Check returns a verdict for each of the request's plugins, in their order. Its error is *Unavailable, or that of a context
// that ended.
//
// A checker that ends in the middle of checks was killed by one of them, or by chance. Each of them is tried once more,
// alone; the one with which the checker ends again is refused.
func (c *Client) Check(ctx context.Context, request drystart.Request) ([]drystart.Verdict, error) {
	question, err := newQuestion(request)
	if err != nil {
		return nil, err
	}
	if !question.fits() {
		return same(len(request.Plugins), drystart.Verdict{
			Outcome: drystart.Inconclusive, Call: "a module or configurations that are larger than what the checker takes",
		}), nil
	}
	module := sha256.Sum256(request.Module)
	for range maxTries {
		verdicts, err := c.try(ctx, question, module)
		if _, broken := errors.AsType[*brokenOff](err); !broken {
			return verdicts, err
		}
		if err := c.awaitReturn(ctx); err != nil {
			return nil, err
		}
	}
	return nil, &Unavailable{"the checker ended several times; the plugin is tried again"}
}

// try tries once, and takes note of how it ends.
func (c *Client) try(ctx context.Context, question question, module [sha256.Size]byte) ([]drystart.Verdict, error) {
	alone := c.suspects.has(module)
	verdicts, err := c.inTurn(ctx, question, alone)
	broken, isBroken := errors.AsType[*brokenOff](err)
	switch {
	case err == nil:
		c.suspects.clear(module)
	case isBroken && broken.begun && c.suspects.blame(module) > 1 && alone:
		return same(question.plugins, exhausts), nil
	}
	return verdicts, err
}

var exhausts = drystart.Verdict{
	Outcome: drystart.Refused, Stage: drystart.StageLoad, Exhausted: true,
	Reason: "the module exhausts the checker, which ended twice while it tried it, the second time nothing else; " +
		"if a module is meant to need so much memory or time, raise checker.resources",
}

func same(count int, verdict drystart.Verdict) []drystart.Verdict {
	verdicts := make([]drystart.Verdict, count)
	for i := range verdicts {
		verdicts[i] = verdict
	}
	return verdicts
}

// inTurn sends a check when there is room for it.
func (c *Client) inTurn(ctx context.Context, question question, alone bool) ([]drystart.Verdict, error) {
	if len(question.module) >= largeModule {
		if err := c.large.Acquire(ctx, 1); err != nil {
			return nil, fmt.Errorf("wait for the checker: %w", err)
		}
		defer c.large.Release(1)
	}
	var share int64 = 1
	if alone {
		share = atOnce
	}
	if err := c.turns.Acquire(ctx, share); err != nil {
		return nil, fmt.Errorf("wait for the checker: %w", err)
	}
	defer c.turns.Release(share)
	return c.send(ctx, question)
}

func (c *Client) send(ctx context.Context, question question) ([]drystart.Verdict, error) {
	var begun atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: func() { begun.Store(true) }})
	request, err := http.NewRequestWithContext(traced, http.MethodPost, anyHost+pathCheck, question.body())
	if err != nil {
		return nil, fmt.Errorf("write the check: %w", err)
	}
	request.ContentLength = question.size()
	request.Header.Set("Expect", "100-continue")
	verdicts, err := c.receive(request)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("wait for the checker: %w", ctx.Err())
	}
	if unavailable, ok := errors.AsType[*Unavailable](err); ok {
		return nil, unavailable
	}
	if err != nil {
		c.ended.Store(true)
		return nil, &brokenOff{begun: begun.Load()}
	}
	c.ended.Store(false)
	if len(verdicts) != question.plugins {
		return nil, &Unavailable{"the checker's answer is of another release; the plugin is tried again"}
	}
	return verdicts, nil
}

func (c *Client) receive(request *http.Request) ([]drystart.Verdict, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &Unavailable{fmt.Sprintf("the checker can't take it at the moment (status %d); the plugin is tried again", response.StatusCode)}
	}
	var verdicts []drystart.Verdict
	err = json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&verdicts)
	return verdicts, err
}
