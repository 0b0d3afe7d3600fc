// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tally is what the whole run counts.
var tally = counts{of: map[string]*count{}}

type count struct{ cases, kills, injected, violations int }

// counts are those of each outermost container: the kinds of faults.
type counts struct {
	mu sync.Mutex
	of map[string]*count
}

// add counts for the container whose spec runs.
func (c *counts) add(more count) {
	container := CurrentSpecReport().ContainerHierarchyTexts[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := c.of[container]
	if sum == nil {
		sum = &count{}
		c.of[container] = sum
	}
	sum.add(more)
}

func (c *count) add(more count) {
	c.cases += more.cases
	c.kills += more.kills
	c.injected += more.injected
	c.violations += more.violations
}

// String is a table, and a line that sums it up.
func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	text.WriteString("| | cases | kills | injected errors | violations |\n| --- | --- | --- | --- | --- |\n")
	var total count
	for _, container := range slices.Sorted(maps.Keys(c.of)) {
		one := *c.of[container]
		total.add(one)
		fmt.Fprintf(&text, "| %s | %d | %d | %d | %d |\n", container, one.cases, one.kills, one.injected, one.violations)
	}
	fmt.Fprintf(&text, "\n%d cases, %d kills, %d injected errors, %d violations\n", total.cases, total.kills, total.injected, total.violations)
	return text.String()
}

// judged closes a case with what the oracles found.
func judged(what string, violations []string) {
	GinkgoHelper()
	tally.add(count{cases: 1, violations: len(violations)})
	Expect(violations).To(BeEmpty(), "%s", what)
}
