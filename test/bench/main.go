// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the operator costs: the binary itself, as a process, behind a proxy that counts, at a real API
// server. A raw client that sends the very same writes runs in turns with it. It writes a JSON file and prints tables.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settings are what the command line says.
type settings struct {
	sizes                    []int
	json, document, profiles string
	keepGoing                time.Duration
	rounds                   int
	waves                    bool
}

func main() {
	s := settings{sizes: []int{1000}}
	if sizes := os.Getenv("BENCH_SIZES"); sizes != "" {
		if err := s.setSizes(sizes); err != nil {
			fmt.Fprintln(os.Stderr, "bench: BENCH_SIZES:", err)
			os.Exit(2)
		}
	}
	flag.Func("sizes", "Numbers of plugins, separated by commas. (default $BENCH_SIZES, or 1000)", s.setSizes)
	flag.StringVar(&s.json, "json", filepath.Join("bin", "bench.json"), "File for all that was measured.")
	flag.StringVar(&s.document, "document", "", "File with a place for the table of each size, between <!-- bench SIZE --> and <!-- end -->.")
	flag.StringVar(&s.profiles, "profiles", "", "Folder for profiles of the operator and of the API server. They slow down what is measured.")
	flag.IntVar(&s.rounds, "rounds", 0, "Rounds of everything that is done more than once, instead of as many as fit the size.")
	flag.BoolVar(&s.waves, "waves", false, "Only what happens to all plugins at a time: create, change, touch, restart.")
	flag.DurationVar(&s.keepGoing, "timeout", time.Hour, "How long all of it may take.")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, s.keepGoing)
	defer cancel()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (s *settings) setSizes(text string) error {
	s.sizes = nil
	for word := range strings.SplitSeq(text, ",") {
		size, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || size < 1 || size > 20000 {
			return fmt.Errorf("%q is no number of plugins from 1 to 20000", word)
		}
		s.sizes = append(s.sizes, size)
	}
	return nil
}

// results are what a run found.
type results struct {
	machine
	// Flags are those of the operator beside addresses.
	Flags []string `json:"flags"`
	Sizes []sized  `json:"sizes"`
}

// run measures every size, and leaves the logs where something went wrong. What was measured before that is written too.
func run(ctx context.Context, s settings) (err error) {
	dir, err := os.MkdirTemp("", "wasmplugin-bench-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			err = fmt.Errorf("%w\nThe logs are in %s", err, dir)
		}
	}()
	w, err := newWorld(ctx, dir, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	found := results{machine: thisMachine(), Flags: immediate}
	for _, size := range s.sizes {
		p := planFor(size)
		p.profiles, p.waves = s.profiles, s.waves
		if s.rounds > 0 {
			p.rounds, p.again = s.rounds, s.rounds
		}
		measured, err := w.measureSize(ctx, p)
		if err != nil {
			return err
		}
		found.Sizes = append(found.Sizes, measured)
		if err := found.write(s); err != nil {
			return err
		}
	}
	return nil
}

// write writes the JSON file and the tables, so far as they are known.
func (r results) write(s settings) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.json), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(s.json, append(text, '\n'), 0o600); err != nil {
		return err
	}
	last := r.Sizes[len(r.Sizes)-1]
	table := last.table()
	fmt.Fprintf(os.Stdout, "%d plugins. %s\n\n%s\n", last.Plugins, r.machine, table)
	if s.document == "" {
		return nil
	}
	return insert(s.document, fmt.Sprintf("<!-- bench %d -->", last.Plugins), r.machine.String()+"\n\n"+table)
}
