// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// call runs a command with no kubeconfig of the machine's.
func call(t *testing.T, cmd *cobra.Command, args ...string) (code int, out, errOut string) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "absent"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	var outBuffer, errBuffer bytes.Buffer
	root := &cobra.Command{Use: "wasmctl", SilenceErrors: true, SilenceUsage: true}
	root.SetFlagErrorFunc(cli.Usage)
	root.AddCommand(cmd)
	root.SetArgs(append([]string{cmd.Name()}, args...))
	root.SetOut(&outBuffer)
	root.SetErr(&errBuffer)
	code = cli.Report(t.Context(), &errBuffer, "wasmctl", root.ExecuteContext(t.Context()))
	return code, outBuffer.String(), errBuffer.String()
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDryRunNeedsNoCluster(t *testing.T) {
	args := []string{
		"--dry-run", "--operator-namespace", "mesh", "--release", "plugins",
		"-f", file(t, "replicas: 5\n"), "--set", "logging.level=debug", "--set-string", "istio.version=1.30",
	}
	code, out, errOut := call(t, newInstall(), args...)
	if code != cli.ExitGood || errOut != "# Secrets: left out.\n" {
		t.Fatalf("exit %d: %s", code, errOut)
	}
	for _, want := range []string{
		"name: " + crdName, "helm.sh/resource-policy: keep", "kind: ValidatingAdmissionPolicy", "name: plugins-wasmplugin-operator\n",
		"namespace: mesh", "replicas: 5", "--zap-log-level=debug", "--istio-version=1.30\n", "image: ghcr.io/solarmesh/wasmplugin-operator:v",
		"--store-url=http://plugins-wasmplugin-operator-store.mesh.svc.cluster.local\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q isn't in the manifests", want)
		}
	}
	if strings.Contains(out, "tls.key:") {
		t.Error("a key is printed")
	}
	if _, again, _ := call(t, newInstall(), args...); again != out {
		t.Error("a second run prints something else")
	}
}

// TestWhatIsRenderedIsUnderstood: uninstall reads of the manifests what install put there.
func TestWhatIsRenderedIsUnderstood(t *testing.T) {
	tests := map[string]struct {
		values string
		want   installed
	}{
		"as it comes": {"{}", installed{storeURL: "http://wasmplugin-operator-store.istio-system.svc.cluster.local"}},
		"own URL":     {"store: {url: 'http://modules.example.com:8080'}", installed{storeURL: "http://modules.example.com:8080"}},
		"no store":    {"store: {enabled: false}", installed{}},
		"no CRD":      {"{crds: {enabled: false}, store: {enabled: false}}", installed{}},
		"CRD goes":    {"{crds: {keep: false}, store: {enabled: false}}", installed{takesCRD: true}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := call(t, newInstall(), "--dry-run", "-f", file(t, tc.values))
			got, err := readManifests(out)
			if code != cli.ExitGood || err != nil || got != tc.want {
				t.Errorf("got %+v, %v, want %+v; exit %d: %s", got, err, tc.want, code, errOut)
			}
		})
	}
}

func TestBadCalls(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent.yaml")
	tests := map[string]struct {
		cmd  *cobra.Command
		args []string
		want string
	}{
		"argument":              {newInstall(), []string{"x"}, `it takes no argument such as "x"; see wasmctl install --help`},
		"dry run of nothing":    {newInstall(), []string{"--dry-run=yes"}, `--dry-run "yes" is none of`},
		"bad namespace":         {newInstall(), []string{"--operator-namespace", "A_b"}, `--operator-namespace "A_b" is no name`},
		"bad release":           {newInstall(), []string{"--release", "-"}, `--release "-"`},
		"no time":               {newInstall(), []string{"--timeout", "0s"}, "--timeout must be more than 0"},
		"another namespace":     {newInstall(), []string{"-n", "x"}, "unknown shorthand flag"},
		"absent values":         {newInstall(), []string{"--dry-run", "-f", absent}, "read the values: open " + absent},
		"values of a server":    {newInstall(), []string{"--dry-run", "-f", "https://127.0.0.1:1/values.yaml"}, "no such file"},
		"values of no YAML":     {newInstall(), []string{"--dry-run", "-f", file(t, "a: [")}, "failed to parse"},
		"misspelt value":        {newInstall(), []string{"--dry-run", "--set", "replica=3"}, "replica"},
		"values in conflict":    {newInstall(), []string{"--dry-run", "--set", "modules.resolve=false"}, "set store.enabled to false too"},
		"no cluster":            {newInstall(), nil, "no kubeconfig names a cluster"},
		"no cluster, server":    {newInstall(), []string{"--dry-run=server"}, "no kubeconfig names a cluster"},
		"cluster of nobody":     {newInstall(), []string{"--server", "http://127.0.0.1:1"}, "connection refused"},
		"uninstall argument":    {newUninstall(), []string{"x"}, "it takes no argument"},
		"uninstall, no cluster": {newUninstall(), nil, "no kubeconfig names a cluster"},
		"uninstall of nobody":   {newUninstall(), []string{"--server", "http://127.0.0.1:1"}, "connection refused"},
		"demo argument":         {newDemo(), []string{"x"}, "it takes no argument"},
		"demo of no clone":      {newDemo(), []string{"--source", t.TempDir()}, "is no clone of https://github.com/solarmesh/wasmplugin-operator"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := call(t, tc.cmd, tc.args...)
			if code != cli.ExitFailed || out != "" || !strings.Contains(errOut, tc.want) || strings.Count(errOut, "\n") != 1 {
				t.Errorf("exit %d, want %d and %q: %s%s", code, cli.ExitFailed, tc.want, out, errOut)
			}
		})
	}
}
