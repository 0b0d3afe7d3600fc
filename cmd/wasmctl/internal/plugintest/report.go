// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/httpcase"
)

// What became of a case.
const (
	ResultGood         = "ok"
	ResultFailed       = "failed"
	ResultInconclusive = "inconclusive"
)

// The hosts that cases run in.
const (
	HostHere  = "dry start"
	HostEnvoy = "envoy"
)

// Result is what became of a case.
type Result struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Name   string `json:"name"`
	Result string `json:"result"`
	// Reason is why there was no answer, or why only a proxy can tell.
	Reason      string                `json:"reason,omitempty"`
	Differences []httpcase.Difference `json:"differences,omitempty"`
	// Logs are the plugin's own words.
	Logs         []string `json:"logs,omitempty"`
	Microseconds int64    `json:"microseconds,omitempty"`
}

// Report is what became of all cases.
type Report struct {
	Host         string   `json:"host"`
	Cases        []Result `json:"cases"`
	Failed       int      `json:"failed"`
	Inconclusive int      `json:"inconclusive"`
	// MedianMicroseconds is the time that a request took.
	MedianMicroseconds int64 `json:"medianMicroseconds"`
	// MemoryBytes is the largest linear memory of the plugin's VMs; 0 where the host doesn't tell.
	MemoryBytes uint64 `json:"memoryBytes,omitempty"`
}

func newResult(c httpcase.Case) Result {
	return Result{File: c.File, Line: c.Line, Name: c.Name}
}

// judge compares what became of a case with what it expects.
func (r *Result) judge(c httpcase.Case, got httpcase.Outcome) {
	r.Differences = c.Compare(got)
	r.Result = ResultGood
	if len(r.Differences) > 0 {
		r.Result = ResultFailed
	}
}

func (r *Report) sum() {
	var times []int64
	for _, result := range r.Cases {
		switch result.Result {
		case ResultFailed:
			r.Failed++
		case ResultInconclusive:
			r.Inconclusive++
		}
		if result.Microseconds > 0 {
			times = append(times, result.Microseconds)
		}
	}
	if len(times) > 0 {
		slices.Sort(times)
		r.MedianMicroseconds = times[len(times)/2]
	}
}

func (r *Report) verdict() error {
	switch {
	case r.Failed > 0:
		return cli.Refused("%d of %d cases failed", r.Failed, len(r.Cases))
	case r.Inconclusive > 0:
		return cli.Refused("%d of %d cases are inconclusive: only a proxy can tell; see wasmctl test --envoy", r.Inconclusive, len(r.Cases))
	}
	return nil
}

func (r *Report) text() []byte {
	var out bytes.Buffer
	for _, result := range r.Cases {
		result.write(&out)
	}
	fmt.Fprintf(&out, "%d cases, %d failed, %d inconclusive", len(r.Cases), r.Failed, r.Inconclusive)
	if r.MedianMicroseconds > 0 {
		fmt.Fprintf(&out, "; %s per request (median)", time.Duration(r.MedianMicroseconds)*time.Microsecond)
	}
	if r.MemoryBytes > 0 {
		fmt.Fprintf(&out, "; %.1f MiB of linear memory", float64(r.MemoryBytes)/(1<<20))
	}
	fmt.Fprintf(&out, "; host: %s\n", r.Host)
	return out.Bytes()
}

// write is a line for a case, and below it what is not as expected.
func (r *Result) write(out *bytes.Buffer) {
	verdict := r.Result
	if verdict == ResultFailed {
		verdict = "FAILED"
	}
	fmt.Fprintln(out, cli.Printable(fmt.Sprintf("%s:%d: %s: %s", r.File, r.Line, r.Name, verdict)))
	if r.Result == ResultGood {
		return
	}
	if r.Reason != "" {
		fmt.Fprintln(out, "    "+cli.Printable(r.Reason))
	}
	for _, difference := range r.Differences {
		writeDifference(out, difference)
	}
	for _, line := range r.Logs {
		fmt.Fprintln(out, "    the plugin said: "+cli.Printable(line))
	}
}

// writeDifference puts what is wanted above what came, line by line where there are several.
func writeDifference(out *bytes.Buffer, d httpcase.Difference) {
	if !strings.Contains(d.Want+d.Got, "\n") {
		fmt.Fprintf(out, "    %s:\n      want %s\n      got  %s\n", cli.Printable(d.About), shown(d.Want), shown(d.Got))
		return
	}
	fmt.Fprintf(out, "    %s (- want, + got):\n", cli.Printable(d.About))
	want, got := strings.Split(d.Want, "\n"), strings.Split(d.Got, "\n")
	for len(want) > 0 && len(got) > 0 && want[0] == got[0] {
		fmt.Fprintln(out, "        "+cli.Printable(want[0]))
		want, got = want[1:], got[1:]
	}
	same := 0
	for same < min(len(want), len(got)) && want[len(want)-1-same] == got[len(got)-1-same] {
		same++
	}
	for _, line := range want[:len(want)-same] {
		fmt.Fprintln(out, "      - "+cli.Printable(line))
	}
	for _, line := range got[:len(got)-same] {
		fmt.Fprintln(out, "      + "+cli.Printable(line))
	}
	for _, line := range want[len(want)-same:] {
		fmt.Fprintln(out, "        "+cli.Printable(line))
	}
}

// shown is a value that may be empty or end in spaces.
func shown(value string) string {
	if printable := cli.Printable(value); printable == value && value != "" {
		return value
	}
	return fmt.Sprintf("%q", value)
}
