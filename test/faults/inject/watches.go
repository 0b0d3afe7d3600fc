// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// frames hands a watch on event by event.
type frames struct {
	http.ResponseWriter
	rest []byte
	// each says whether an event goes on, and the watch after it.
	each func(event []byte) (pass, more bool)
	end  context.CancelFunc
}

var errEnded = errors.New("the watch is ended on purpose")

// Write hands complete events on.
func (f *frames) Write(content []byte) (int, error) {
	f.rest = append(f.rest, content...)
	for {
		at := bytes.IndexByte(f.rest, '\n')
		if at < 0 {
			return len(content), nil
		}
		event := f.rest[:at+1]
		f.rest = f.rest[at+1:]
		pass, more := f.each(event)
		if pass {
			if _, err := f.ResponseWriter.Write(event); err != nil {
				return 0, err
			}
			_ = http.NewResponseController(f.ResponseWriter).Flush() // the next write says what is wrong
		}
		if !more {
			f.end()
			return 0, errEnded
		}
	}
}

// Unwrap lets an http.ResponseController flush.
func (f *frames) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// stream forwards a watch, event by event, and ends it properly where each says so.
func (l *Layer) stream(w http.ResponseWriter, r *http.Request, each func([]byte) (pass, more bool)) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer func() {
		// The proxy gives up a connection that it can't write to. Here it can: only this watch ends.
		if problem := recover(); problem != nil && (problem != http.ErrAbortHandler || r.Context().Err() != nil) { //nolint:errorlint // it is compared so by net/http
			panic(problem)
		}
	}()
	asked := r.Clone(ctx)
	inLines(asked.Header)
	l.proxy.Forward(&frames{ResponseWriter: w, each: each, end: cancel}, asked)
}

// inLines asks for JSON, of which each event is a line, and for none of it to be compressed.
func inLines(header http.Header) {
	forms := slices.DeleteFunc(strings.Split(header.Get("Accept"), ","), func(form string) bool {
		return !strings.Contains(form, "json")
	})
	header.Set("Accept", strings.Join(forms, ","))
	header.Set("Accept-Encoding", "identity")
}

// EndAfter ends a watch after n events.
func (l *Layer) EndAfter(n int) chain.Intercept {
	return func(w http.ResponseWriter, r *http.Request) bool {
		left := n
		l.stream(w, r, func([]byte) (bool, bool) {
			left--
			return left >= 0, left > 0
		})
		return true
	}
}

// Stall lets nothing of a watch through until release is closed, and leaves its connection open: no client sees that.
func (l *Layer) Stall(release <-chan struct{}) chain.Intercept {
	return func(w http.ResponseWriter, r *http.Request) bool {
		l.stream(w, r, func([]byte) (bool, bool) {
			select {
			case <-release:
				return true, true
			case <-r.Context().Done():
				return false, false
			}
		})
		return true
	}
}

// Gone has the API server answer a watch that it has forgotten where it was.
func (l *Layer) Gone(w http.ResponseWriter, r *http.Request) bool {
	old := r.Clone(r.Context())
	query := old.URL.Query()
	query.Set("resourceVersion", "1")
	query.Del("sendInitialEvents")
	query.Del("resourceVersionMatch")
	old.URL.RawQuery = query.Encode()
	l.proxy.Forward(w, old)
	return true
}

// Fail ends a watch with an error as its only event.
func Fail(w http.ResponseWriter, r *http.Request) bool {
	return body(http.StatusOK, "application/json",
		`{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","message":"on purpose","reason":"InternalError","code":500}}`+"\n")(w, r)
}

// Tape is what a watch said from its beginning on, to be said again later.
type Tape struct {
	mu       sync.Mutex
	header   http.Header
	events   [][]byte
	replayed int
}

// Record forwards a watch, and keeps what it says.
func (l *Layer) Record(tape *Tape) chain.Intercept {
	return func(w http.ResponseWriter, r *http.Request) bool {
		tape.mu.Lock()
		tape.events = nil
		tape.mu.Unlock()
		l.stream(w, r, func(event []byte) (bool, bool) {
			tape.mu.Lock()
			defer tape.mu.Unlock()
			tape.header = w.Header().Clone()
			tape.events = append(tape.events, slices.Clone(event))
			return true, true
		})
		return true
	}
}

// Replay answers a watch with a tape, as an API server would that is behind the others, and ends it when release is closed.
func (t *Tape) Replay(release <-chan struct{}) chain.Intercept {
	return func(w http.ResponseWriter, r *http.Request) bool {
		t.mu.Lock()
		events, header := slices.Clone(t.events), t.header
		t.replayed++
		t.mu.Unlock()
		w.Header().Set("Content-Type", header.Get("Content-Type"))
		w.WriteHeader(http.StatusOK)
		for _, event := range events {
			_, _ = w.Write(event) // a client that has gone is what it may be
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	}
}

// Told is how much a tape holds, and how often it was replayed.
func (t *Tape) Told() (events, replayed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.events), t.replayed
}
