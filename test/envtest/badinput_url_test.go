// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// password is what nothing may repeat.
const password = "s3cr3t-pa55word"

var _ = Describe("Bad input: the URL and the digest", func() {
	DescribeTable("is refused at admission", admissionRefuses,
		Entry("row 1: empty", "spec.url", `{"url": ""}`),
		Entry("row 1: missing", "spec.url: Required value", `{"url": null}`),
		Entry("row 1: spaces", "printable ASCII", `{"url": "https://example.com/a plugin.wasm"}`),
		Entry("row 1: only spaces", "printable ASCII", `{"url": "  "}`),
		Entry("row 1: a broken escape", "is not a valid URL", `{"url": "https://example.com/%zz"}`),
		Entry("row 1: a broken escape in an image's name", "no image's name", `{"url": "oci://example.com/%zz"}`),
		Entry("row 1: no host: oci", "has no host", `{"url": "oci:///plugin:1.0"}`),
		Entry("row 1: no host: only a scheme", "has no host", `{"url": "oci://"}`),
		Entry("row 1: no host: https", "has no host", `{"url": "https:///plugin.wasm"}`),
		Entry("row 1: no host: only a port", "has no host", `{"url": "https://:8080/plugin.wasm"}`),
		Entry("row 1: no host: only a query", "has no host", `{"url": "https://?plugin=a"}`),
		Entry("row 1: no host: no scheme", "has no host", `{"url": "/plugin:1.0"}`),
		Entry("row 1: port 0", "port", `{"url": "https://example.com:0/plugin.wasm"}`),
		Entry("row 1: an empty port", "port", `{"url": "oci://example.com:/plugin:1.0"}`),
		Entry("row 2: ftp", "unknown scheme", `{"url": "ftp://example.com/plugin.wasm"}`),
		Entry("row 2: gopher", "unknown scheme", `{"url": "gopher://example.com/plugin.wasm"}`),
		Entry("row 2: javascript", "no image's name", `{"url": "javascript:alert(1)"}`),
		Entry("row 2: javascript with slashes", "unknown scheme", `{"url": "javascript://example.com/%0aalert(1)"}`),
		Entry("row 2: FILE", "unknown scheme", `{"url": "FILE:///etc/passwd"}`),
		Entry("row 2: file", "unknown scheme", `{"url": "file:///etc/passwd"}`),
		Entry("row 2: file with one slash", "port", `{"url": "file:/etc/passwd"}`),
		Entry("row 2: a known scheme in capitals", "unknown scheme", `{"url": "HTTPS://example.com/plugin.wasm"}`),
		Entry("row 3: link-local", "metadata service", `{"url": "http://169.254.169.254/latest/meta-data"}`),
		Entry("row 3: link-local, as IPv6 wraps it", "metadata service", `{"url": "http://[::ffff:169.254.169.254]/latest/meta-data"}`),
		Entry("row 3: link-local, as IPv6 wraps it in hex", "metadata service", `{"url": "http://[::ffff:a9fe:a9fe]/latest/meta-data"}`),
		Entry("row 3: link-local, as one number", "is a number", `{"url": "http://2852039166/latest/meta-data"}`),
		Entry("row 3: link-local, as one number in hex", "is a number", `{"url": "http://0xa9fea9fe/latest/meta-data"}`),
		Entry("row 3: link-local, in octal", "unusual form", `{"url": "http://0251.0376.0251.0376/latest/meta-data"}`),
		Entry("row 3: AWS on IPv6", "metadata service", `{"url": "http://[fd00:ec2::254]/latest/meta-data"}`),
		Entry("row 3: Alibaba Cloud", "metadata service", `{"url": "http://100.100.100.200/latest/meta-data"}`),
		Entry("row 3: as a registry", "metadata service", `{"url": "169.254.169.254/plugin:1.0"}`),
		Entry("row 6: a digest that is too short", "spec.sha256", `{"sha256": "`+hex("a")[1:]+`"}`),
		Entry("row 6: a digest that is too long", "spec.sha256", `{"sha256": "`+hex("a")+`a"}`),
		Entry("row 6: a digest in capitals", "spec.sha256", `{"sha256": "`+hex("A")+`"}`),
		Entry("row 6: a digest with a prefix", "spec.sha256", `{"sha256": "sha256:`+hex("a")+`"}`),
		Entry("row 6: a digest in the URL that is too short", "digest", `{"url": "oci://registry.example.com/plugin@sha256:abc"}`),
		Entry("row 6: a digest in the URL in capitals", "digest", `{"url": "oci://registry.example.com/plugin@sha256:`+hex("A")+`"}`),
		Entry("row 6: a digest in the URL of another kind", "digest", `{"url": "oci://registry.example.com/plugin@md5:`+hex("a")[32:]+`"}`),
		Entry("row 6: two digests that differ", "spec.sha256: Invalid value: differs from the digest in url",
			`{"url": "oci://registry.example.com/plugin@sha256:`+hex("a")+`", "sha256": "`+hex("b")+`"}`),
	)

	DescribeTable("is refused by the operator, where a schema can't say it", operatorRefuses,
		Entry("row 1: port 65536", wasmv1alpha1.ReasonInvalidSpec, "port", `{"url": "https://example.com:65536/plugin.wasm"}`),
		Entry("row 1: port 0, no path", wasmv1alpha1.ReasonInvalidSpec, "port", `{"url": "https://example.com:0"}`),
	)
})

