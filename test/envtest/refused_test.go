// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// denyingPolicy is somebody's policy against EnvoyFilters in a namespace, by a validation that never holds.
func denyingPolicy(name, namespace, validation string) string {
	return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s-%[2]s}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [networking.istio.io], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [envoyfilters]}
  matchConditions:
  - {name: namespace, expression: request.namespace == '%[2]s'}
  validations:
  - expression: "false"
    %[3]s
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s-%[2]s}
spec: {policyName: %[1]s-%[2]s, validationActions: [Deny]}
`, name, namespace, validation)
}

var _ = Describe("An API server that refuses the EnvoyFilters", func() {
	It("is quoted in the status, without credentials, until it takes them", func(ctx SpecContext) {
		plugin := newPlugin(newNamespace(ctx))
		tried := func(ctx context.Context) error {
			envoyFilter := newEnvoyFilter(plugin.Namespace, "tried")
			return k8s.Create(ctx, envoyFilter, client.DryRunAll)
		}
		// Its words repeat a credential of the rules.
		policy := denyingPolicy("refuse", plugin.Namespace, "message: no EnvoyFilters with ok:test here")
		DeferCleanup(func(ctx SpecContext) { Expect(chain.Delete(ctx, restConfig, policy)).To(Succeed()) })
		Expect(chain.Apply(ctx, restConfig, policy)).To(Succeed())
		Eventually(ctx, tried).Should(Satisfy(apierrors.IsInvalid))

		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(And(
			haveCondition(wasmv1alpha1.ConditionAccepted, metav1.ConditionTrue, wasmv1alpha1.ReasonAccepted),
			haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionFalse, wasmv1alpha1.ReasonRefused),
			haveCondition(wasmv1alpha1.ConditionStalled, metav1.ConditionTrue, wasmv1alpha1.ReasonRefused),
		))
		Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionApplied).Message).To(And(
			ContainSubstring("basic-auth-config"), ContainSubstring("no EnvoyFilters with *** here"), Not(ContainSubstring("ok:test"))))

		Expect(chain.Delete(ctx, restConfig, policy)).To(Succeed())
		Eventually(ctx, tried).Should(Succeed())
		Expect(patchSpec(ctx, plugin, `{"priority": 5}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})
})
