// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var _ = Describe("Bad input: a module that the installation doesn't take", Serial, func() {
	It("row 8: by a tag, or that needn't be signed, and what stands stays", func(ctx SpecContext) {
		resolving(ctx, "--insecure-registries=127.0.0.1")
		server := startOrigin()
		url := server.image("auth", wasmLayer, tinyModule("one", true))
		plugin := newModulePlugin(newNamespace(ctx), "tagged", url)
		createReady(ctx, plugin)
		before, asked := child(ctx, plugin, wasmv1alpha1.RoleConfig), server.asked("/v2/")

		relaunch(ctx, "--resolve-modules=true", "--allow-loopback-addresses", "--insecure-registries=127.0.0.1",
			"--module-cache-dir="+GinkgoT().TempDir(), "--require-digest", "--require-signature")
		fresh := newModulePlugin(plugin.Namespace, "fresh", url)
		Expect(k8s.Create(ctx, fresh)).To(Succeed())
		for _, refused := range []*wasmv1alpha1.WasmPlugin{fresh, plugin} {
			Eventually(ctx, stateOf(refused)).Should(beRejected(wasmv1alpha1.ReasonDigestRequired, "spec.url: ", "@sha256:"))
		}
		Expect(patchSpec(ctx, fresh, fmt.Sprintf(`{"sha256": %q}`, hex("9")))).To(Succeed())
		Eventually(ctx, stateOf(fresh)).Should(beRejected(wasmv1alpha1.ReasonSignatureRequired, "spec.verification: "))
		Expect(appliedTo(child(ctx, plugin, wasmv1alpha1.RoleConfig))).To(Equal(appliedTo(before)))
		Expect(versions(ctx, plugin)).To(HaveLen(2))
		Expect(server.asked("/v2/")).To(Equal(asked), "and nobody is asked for it")
	})
})

var _ = Describe("Bad input: the Secret with a registry's credentials", Serial, Ordered, ContinueOnFailure, func() {
	const password = "hunter2-of-the-registry"
	var server *origin

	// The store needn't be there: no module gets as far.
	BeforeAll(func(ctx SpecContext) {
		token := filepath.Join(GinkgoT().TempDir(), "token")
		Expect(os.WriteFile(token, []byte("token"), 0o600)).To(Succeed())
		resolving(ctx, "--insecure-registries=127.0.0.1", "--store-url=http://store.invalid", "--store-upload-url=https://127.0.0.1:1", "--store-token-file="+token)
		server = startOrigin()
	})
	create := func(ctx context.Context, repository string) *wasmv1alpha1.WasmPlugin {
		GinkgoHelper()
		plugin := newModulePlugin(newNamespace(ctx), "private", server.image(repository, wasmLayer, tinyModule("one", true)))
		plugin.Spec.ImagePullSecret = "regcred"
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		return plugin
	}
	grant := func(ctx context.Context, namespace string) {
		GinkgoHelper()
		kubectl(ctx, "apply", "--namespace", namespace, "-f", filepath.Join(repository, "config", "rbac", "optional_module_secrets.yaml"))
	}

	It("that the operator has no right to", func(ctx SpecContext) {
		plugin := create(ctx, "no-right")
		Eventually(ctx, stateOf(plugin)).Should(beUnresolved(verdict{"InvalidPullSecret", "modules.secretNamespaces", false}))
		Expect(server.asked("no-right")).To(BeZero())
	})

	DescribeTable("that is none", func(ctx SpecContext, kind corev1.SecretType, data map[string]string, words string) {
		plugin := newModulePlugin(newNamespace(ctx), "private", server.image("none", wasmLayer, tinyModule("one", true)))
		grant(ctx, plugin.Namespace)
		if data != nil {
			for key, value := range data {
				data[key] = strings.ReplaceAll(value, "REGISTRY", server.registry())
			}
			Expect(k8s.Create(ctx, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: plugin.Namespace, Name: "regcred"}, Type: kind, StringData: data,
			})).To(Succeed())
		}
		plugin.Spec.ImagePullSecret = "regcred"
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beUnresolved(verdict{"InvalidPullSecret", words, false}))
		Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionModuleResolved).Message).NotTo(ContainSubstring(password))
		Expect(versions(ctx, plugin)).To(BeEmpty())
		Expect(server.asked("none")).To(BeZero())
		Expect(operator.Log()).NotTo(ContainSubstring(password))
	},
		Entry("missing", corev1.SecretTypeOpaque, nil, "doesn't exist"),
		Entry("of another type", corev1.SecretTypeOpaque, map[string]string{corev1.DockerConfigJsonKey: `{"auths":{}}`, "password": password}, "kubectl create secret docker-registry"),
		Entry("of an old type", corev1.SecretTypeDockercfg, map[string]string{corev1.DockerConfigKey: `{"` + password + `":{}}`}, "not of type"),
		Entry("JSON, but no such document", corev1.SecretTypeDockerConfigJson, map[string]string{corev1.DockerConfigJsonKey: `{"` + password + `":{}}`}, "not a Docker configuration"),
		Entry("with a login that isn't base64", corev1.SecretTypeDockerConfigJson,
			map[string]string{corev1.DockerConfigJsonKey: `{"auths":{"REGISTRY":{"auth":"%` + password + `"}}}`}, "base64"),
	)

	It("is enough as soon as it is mended and the operator is asked to look", func(ctx SpecContext) {
		plugin := create(ctx, "mended")
		Eventually(ctx, stateOf(plugin)).Should(beUnresolved(verdict{"InvalidPullSecret", "", false}))
		grant(ctx, plugin.Namespace)
		Expect(k8s.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: plugin.Namespace, Name: "regcred"}, Type: corev1.SecretTypeDockerConfigJson,
			StringData: map[string]string{corev1.DockerConfigJsonKey: `{"auths":{}}`},
		})).To(Succeed())
		refreshNow(ctx, plugin, "now")
		Eventually(ctx, stateOf(plugin)).Should(beUnresolved(verdict{wasmv1alpha1.ReasonStoreUnavailable, "", true}))
		Expect(server.asked("/v2/mended/blobs/")).To(BeNumerically(">", 0), "the registry was asked")
		Expect(versions(ctx, plugin)).To(BeEmpty(), "and proxies wait for the store")
	})
})
