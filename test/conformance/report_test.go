// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

// caseEntry is the name under which a spec leaves its case for the report.
const caseEntry = "case"

// The report: a line for each case, in the order of the table, and how many cases each field has.
var _ = ReportAfterSuite("cases", func(report Report) {
	specs := map[string]types.SpecReport{}
	for _, spec := range report.SpecReports {
		for _, entry := range spec.ReportEntries {
			if c, ok := entry.GetRawValue().(table.Case); ok && entry.Name == caseEntry {
				specs[c.Name] = spec
			}
		}
	}
	lines := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer lines.Flush()
	fmt.Fprintln(lines)
	counts := map[string]int{}
	for _, c := range cases {
		spec, ran := specs[c.Name]
		if !ran {
			continue
		}
		fmt.Fprintf(lines, "%s\t%s\t%s\t%s\t%.1f s\n",
			spec.State, c.Name, c.Verdict, strings.Join(c.Contexts, " "), spec.RunTime.Seconds())
		if spec.State == types.SpecStatePassed {
			for _, field := range c.Fields {
				counts[field]++
			}
		}
	}
	fmt.Fprintf(lines, "\n%d cases ran; passed by field:\n", len(specs))
	for _, field := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(lines, "%d\t%s\n", counts[field], field)
	}
})
