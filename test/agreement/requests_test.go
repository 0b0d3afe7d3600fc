// SPDX-License-Identifier: Apache-2.0

package agreement

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// tested is a report of wasmctl test.
type tested struct {
	Cases []testedCase
}

type testedCase struct {
	Name, Result, Reason string
	Differences          []struct{ About, Want, Got string }
	Logs                 []string
}

// TestRequests: wasmctl test says of each case the same in the operator's host and in Envoy, and the plugins say the same.
func TestRequests(t *testing.T) {
	binaries, err := chain.Install(t.Context(), os.Stderr, chain.Envoy)
	if err != nil {
		t.Fatal(err)
	}
	wasmctl := filepath.Join(t.TempDir(), "wasmctl")
	if err := run(exec.CommandContext(t.Context(), "go", "build", "-o", wasmctl, "../../cmd/wasmctl")); err != nil {
		t.Fatal(err)
	}
	for _, plugin := range []struct {
		path, cases string
		// failing are the cases that are to fail in both.
		failing []string
	}{
		{path: "../../examples/hello-world"},
		{path: "../../examples/basic-auth"},
		{
			path: "../../internal/drystart/testdata/server", cases: "testdata/requests.http",
			failing: []string{"an answer when all is over", "a trap"},
		},
	} {
		t.Run(filepath.Base(plugin.path), func(t *testing.T) {
			module := filepath.Join(t.TempDir(), "filter.wasm")
			if err := (source{language: golang, path: plugin.path}).build(t.Context(), module, ""); err != nil {
				t.Fatal(err)
			}
			args := []string{"test", plugin.path, "--module", module, "-o", "json"}
			if plugin.cases != "" {
				args = append(args, "--cases", plugin.cases)
			}
			here := runCases(t, wasmctl, args...)
			inEnvoy := runCases(t, wasmctl, append(args, "--envoy="+binaries.Envoy)...)
			var failing []string
			for i, c := range here.Cases {
				if c.Result != "ok" {
					failing = append(failing, c.Name)
				}
				// How a failure is put differs: V8 and wazero have their own words, and Go's runtime writes its last ones
				// piece by piece, each a line of Envoy's.
				if c.Reason != "" && inEnvoy.Cases[i].Reason != "" {
					here.Cases[i], inEnvoy.Cases[i] = c.withoutWords(), inEnvoy.Cases[i].withoutWords()
				}
			}
			if diff := cmp.Diff(here, inEnvoy); diff != "" {
				t.Errorf("the operator's host and Envoy differ (-host +Envoy):\n%s", diff)
			}
			if diff := cmp.Diff(plugin.failing, failing); diff != "" {
				t.Errorf("failing cases (-want +got):\n%s\n%+v", diff, here)
			}
		})
	}
}

// withoutWords keeps which function failed.
func (c testedCase) withoutWords() testedCase {
	function, _, _ := strings.Cut(c.Reason, " ")
	return testedCase{Name: c.Name, Result: c.Result, Reason: function}
}

func runCases(t *testing.T, program string, args ...string) tested {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	var said strings.Builder
	command.Stderr = &said
	out, err := command.Output()
	if ended, isExit := errors.AsType[*exec.ExitError](err); err != nil && (!isExit || ended.ExitCode() != 1) {
		t.Fatalf("%v: %s", err, said.String())
	}
	var report tested
	if err := json.Unmarshal(out, &report); err != nil || len(report.Cases) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	return report
}
