// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

func fromSecret(name string) wasmv1alpha1.RulesSource {
	return wasmv1alpha1.RulesSource{SecretKeyRef: wasmv1alpha1.RulesKeyReference{
		KeyReference: wasmv1alpha1.KeyReference{Name: name, Key: rulesKey},
	}}
}

func newSecret(namespace, rules string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "creds"}, Data: map[string][]byte{rulesKey: []byte(rules)},
	}
}

func consent(secret *corev1.Secret) {
	secret.Labels = map[string]string{wasmv1alpha1.LabelRules: wasmv1alpha1.RulesAllowed}
}

func withdraw(secret *corev1.Secret) { secret.Labels = nil }

// refreshNow asks the operator to read the plugin's Secrets.
func refreshNow(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, value string) {
	GinkgoHelper()
	change(ctx, plugin, func(p *wasmv1alpha1.WasmPlugin) {
		p.Annotations = map[string]string{wasmv1alpha1.AnnotationRefresh: value}
	})
}

// grantSecrets is what an administrator does who lets rules come from Secrets of a namespace.
func grantSecrets(ctx context.Context, namespace string) {
	GinkgoHelper()
	kubectl(ctx, "apply", "--namespace", namespace, "-f", filepath.Join(repository, "config", "rbac", "optional_rules_secrets.yaml"))
	granted := clientFor(operatorConfig(ctx, cluster))
	Eventually(ctx, func(ctx context.Context) error { // a binding takes a moment
		return client.IgnoreNotFound(granted.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "any"}, &corev1.Secret{}))
	}).Should(Succeed())
}

// quotesRules makes a denyingPolicy quote what a plugin would receive.
const quotesRules = `messageExpression: "'refused: ' + string(object.spec.configPatches[0].patch.value.typed_config.config.configuration.value)"`

