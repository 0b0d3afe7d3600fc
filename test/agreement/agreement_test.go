// SPDX-License-Identifier: Apache-2.0

package agreement

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var update = flag.Bool("update", false, "rewrite the table in docs/dry-start.md")

const (
	page = "../../docs/dry-start.md"
	// The bounds of the table.
	leastModules     = 20
	mostInconclusive = 3
)

// row is a line of the table.
type row struct {
	agreementCase
	dry, envoy opinion
	found      found
}

func TestAgreement(t *testing.T) {
	binaries, err := chain.Install(t.Context(), os.Stderr, chain.Envoy)
	if err != nil {
		t.Fatal(err)
	}
	modules, err := build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	proxies := &proxies{binary: binaries.Envoy, owner: t}
	var rows []row
	for _, c := range cases {
		t.Run(c.module+"/"+c.says, func(t *testing.T) {
			r := try(t, proxies, c, modules[c.module])
			for _, difference := range differences(r.dry, r.envoy, r.found) {
				t.Errorf("%s\nEnvoy's log:\n%s", difference, r.found.log)
			}
			rows = append(rows, r)
		})
	}
	if !t.Failed() && len(rows) == len(cases) {
		checkTable(t, rows)
	}
}

// proxies are one for all cases, and one for each that no proxy survives. They are killed with the test that owns them.
type proxies struct {
	binary string
	owner  *testing.T
	shared *envoy
}

func (p *proxies) of(t *testing.T, c agreementCase) *envoy {
	t.Helper()
	if !c.alone && p.shared != nil {
		return p.shared
	}
	proxy, err := startEnvoy(t.Context(), p.owner, p.binary)
	if err != nil {
		t.Fatal(err)
	}
	if !c.alone {
		p.shared = proxy
	}
	return proxy
}

func try(t *testing.T, proxies *proxies, c agreementCase, path string) row {
	t.Helper()
	module, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A module that never returns is told from the others by far less time than it has in operation.
	checker := drystart.New(drystart.Options{Timeout: 2 * time.Second})
	verdict := checker.Check(t.Context(), drystart.Request{
		Module: module, VMConfiguration: c.vmConfiguration, Env: c.env, RootID: rootID, VMID: c.vmID(),
		Capabilities: c.capabilities,
		Plugins:      []drystart.Plugin{{Name: pluginName, Configuration: c.configuration}},
	})[0]
	f, err := proxies.of(t, c).try(t.Context(), c, path)
	if survived := f.end == taken || f.end == refused; !survived && !c.alone {
		proxies.shared = nil
		err = errors.Join(err, fmt.Errorf("only a case with the field alone may leave Envoy %s:\n%s", f.end, f.log))
	}
	if err != nil {
		t.Fatal(err)
	}
	r := row{agreementCase: c, dry: ofDryStart(verdict), envoy: ofEnvoy(f), found: f}
	t.Logf("%s | %s | %s", r.dry, r.inProxy(), r.firstAnswer())
	return r
}

// inProxy says what Envoy did with the plugin.
func (r row) inProxy() string {
	switch {
	case r.envoy.runs:
		return "accepted"
	case r.found.end == taken:
		return "accepted, but it runs not: " + r.envoy.reason
	}
	return r.envoy.String()
}

func (r row) firstAnswer() string {
	if r.found.status == 0 {
		return ""
	}
	return strconv.Itoa(r.found.status)
}

const pageHead = `# What the dry start and Envoy say

The dry start gives each plugin, with its rules, to a host of its own before a proxy meets it. The table shows both: the dry start's verdict, that of a
real Envoy which got the same module and rules in a listener, and its answer to the first request, where it took them.
A plugin that traps only at a request is accepted by both; its first request shows what then happens with
` + "`failStrategy: FAIL_CLOSE`" + `. What is accepted but runs not, Envoy acknowledges as it does a good plugin, and then fails every request: here
only the dry start warns.

Inconclusive is no refusal: the plugin asked for something that only a proxy knows. The status names it, and the plugin is delivered.

Made by ` + "`make test-agreement`" + ` (written anew by ` + "`go test ./test/agreement -update`" + `), which fails where the two do not agree, in their
words or in the plugin's own. In the text format are modules that no compiler writes by itself.

`

// checkTable compares the page with what was found, and the table with what is asked of it.
func checkTable(t *testing.T, rows []row) {
	t.Helper()
	modules, inconclusive := map[string]bool{}, 0
	var table strings.Builder
	table.WriteString(pageHead)
	table.WriteString("| module | language | what it does | dry start | Envoy | first request |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		modules[r.module] = true
		if r.dry.unsure != "" {
			inconclusive++
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s |\n",
			r.module, sourceOf(r.module).language, r.says, r.dry, r.inProxy(), r.firstAnswer())
	}
	fmt.Fprintf(&table, "\n%d modules in %d cases, %d of them inconclusive.\n", len(modules), len(rows), inconclusive)
	if len(modules) < leastModules || inconclusive > mostInconclusive {
		t.Errorf("%d modules, want at least %d; %d cases are inconclusive, want at most %d", len(modules), leastModules, inconclusive, mostInconclusive)
	}
	if *update {
		if err := os.WriteFile(page, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(page)
	if diff := cmp.Diff(string(committed), table.String()); err != nil || diff != "" {
		t.Errorf("%s differs (-want +got), %v; rewrite it with -update:\n%s", page, err, diff)
	}
}
