// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// buildWasmctl builds wasmctl as it is released.
func buildWasmctl(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "wasmctl")
	if _, err := run(exec.CommandContext(t.Context(), filepath.Join(root, "hack", "build.sh"), binary, "./cmd/wasmctl")); err != nil {
		t.Fatal(err)
	}
	return binary
}

// wasmctl is the program and the cluster that it is pointed at.
type wasmctl struct {
	*testing.T
	binary string
	global []string
}

// answer is all that a user sees of a call.
type answer struct {
	code        int
	out, errOut string
}

func (w wasmctl) call(args ...string) answer {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), w.binary, append(args, w.global...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.TempDir(), "KUBECONFIG=" + filepath.Join(w.TempDir(), "absent")}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if ended, isExit := errors.AsType[*exec.ExitError](err); err != nil && (!isExit || !ended.Exited()) {
		w.Fatalf("%v: %v\n%s", cmd.Args, err, &errOut)
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// says calls wasmctl and expects an exit code and words, on either output.
func (w wasmctl) says(code int, words string, args ...string) answer {
	w.Helper()
	got := w.call(args...)
	if got.code != code || !strings.Contains(got.out+got.errOut, words) {
		w.Fatalf("wasmctl %s: exit %d, want %d and %q\n%s%s", strings.Join(args, " "), got.code, code, words, got.out, got.errOut)
	}
	return got
}

// TestWasmctlRendersAsHelm: the chart that is built in is the chart.
func TestWasmctlRendersAsHelm(t *testing.T) {
	w := wasmctl{T: t, binary: buildWasmctl(t)}
	values := valuesFile(t, "watchNamespaces: [shop]\nstore: {tls: {secretName: mine}}\nimage: {tag: v9}\n")
	want, err := helm(t, "template", release, chartFolder, "--namespace", namespace, "--values", values, "--kube-version", "1.30.0")
	if err != nil {
		t.Fatal(err)
	}
	got := w.says(0, "kind: Deployment", "install", "--dry-run", "-f", values, "--operator-namespace", namespace)
	if diff := cmp.Diff(decode(t, want), decode(t, got.out)); diff != "" {
		t.Errorf("(-helm template +wasmctl install --dry-run)\n%s", diff)
	}
}

// TestWasmctlLifecycle: install, upgrade, refuse to uninstall what proxies need, uninstall.
func TestWasmctlLifecycle(t *testing.T) {
	c := startCluster(t)
	w := wasmctl{T: t, binary: buildWasmctl(t), global: []string{"--kubeconfig", c.Kubeconfig}}

	w.says(2, "there is no release", "uninstall")
	w.says(2, "--create-namespace", "install", "--operator-namespace", "nowhere")
	w.says(0, "is installed in namespace istio-system, revision 1.", "install", "--set", "replicas=1")
	c.servesPlugins()
	c.upgrades(w)
	c.uninstalls(w)

	w.says(2, "--take-ownership takes it over", "install", "--release", "another")
	w.says(0, "another ", "install", "--release", "another", "--take-ownership")
	w.says(0, "There remain: the CRD", "uninstall", "--release", "another", "--wait")
}

// upgrades: values stay, the CRD is upgraded, and helm and both names of wasmctl take turns without a conflict.
func (c cluster) upgrades(w wasmctl) {
	c.Helper()
	before := c.replicas()
	shown := w.says(0, "replicas: 1\n", "install", "--dry-run=server", "--set", "crds.keep=false")
	if strings.Contains(shown.out, "tls.key:") || strings.Contains(shown.out, "resource-policy: keep") {
		c.Error("a dry run prints a key, or not the new values")
	}
	w.says(0, "revision 2.", "install", "--set", "crds.keep=false", "--set", "podLabels.by=wasmctl")
	crd, err := c.client.Resource(crds).Get(c.Context(), crdName, metav1.GetOptions{})
	c.must(err)
	if _, kept := crd.GetAnnotations()["helm.sh/resource-policy"]; kept || c.replicas() != before || before != 1 {
		c.Errorf("the CRD was not upgraded, or %d replicas became %d", before, c.replicas())
	}
	_, err = helm(c.T, "upgrade", release, chartFolder, "--kubeconfig", c.Kubeconfig, "--namespace", "istio-system",
		"--reset-then-reuse-values", "--set", "podLabels.by=helm", "--set", "replicas=3")
	c.must(err)
	plugin := filepath.Join(c.TempDir(), "kubectl-wasm")
	c.must(os.Symlink(w.binary, plugin))
	w.binary = plugin
	w.says(0, "revision 4.", "install", "--set", "podLabels.by=kubectl", "--set", "replicas=2")
	if got := c.replicas(); got != 2 {
		c.Errorf("%d replicas", got)
	}
}

func (c cluster) replicas() int64 {
	c.Helper()
	deployment, err := c.client.Resource(deployments).Namespace("istio-system").Get(c.Context(), release, metav1.GetOptions{})
	c.must(err)
	replicas, _, err := unstructured.NestedInt64(deployment.Object, "spec", "replicas")
	c.must(err)
	return replicas
}

const storedPlugin = `
apiVersion: wasm.solarmesh.io/v1alpha1
kind: WasmPlugin
metadata: {name: auth, namespace: istio-system}
spec: {url: "oci://registry.example.com/auth:1", selector: {matchLabels: {istio: ingressgateway}}}
`

// uninstalls only what no plugin needs, and no plugin.
func (c cluster) uninstalls(w wasmctl) {
	c.Helper()
	c.apply(storedPlugin)
	w.says(1, "so 1 WasmPlugin would go with it", "uninstall", "--force")
	w.says(0, "revision 5.", "install", "--set", "crds.keep=true")

	pair := storedPair(c.T)
	c.apply(pair)
	refused := w.says(1, "1 EnvoyFilter points at the store", "uninstall")
	if !strings.Contains(refused.errOut, "# EnvoyFilter istio-system/auth-config: ") || strings.Contains(refused.errOut, "auth-filter") || refused.out != "" {
		c.Errorf("the pair isn't named: %+v", refused)
	}
	if n := c.count(deployments); n != 2 {
		c.Fatalf("%d deployments after a refusal", n)
	}
	w.says(0, "There remain: the CRD wasmplugins.wasm.solarmesh.io, 1 WasmPlugin and 2 EnvoyFilters.", "uninstall", "--force")
	if n := c.count(deployments); n != 0 || c.count(wasmPlugins) != 1 || c.count(envoyFilters) != 2 {
		c.Errorf("%d deployments, %d WasmPlugins, %d EnvoyFilters are left", n, c.count(wasmPlugins), c.count(envoyFilters))
	}

	w.says(0, "revision 1.", "install")
	_, err := c.kubectl("delete", "-n", "istio-system", "envoyfilters", "-l", wasmv1alpha1.LabelManagedBy+"="+wasmv1alpha1.FieldManager)
	c.must(err)
	w.says(0, "There remain: the CRD wasmplugins.wasm.solarmesh.io, 1 WasmPlugin and 0 EnvoyFilters.", "uninstall")
}

// storedPair is what the operator writes for storedPlugin.
func storedPair(t *testing.T) string {
	t.Helper()
	const url = "http://" + release + "-store.istio-system.svc.cluster.local"
	digits := strings.Repeat("9f", 32)
	pair, err := translate.Translate(translate.Input{
		Plugin:  typed[wasmv1alpha1.WasmPlugin](t, decode(t, storedPlugin)[0]),
		Module:  translate.Module{Digest: "sha256:" + digits, URL: url + store.Path("sha256:"+digits, ""), Checksum: digits},
		Options: translate.Options{RootNamespace: "istio-system", ResolveModules: true, StoreURL: url},
	})
	if err != nil {
		t.Fatal(err)
	}
	var documents []string
	for _, half := range pair.EnvoyFilters() {
		half.Object.SetOwnerReferences(nil) // the plugin has no uid here
		document, err := json.Marshal(half.Object.Object)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, string(document))
	}
	return strings.Join(documents, "\n---\n")
}
