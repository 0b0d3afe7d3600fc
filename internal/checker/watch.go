// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

const (
	// watchInterval is short enough for a check not to take much more memory than it may before it is noticed.
	watchInterval = 10 * time.Millisecond

	// exitCode tells, where the process can't begin anew, that a check ended it.
	exitCode = 3
)

// run is a check that runs.
type run struct {
	module string
	size   int
	done   chan struct{}
}

// begin watches over a check until finish: compiling heeds no deadline and no bound on memory, so when it takes too much
// the process has to end.
func (s *Server) begin() *run {
	r := &run{module: "unknown", done: make(chan struct{})}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.running[r] = true
	go s.watch(r.done)
	return r
}

func (s *Server) identify(r *run, module []byte) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	r.module, r.size = fmt.Sprintf("sha256:%x", sha256.Sum256(module)), len(module)
}

func (s *Server) finish(r *run) {
	close(r.done)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.running, r)
}

func (s *Server) watch(done <-chan struct{}) {
	late := time.NewTimer(s.options.TimeLimit)
	defer late.Stop()
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-late.C:
			s.stop("a check took longer than it may")
			return
		case <-ticker.C:
			if s.outgrown() {
				s.stop("the checks took more memory than they may")
				return
			}
		}
	}
}

// outgrown says whether the process is about to be killed for its memory.
func (s *Server) outgrown() bool {
	return s.options.MemoryLimit > 0 && resident() > s.options.MemoryLimit/16*15
}

func (s *Server) stop(why string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var modules []string
	for r := range s.running {
		modules = append(modules, fmt.Sprintf("%s (%d bytes)", r.module, r.size))
	}
	slices.Sort(modules)
	s.options.Log.Info("Stopping all checks", "reason", why, "modules", modules, "resident", resident())
	s.end()
}

// restart begins the process anew, with all memory given back. If it ended instead, its container would be restarted after
// a pause that doubles each time, and all plugins would wait for what one of them did.
func restart() {
	if path, err := os.Executable(); err == nil {
		_ = syscall.Exec(path, os.Args, os.Environ()) //nolint:gosec // This very program; Exec returns only if it fails.
	}
	os.Exit(exitCode)
}
