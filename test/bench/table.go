// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// row is a measure in the table.
type row struct {
	name, ours, raw, target, verdict string
}

// bounded is a figure that may be at most limit.
func bounded(name string, value, limit float64, format string) row {
	r := row{name: name, ours: fmt.Sprintf(format, value), target: "≤ " + fmt.Sprintf(format, limit), verdict: "met"}
	if value > limit {
		r.verdict = "missed"
		if limit > 0 {
			r.verdict = fmt.Sprintf("missed: %.1f times", value/limit)
		}
	}
	return r
}

// exactly is a count that must be this one.
func exactly(name string, value, want float64) row {
	r := row{name: name, ours: fmt.Sprintf("%.4g", value), target: fmt.Sprintf("%.4g", want), verdict: "met"}
	if value != want {
		r.verdict = "missed"
	}
	return r
}

// told is a figure without a target.
func told(name, ours string) row { return row{name: name, ours: ours} }

func (r row) beside(raw string) row {
	r.raw = raw
	return r
}

// table is markdown.
func (s sized) table() string {
	lines := []string{"| measure | operator | raw client | target | verdict |", "| --- | --- | --- | --- | --- |"}
	for _, r := range slices.Concat(s.counts(), s.times(), s.costs(), s.memories()) {
		lines = append(lines, "| "+strings.Join([]string{r.name, r.ours, r.raw, r.target, r.verdict}, " | ")+" |")
	}
	return strings.Join(lines, "\n")
}

// per is a mean over plugins and rounds.
func (s sized) per(costs []cost, of func(cost) float64) float64 {
	total := 0.0
	for _, c := range costs {
		total += of(c)
	}
	return ratio(total, float64(len(costs)*s.Plugins))
}

// worst is the most of any round.
func worst(costs []cost, of func(cost) float64) float64 {
	most := 0.0
	for _, c := range costs {
		most = max(most, of(c))
	}
	return most
}

// median is that of the rounds.
func median(costs []cost, of func(cost) float64) float64 {
	if len(costs) == 0 {
		return 0
	}
	var all []float64
	for _, c := range costs {
		all = append(all, of(c))
	}
	slices.Sort(all)
	middle := len(all) / 2
	if len(all)%2 == 0 {
		return (all[middle-1] + all[middle]) / 2
	}
	return all[middle]
}

func seconds(c cost) float64     { return c.Seconds }
func begun(c cost) float64       { return c.Begun }
func writes(c cost) float64      { return float64(c.Writes) }
func specReads(c cost) float64   { return float64(c.SpecReads) }
func total(c cost) float64       { return float64(c.Total) }
func wire(c cost) float64        { return float64(c.Sent + c.Received) }
func operatorCPU(c cost) float64 { return c.OperatorCPU }
func serverCPU(c cost) float64   { return c.APIServerCPU }

// insert replaces what stands in a file between a mark and the end of its part.
func insert(path, mark, content string) error {
	const end = "<!-- end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), mark)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for a table: %s … %s", path, mark, end)
	}
	return os.WriteFile(path, []byte(before+mark+"\n"+content+"\n"+end+after), 0o644)
}
