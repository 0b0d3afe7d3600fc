// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

const (
	// defaultTimeLimit is longer than any check that heeds its deadline takes.
	defaultTimeLimit = 3 * time.Minute
	// maxWaiting bounds the line before the checks that run. The Client sends no more than what can run.
	maxWaiting = 8

	readTimeout     = 30 * time.Second
	shutdownTimeout = 3 * time.Second
)

// ServerOptions say where a Server listens, and what its process may use.
type ServerOptions struct {
	// Socket is the path of the Unix socket.
	Socket string
	// MemoryLimit is how many bytes the process may have, 0: as many as its container.
	MemoryLimit int64
	// TimeLimit is after how long a check ends the process. Two thirds of it are the deadline of all that heeds one.
	// Default: three minutes.
	TimeLimit time.Duration
	// Plugins bound what each plugin may use. The default for their memory follows MemoryLimit.
	Plugins drystart.Options
	// Log gets a line at the start, and one when the process ends for a check.
	Log logr.Logger
}

// Server checks plugins for whoever can write to its socket.
type Server struct {
	options ServerOptions
	check   func(context.Context, drystart.Request) []drystart.Verdict
	// end ends the process.
	end func()

	places, turns chan struct{}
	mutex         sync.Mutex
	running       map[*run]bool
}

// NewServer makes a Server.
func NewServer(options ServerOptions) *Server {
	if options.MemoryLimit == 0 {
		options.MemoryLimit = containerLimit()
	}
	if options.TimeLimit == 0 {
		options.TimeLimit = defaultTimeLimit
	}
	if options.Plugins.Memory == 0 {
		options.Plugins.Memory = linearMemory(options.MemoryLimit)
	}
	return &Server{
		options: options, end: restart,
		check:   drystart.New(options.Plugins).Check,
		places:  make(chan struct{}, atOnce+maxWaiting),
		turns:   make(chan struct{}, atOnce),
		running: map[*run]bool{},
	}
}

// Serve checks until the context ends.
func (s *Server) Serve(ctx context.Context) error {
	listener, err := listen(ctx, s.options.Socket)
	if err != nil {
		return err
	}
	collectEarlier(s.options.MemoryLimit)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathCheck, s.handleCheck)
	mux.HandleFunc("GET "+pathHealth, s.handleHealth)
	// A request ends when the process is to end, too.
	server := &http.Server{Handler: mux, ReadHeaderTimeout: readTimeout, BaseContext: contextOf(ctx)}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(late) != nil {
			_ = server.Close() // A check goes on that nothing can interrupt; it ends with the process.
		}
	}()
	s.options.Log.Info("Checking plugins", "pid", os.Getpid(), "socket", s.options.Socket,
		"memoryLimit", s.options.MemoryLimit, "timeLimit", s.options.TimeLimit.String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

// handleHealth tells how many checks run.
func (s *Server) handleHealth(w http.ResponseWriter, _ *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	fmt.Fprintln(w, len(s.running))
}

func (s *Server) handleCheck(w http.ResponseWriter, r *http.Request) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		http.Error(w, "too many checks are waiting already", http.StatusServiceUnavailable)
		return
	}
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-r.Context().Done():
		http.Error(w, "the checker ends", http.StatusServiceUnavailable)
		return
	}
	// The client sends the check only now, so those that wait take up no memory here.
	verdicts, err := s.answer(w, r)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case r.Context().Err() != nil:
		// The verdicts say that the check was stopped, not what the plugin is like.
		http.Error(w, "the checker ends", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(verdicts) // An error here is the client's going.
	}
}

// answer reads a check and runs it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) ([]drystart.Verdict, error) {
	// All that it took is given back before the next check begins.
	defer debug.FreeOSMemory()
	run := s.begin()
	defer s.finish(run)
	deadlines := http.NewResponseController(w)
	if err := deadlines.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
		return nil, err
	}
	request, err := readQuestion(http.MaxBytesReader(w, r.Body, maxQuestion+maxModule), r.ContentLength)
	if err != nil {
		return nil, err
	}
	if err := deadlines.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	s.identify(run, request.Module)
	ctx, cancel := context.WithTimeout(r.Context(), s.options.TimeLimit/3*2)
	defer cancel()
	return s.check(ctx, request), nil
}
