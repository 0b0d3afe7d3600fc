// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// longestMessage bounds what a condition says, whoever's words it repeats: internal/status cuts at 2,048 bytes, before what
// it adds itself.
const longestMessage = 2600

var _ = Describe("Robustness: the words of others", Serial, func() {
	It("rows 49 and 50: of a policy that denies are told, cut, and move no terminal's cursor", func(ctx SpecContext) {
		plugin := newPlugin(newNamespace(ctx))
		// An escape for colors, one that turns the direction of the text, and 4,800 letters.
		policy := denyingPolicy("words", plugin.Namespace,
			`messageExpression: "'denied by \u001b[31mred\u202e level=error `+strings.Repeat("x", 4800)+`'"`)
		DeferCleanup(func(ctx SpecContext) { Expect(chain.Delete(ctx, restConfig, policy)).To(Succeed()) })
		Expect(chain.Apply(ctx, restConfig, policy)).To(Succeed())
		Eventually(ctx, func(ctx context.Context) error {
			return k8s.Create(ctx, newEnvoyFilter(plugin.Namespace, "tried"), client.DryRunAll)
		}).Should(Satisfy(apierrors.IsInvalid))
		said := len(operator.Log())
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionFalse, wasmv1alpha1.ReasonRefused))
		message := conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionApplied).Message
		Expect(message).To(ContainSubstring("denied by"))
		for _, condition := range plugin.Status.Conditions {
			showsNothingHidden(condition.Message)
			Expect(len(condition.Message)).To(BeNumerically("<", longestMessage))
		}
		events := &eventsv1.EventList{}
		Eventually(ctx, func(g Gomega, ctx context.Context) {
			g.Expect(k8s.List(ctx, events, client.InNamespace(plugin.Namespace))).To(Succeed())
			g.Expect(events.Items).NotTo(BeEmpty())
		}).Should(Succeed())
		for _, event := range events.Items {
			showsNothingHidden(event.Note)
			Expect(len(event.Note)).To(BeNumerically("<=", 1024))
		}
		showsNothingHidden(strings.ReplaceAll(operator.Log()[said:], "\n", ""))
	})

	It("row 50: of the rules reach the plugin as they are, and nobody else", func(ctx SpecContext) {
		plugin := newPlugin(newNamespace(ctx))
		plugin.Spec.Rules = rulesOf(`{"\u202eevil": "\u001b[31mred\u0007\u2028"}`)
		said := len(operator.Log())
		createReady(ctx, plugin)
		Expect(inConfig(ctx, plugin, "patch", "value", "typed_config", "config", "configuration", "value")).To(
			MatchJSON(`{"\u202eevil": "\u001b[31mred\u0007\u2028"}`))
		for _, condition := range refresh(ctx, plugin).Status.Conditions {
			showsNothingHidden(condition.Message)
		}
		showsNothingHidden(strings.ReplaceAll(operator.Log()[said:], "\n", ""))
	})
})

func showsNothingHidden(text string) {
	GinkgoHelper()
	hidden := func(char rune) bool { return unicode.IsControl(char) || unicode.Is(unicode.Cf, char) }
	at := strings.IndexFunc(text, hidden)
	Expect(at).To(Equal(-1), "%q", text)
}

var _ = Describe("Robustness: an operator of three namespaces among many", Serial, func() {
	It("row 51: lists and watches those three, and nothing of the whole cluster", func(ctx SpecContext) {
		watched := []string{newNamespace(ctx), newNamespace(ctx), newNamespace(ctx)}
		Expect(operator.Stop()).To(Succeed())
		proxy.Reset() // not before: the one that stops may ask for something yet
		restartOperator(ctx, "--watch-namespaces="+strings.Join(watched, ","))
		for _, namespace := range watched {
			plugin := newPlugin(namespace)
			plugin.Spec.RulesFrom = []wasmv1alpha1.RulesSource{{ConfigMapKeyRef: wasmv1alpha1.RulesKeyReference{
				KeyReference: wasmv1alpha1.KeyReference{Name: "users", Key: "a"}, Optional: new(true),
			}}}
			createReady(ctx, plugin)
		}
		collection := regexp.MustCompile(`/(wasmplugins|envoyfilters|configmaps|secrets)$`)
		lists := func() map[string]int {
			GinkgoHelper()
			found := map[string]int{}
			for _, request := range proxy.Requests() {
				match := collection.FindStringSubmatch(request.Path)
				if match == nil {
					continue
				}
				_, rest, namespaced := strings.Cut(request.Path, "/namespaces/")
				Expect(namespaced).To(BeTrue(), "all of the cluster: %v", request)
				namespace, _, _ := strings.Cut(rest, "/")
				Expect(watched).To(ContainElement(namespace), fmt.Sprint(request))
				found[match[1]+" of "+namespace]++
			}
			return found
		}
		Eventually(lists).Should(HaveLen(3*3), "plugins, EnvoyFilters and ConfigMaps of three namespaces")
	})
})