// withPassword are URLs with a password in them, and what is said of each.
var withPassword = map[string]string{
	"https":                   "https://u:" + password + "@h/x",
	"https without a path":    "https://u:" + password + "@h",
	"https, only a name":      "https://" + password + "@h/x",
	"oci":                     "oci://u:" + password + "@h/x",
	"oci without a path":      "oci://u:" + password + "@h",
	"oci with a digest":       "oci://u:" + password + "@h/x@sha256:" + hex("a"),
	"no scheme":               "u:" + password + "@h/x",
	"a slash too few":         "https:/u:" + password + "@h/x",
	"store":                   "store://u:" + password + "@x",
	"beside an unknown host":  "http://u:" + password + "@169.254.169.254/x",
	"in another scheme":       "ftp://u:" + password + "@h/x",
	"in a URL that is broken": "https://u:" + password + "@h/%zz",
	"in one that is too long": "https://u:" + password + "@h/" + strings.Repeat("x", 2048),
}

var _ = Describe("Bad input: a password", Serial, func() {
	silent := func(whose, said string) {
		GinkgoHelper()
		Expect(said).NotTo(BeEmpty())
		Expect(strings.Contains(said, password)).To(BeFalse(), "%s repeats it", whose)
	}
	logs := func() {
		GinkgoHelper()
		for whose, file := range map[string]string{"the operator's log": operator.LogFile(), "the API server's log": cluster.APIServer.LogFile()} {
			log, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			silent(whose, string(log))
		}
	}
	// kubectlRefuses returns what a user of kubectl sees.
	kubectlRefuses := func(ctx context.Context, manifest string) string {
		GinkgoHelper()
		file := filepath.Join(GinkgoT().TempDir(), "plugin.yaml")
		Expect(os.WriteFile(file, []byte(manifest), 0o600)).To(Succeed())
		command := exec.CommandContext(ctx, shared.Kubectl, "apply", "-f", file, "--kubeconfig", shared.Kubeconfig)
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + GinkgoT().TempDir()}
		out, err := command.CombinedOutput()
		Expect(err).To(HaveOccurred())
		return string(out)
	}
	manifest := func(namespace, spec string) string {
		return `{"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"name": "leaky", "namespace": "` + namespace + `"}, "spec": ` + spec + `}`
	}

	It("row 5: in the URL is refused at admission, and repeated nowhere", func(ctx SpecContext) {
		plugin := newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		for form, url := range withPassword {
			By(form)
			leaky := newPlugin(plugin.Namespace)
			leaky.Name, leaky.Spec.URL = "leaky", url
			for _, err := range []error{k8s.Create(ctx, leaky), patchSpec(ctx, plugin, `{"url": "`+url+`"}`)} {
				Expect(err).To(Satisfy(apierrors.IsInvalid))
				status := apierrors.APIStatus(nil)
				Expect(errors.As(err, &status)).To(BeTrue())
				answer, err := json.Marshal(status.Status())
				Expect(err).NotTo(HaveOccurred())
				silent("the API server's answer", string(answer))
				Expect(string(answer)).To(ContainSubstring("spec.url"), "it says where the mistake is")
			}
			said := kubectlRefuses(ctx, manifest(plugin.Namespace, `{"url": "`+url+`", "scope": "Namespace"}`))
			silent("kubectl", said)
			Expect(said).To(ContainSubstring("spec.url"))
		}
		Expect(stateOf(plugin)(Default, ctx)).To(beReady())
		logs()
	})

	DescribeTable("in another field that breaks a rule isn't repeated either", func(ctx SpecContext, field, spec string) {
		said := kubectlRefuses(ctx, manifest(newNamespace(ctx), spec))
		silent("kubectl", said)
		Expect(said).To(ContainSubstring(field))
		logs()
	},
		Entry("a name of a variable", "spec.vmConfig.env[0].name",
			`{"url": "a", "scope": "Namespace", "vmConfig": {"env": [{"name": "TOKEN=`+password+`"}]}}`),
		Entry("a variable that is the mesh's", "spec.vmConfig.env[0].name",
			`{"url": "a", "scope": "Namespace", "vmConfig": {"env": [{"name": "ISTIO_META_`+password+`"}]}}`),
		Entry("a value of a variable that is too long", "spec.vmConfig.env[0].value",
			`{"url": "a", "scope": "Namespace", "vmConfig": {"env": [{"name": "A", "value": "`+password+strings.Repeat("x", 2048)+`"}]}}`),
		Entry("a value beside HOST", "spec.vmConfig.env[0].value",
			`{"url": "a", "scope": "Namespace", "vmConfig": {"env": [{"name": "A", "valueFrom": "HOST", "value": "`+password+`"}]}}`),
		Entry("text that is too long", "spec.rulesText",
			`{"url": "a", "scope": "Namespace", "rulesText": "`+password+strings.Repeat("x", 262144)+`"}`),
		Entry("text beside rules", "spec", `{"url": "a", "scope": "Namespace", "rules": {"password": "`+password+`"}, "rulesText": "`+password+`"}`),
		Entry("the configuration of a VM that is too long", "spec.envoy.vmConfiguration",
			`{"url": "a", "scope": "Namespace", "envoy": {"vmConfiguration": "`+password+strings.Repeat("x", 65536)+`"}}`),
		Entry("a key that is too long", "spec.verification.keys[0].inline",
			`{"url": "a", "scope": "Namespace", "verification": {"keys": [{"inline": "`+password+strings.Repeat("x", 8192)+`"}]}}`),
	)

	It("rows 3 and 5: in a plugin that was stored under another CRD is refused by the operator, and repeated nowhere", func(ctx SpecContext) {
		withoutRules(ctx)
		namespace := newNamespace(ctx)
		create := func(form, url string) *wasmv1alpha1.WasmPlugin {
			plugin := newPlugin(namespace)
			plugin.Name = strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(form))
			plugin.Spec.URL = url
			Expect(k8s.Create(ctx, plugin)).To(Succeed())
			return plugin
		}
		for form, url := range withPassword {
			if len(url) > 2048 {
				continue // that rule is a field's own, which is there still
			}
			By(form)
			plugin := create(form, url)
			Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonInvalidSpec, "spec.url: "))
			status, err := json.Marshal(refresh(ctx, plugin).Status)
			Expect(err).NotTo(HaveOccurred())
			silent("the status", string(status))
		}
		for form, url := range map[string]string{"link-local": "http://169.254.169.254/x", "as-a-number": "http://2852039166/x"} {
			Eventually(ctx, stateOf(create(form, url))).Should(beRejected(wasmv1alpha1.ReasonInvalidSpec, "spec.url: "))
		}
		Expect(versions(ctx, newPlugin(namespace))).To(BeEmpty())
		logs()
	})
})

// withoutRules takes the CEL rules of the spec out of the CRD until the spec ends.
func withoutRules(ctx context.Context) {
	GinkgoHelper()
	const path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations"
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	crd.SetName("wasmplugins.wasm.solarmesh.io")
	rules, err := json.Marshal(specSchema().XValidations)
	Expect(err).NotTo(HaveOccurred())
	patch := func(ctx context.Context, operation string) {
		GinkgoHelper()
		Expect(k8s.Patch(ctx, crd, client.RawPatch(types.JSONPatchType, []byte(operation)))).To(Succeed())
	}
	bad := withFields(metav1.NamespaceDefault, `{"url": "ftp://example.com"}`)
	refused := func(ctx context.Context) bool {
		return apierrors.IsInvalid(k8s.Create(ctx, bad.DeepCopy(), client.DryRunAll))
	}
	DeferCleanup(func(ctx SpecContext) {
		patch(ctx, `[{"op": "add", "path": "`+path+`", "value": `+string(rules)+`}]`)
		Eventually(ctx, refused).Should(BeTrue())
	})
	patch(ctx, `[{"op": "remove", "path": "`+path+`"}]`)
	Eventually(ctx, refused).Should(BeFalse())
}