var _ = Describe("Rules from Secrets", Serial, func() {
	const rules = `{"users": {"alice": "wonderland"}}`
	var (
		plugin *wasmv1alpha1.WasmPlugin
		secret *corev1.Secret
		ns     string
	)

	BeforeEach(func(ctx SpecContext) {
		ns = newNamespace(ctx)
		plugin, secret = newPlugin(ns), newSecret(ns, rules)
		plugin.Spec.Rules = nil
		plugin.Spec.RulesFrom = []wasmv1alpha1.RulesSource{fromSecret(secret.Name)}
		proxy.Reset()
	})

	notPermitted := func(ctx context.Context, words ...string) {
		GinkgoHelper()
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonReferenceNotPermitted, append(words, "creds")...))
	}

	It("need a right, and their owner's consent", func(ctx SpecContext) {
		Expect(k8s.Create(ctx, secret)).To(Succeed())
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		notPermitted(ctx, "rulesFrom.secretNamespaces")

		grantSecrets(ctx, ns)
		refreshNow(ctx, plugin, "1")
		notPermitted(ctx, wasmv1alpha1.LabelRules+"=allowed")
		Expect(gets(ns)).NotTo(ContainElement("secrets/creds"), "the data aren't read")

		silent(ns) // its own status has it look once more
		change(ctx, secret, consent)
		proxy.Reset()
		refreshNow(ctx, plugin, "2")
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(delivered(plugin)(Default, ctx)).To(Equal(`{"users":{"alice":"wonderland"}}`))
		Expect(gets(ns)).To(Equal([]string{"wasmplugins/basic-auth", "secrets/creds (metadata)", "secrets/creds"}))
		Expect(watches(ns, "secrets")).To(BeEmpty(), "Secrets are never listed or watched")
	})

	It("are read anew when the annotation asks for it", func(ctx SpecContext) {
		grantSecrets(ctx, ns)
		consent(secret)
		Expect(k8s.Create(ctx, secret)).To(Succeed())
		createReady(ctx, plugin)
		change(ctx, secret, func(s *corev1.Secret) { s.Data[rulesKey] = []byte(`{"users": {"bob": "builder"}}`) })
		proxy.Reset()
		refreshNow(ctx, plugin, "now")
		quiet(ns, "PATCH envoyfilters/basic-auth-config", "PATCH wasmplugins/basic-auth/status")
		Expect(delivered(plugin)(Default, ctx)).To(ContainSubstring("builder"))
		Expect(gets(ns)).To(Equal([]string{"wasmplugins/basic-auth", "secrets/creds (metadata)", "secrets/creds"}))
		proxy.Reset()
		refreshNow(ctx, plugin, "now")
		Consistently(func() []string { return append(writes(ns), gets(ns)...) }).Should(BeEmpty(), "the same value is no news")
	})

	It("are looked at from time to time, and left alone when the consent goes", func(ctx SpecContext) {
		restartOperator(ctx, "--secret-refresh-interval=10s")
		grantSecrets(ctx, ns)
		consent(secret)
		Expect(k8s.Create(ctx, secret)).To(Succeed())
		createReady(ctx, plugin)
		proxy.Reset()
		Eventually(func() []string { return gets(ns) }).Should(Equal([]string{"secrets/creds (metadata)"}))
		Expect(writes(ns)).To(BeEmpty())

		change(ctx, secret, func(s *corev1.Secret) { s.Data[rulesKey] = []byte(`{"users": {"bob": "builder"}}`) })
		Eventually(ctx, delivered(plugin)).Should(ContainSubstring("builder"))

		change(ctx, secret, func(s *corev1.Secret) {
			withdraw(s)
			s.Data[rulesKey] = []byte(`{"users": {"eve": "dropper"}}`)
		})
		proxy.Reset()
		notPermitted(ctx, "stays in effect")
		Expect(gets(ns)).NotTo(ContainElement("secrets/creds"))
		Expect(delivered(plugin)(Default, ctx)).To(ContainSubstring("builder"))

		change(ctx, secret, consent)
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(delivered(plugin)(Default, ctx)).To(ContainSubstring("dropper"))
	})

	It("cost no request when the operator restarts", func(ctx SpecContext) {
		grantSecrets(ctx, ns)
		consent(secret)
		Expect(k8s.Create(ctx, secret)).To(Succeed())
		createReady(ctx, plugin)
		Expect(operator.Stop()).To(Succeed())
		proxy.Reset()
		restartOperator(ctx, "--secret-refresh-interval=24h") // the first look is at any time of it
		Eventually(operator.reconciles).Should(BeNumerically(">", 0))
		Consistently(func() []string { return append(writes(ns), gets(ns)...) }).Should(BeEmpty())
	})

	It("are told by no status, event or log, though the API server quotes them", func(ctx SpecContext) {
		policy := denyingPolicy("quote", ns, quotesRules)
		DeferCleanup(func(ctx SpecContext) { Expect(chain.Delete(ctx, restConfig, policy)).To(Succeed()) })
		Expect(chain.Apply(ctx, restConfig, policy)).To(Succeed())
		Eventually(ctx, func(ctx context.Context) error {
			return k8s.Create(ctx, newEnvoyFilter(ns, "tried"), client.DryRunAll)
		}).Should(Satisfy(apierrors.IsInvalid))
		grantSecrets(ctx, ns)
		consent(secret)
		Expect(k8s.Create(ctx, secret)).To(Succeed())
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionFalse, wasmv1alpha1.ReasonRefused))
		Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionApplied).Message).To(ContainSubstring("***"), "it was quoted")

		events := &eventsv1.EventList{}
		Eventually(ctx, func(g Gomega) {
			g.Expect(k8s.List(ctx, events, client.InNamespace(ns))).To(Succeed())
			g.Expect(events.Items).NotTo(BeEmpty())
		}).Should(Succeed())
		for _, text := range []string{fmt.Sprint(plugin.Status), fmt.Sprint(events.Items), operator.Log()} {
			Expect(text).NotTo(Or(ContainSubstring("alice"), ContainSubstring("wonderland")))
		}
	})
})
