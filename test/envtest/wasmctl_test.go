// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// What wasmctl says without a cluster is what the operator does: on every sample, byte for byte.
var _ = Describe("wasmctl", Ordered, func() {
	var program, namespace string
	BeforeAll(func(ctx SpecContext) {
		program = filepath.Join(GinkgoT().TempDir(), "wasmctl")
		build := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/wasmctl")
		build.Dir = repository
		out, err := build.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		namespace = newNamespace(ctx)
		samples, err := filepath.Glob(filepath.Join(repository, "config/samples/*.yaml"))
		Expect(err).NotTo(HaveOccurred())
		for _, path := range samples {
			if filepath.Base(path) == "kustomization.yaml" {
				continue
			}
			content, err := os.ReadFile(path)
			Expect(err).NotTo(HaveOccurred())
			file := filepath.Join(GinkgoT().TempDir(), filepath.Base(path))
			moved := strings.NewReplacer("namespace: istio-system", "namespace: "+namespace, "namespace: default", "namespace: "+namespace).Replace(string(content))
			Expect(os.WriteFile(file, []byte(moved), 0o600)).To(Succeed())
			kubectl(ctx, "apply", "-f", file)
		}
	}, NodeTimeout(startTimeout))

	// run returns what a command prints, and what it notes.
	run := func(ctx context.Context, input string, args ...string) (out, notes string, err error) {
		cmd := exec.CommandContext(ctx, program, args...)
		var stdout, stderr strings.Builder
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
		cmd.Env = append(os.Environ(), "KUBECONFIG="+shared.Kubeconfig)
		err = cmd.Run()
		return stdout.String(), stderr.String(), err
	}

	It("renders every sample as the operator writes it, and refuses those that it refuses", func(ctx SpecContext) {
		var plugins wasmv1alpha1.WasmPluginList
		Eventually(ctx, func(g Gomega) {
			g.Expect(k8s.List(ctx, &plugins, client.InNamespace(namespace))).To(Succeed())
			for i := range plugins.Items {
				g.Expect(plugins.Items[i].Status.ObservedGeneration).To(Equal(plugins.Items[i].Generation), plugins.Items[i].Name)
			}
		}).Should(Succeed())
		Expect(len(plugins.Items)).To(BeNumerically(">=", 18))
		live := kubectl(ctx, "get", "wasmp,configmap", "-n", namespace, "-o", "yaml")
		out, notes, _ := run(ctx, live, "render", "-f", "-", "--resolve-modules=false")
		rendered := 0
		for document := range strings.SplitSeq(out, "---\n") {
			if strings.TrimSpace(document) == "" {
				continue
			}
			wanted := &unstructured.Unstructured{}
			Expect(yaml.Unmarshal([]byte(document), &wanted.Object)).To(Succeed())
			written := newEnvoyFilter(namespace, wanted.GetName())
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(written), written)).To(Succeed())
			Expect(asRendered(written)).To(Equal(document), wanted.GetName())
			rendered++
		}
		refused := 0
		for i := range plugins.Items {
			if accepted := meta.FindStatusCondition(plugins.Items[i].Status.Conditions, wasmv1alpha1.ConditionAccepted); accepted.Status == "False" {
				Expect(notes).To(ContainSubstring(plugins.Items[i].Name + ": refused (" + accepted.Reason + ")"))
				refused++
			}
		}
		Expect(rendered).To(Equal(2*(len(plugins.Items)-refused)), notes)
	})

	It("finds no difference to what the operator wrote, and each that there is", func(ctx SpecContext) {
		live := kubectl(ctx, "get", "wasmp", "basic-auth", "-n", namespace, "-o", "yaml")
		out, notes, err := run(ctx, live, "diff", "-f", "-", "--resolve-modules=false")
		Expect(err).NotTo(HaveOccurred(), out+notes)
		Expect(out).To(BeEmpty())
		out, notes, err = run(ctx, strings.Replace(live, "prefix: /productpage", "prefix: /reviews", 1), "diff", "-f", "-", "--resolve-modules=false")
		Expect(err).To(MatchError("exit status 1"), out+notes)
		Expect(out).To(And(ContainSubstring("basic-auth-config (cluster)"), ContainSubstring("/reviews"), Not(ContainSubstring("basic-auth-filter"))))
		Expect(notes).To(ContainSubstring("1 of 2 EnvoyFilters differ"))
	})

	It("finds what runs twice in the cluster", func(ctx SpecContext) {
		// What the operator wrote for each of its plugins is no second one.
		out, notes, err := run(ctx, "", "import", "--check", "-n", namespace)
		Expect(err).NotTo(HaveOccurred(), out+notes)
		Expect(out).To(BeEmpty())
		twin := filepath.Join(GinkgoT().TempDir(), "twin.yaml")
		Expect(os.WriteFile(twin, []byte(`
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: twin, namespace: `+namespace+`}
spec:
  url: http://release.solarmesh.cn/wasm/auth.wasm
  selector: {matchLabels: {istio: ingressgateway}}
`), 0o600)).To(Succeed())
		kubectl(ctx, "apply", "-f", twin)
		DeferCleanup(func(ctx SpecContext) {
			native := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin"}}
			native.SetNamespace(namespace)
			native.SetName("twin")
			Expect(k8s.Delete(ctx, native)).To(Succeed())
		})
		out, notes, err = run(ctx, "", "import", "--check", "-n", namespace)
		Expect(err).To(MatchError("exit status 1"), out+notes)
		Expect(out).To(Equal("WasmPlugin " + namespace + "/basic-auth runs twice: WasmPlugin " + namespace + "/twin (cluster) has the same url, in proxies that are the same\n"))
		Expect(notes).To(ContainSubstring("1 run twice; wait until the WasmPlugin is Programmed, and delete the other"))
	})

	It("says in a sentence that nobody answers where the kubeconfig points", func(ctx SpecContext) {
		content, err := os.ReadFile(shared.Kubeconfig)
		Expect(err).NotTo(HaveOccurred())
		Expect(restConfig.Host).NotTo(BeEmpty())
		nowhere := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
		Expect(os.WriteFile(nowhere, []byte(strings.ReplaceAll(string(content), restConfig.Host, "https://127.0.0.1:1")), 0o600)).To(Succeed())
		for _, args := range [][]string{{"status"}, {"status", "--watch"}, {"off", "basic-auth"}, {"promote", "basic-auth"}, {"rollback", "basic-auth"}} {
			out, notes, err := run(ctx, "", append(args, "--kubeconfig", nowhere)...)
			Expect(err).To(MatchError("exit status 2"), "%v: %s%s", args, out, notes)
			Expect(out).To(BeEmpty())
			Expect(notes).To(And(ContainSubstring("connection refused"), Not(ContainSubstring("goroutine"))), "%v", args)
			Expect(strings.Count(notes, "\n")).To(BeNumerically("<=", 3), notes)
		}
	})
})

// asRendered is an object without what the API server and the operator's memory add.
func asRendered(object *unstructured.Unstructured) string {
	GinkgoHelper()
	metadata := map[string]any{
		"name": object.GetName(), "namespace": object.GetNamespace(), "labels": object.GetLabels(), "ownerReferences": object.GetOwnerReferences(),
	}
	content, err := yaml.Marshal(map[string]any{
		"apiVersion": object.GetAPIVersion(), "kind": object.GetKind(), "metadata": metadata, "spec": object.Object["spec"],
	})
	Expect(err).NotTo(HaveOccurred())
	return string(content)
}
