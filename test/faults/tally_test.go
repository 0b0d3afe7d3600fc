// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tally is what the whole run counts.
var tally counts

type counts struct{ cases, kills, injected, violations atomic.Int64 }

func (c *counts) String() string {
	return fmt.Sprintf("%d cases, %d kills, %d injected errors, %d violations",
		c.cases.Load(), c.kills.Load(), c.injected.Load(), c.violations.Load())
}

// judged closes a case with what the oracles found.
func judged(what string, violations []string) {
	GinkgoHelper()
	tally.cases.Add(1)
	tally.violations.Add(int64(len(violations)))
	Expect(violations).To(BeEmpty(), "%s", what)
}
