// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

const stranger = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: stranger, namespace: wasmplugin-system}
`

// TestServerGrantsRights asks the API server what the ServiceAccounts of the operator and of the store may do: in each
// namespace what operatorRights and storeRights say, and beyond that nothing that a stranger may not.
func TestServerGrantsRights(t *testing.T) {
	c := startCluster(t)
	c.install()
	c.apply(stranger)
	for account, table := range map[string]string{release: operatorRights, storeAccount: storeRights} {
		for _, where := range []string{metav1.NamespaceDefault, namespace, "istio-system", metav1.NamespaceSystem} {
			got := c.rules(account, where)
			theirs := c.rules("stranger", where)
			got = slices.DeleteFunc(got, func(right string) bool { return slices.Contains(theirs, right) })
			if diff := cmp.Diff(rightsIn(where, table), got); diff != "" {
				t.Errorf("rights of %s in namespace %s (-want +got):\n%s", account, where, diff)
			}
		}
		client, err := dynamic.NewForConfig(c.as(account))
		c.must(err)
		if _, err := client.Resource(secrets).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("listing Secrets as %s: %v, want Forbidden", account, err)
		}
	}
}

// rightsIn are the rights of a table in a namespace, without its name.
func rightsIn(namespace, table string) []string {
	var rights []string
	for _, right := range rightsOf(table) {
		at, what, _ := strings.Cut(right, " ")
		if at == "*" || at == namespace {
			rights = append(rights, what)
		}
	}
	slices.Sort(rights)
	return rights
}

// as is the configuration of a client that is a ServiceAccount of the operator's namespace.
func (c cluster) as(serviceAccount string) *rest.Config {
	c.Helper()
	token, err := c.ServiceAccountToken(c.Context(), namespace, serviceAccount)
	c.must(err)
	return c.ConfigFor(token)
}

// rules are what the API server says that a ServiceAccount may do in a namespace.
func (c cluster) rules(serviceAccount, where string) []string {
	c.Helper()
	client, err := kubernetes.NewForConfig(c.as(serviceAccount))
	c.must(err)
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(c.Context(),
		&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: where}},
		metav1.CreateOptions{})
	c.must(err)
	if review.Status.Incomplete {
		c.Fatalf("the API server doesn't say all: %s", review.Status.EvaluationError)
	}
	var rights []string
	for _, rule := range review.Status.ResourceRules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range orAll(rule.ResourceNames...) {
					for _, verb := range rule.Verbs {
						_, what, _ := strings.Cut(right(where, group, resource, name, verb), " ")
						rights = append(rights, what)
					}
				}
			}
		}
	}
	slices.Sort(rights)
	return slices.Compact(rights)
}

const tenant = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: wasmplugin-operator-plugins-admin}
subjects: [{kind: User, name: tenant, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: wasm.solarmesh.io/v1alpha1
kind: WasmPlugin
metadata: {name: NAME, namespace: shop}
spec:
  url: https://plugins.example.com/hello-world.wasm
  selector: {matchLabels: {app: shop}}
`

// TestAdmissionPolicyAndDeletion: who may not delete EnvoyFilters deletes no WasmPlugin, one by one or as a collection;
// Kubernetes' own controllers do, so that a namespace can go and owner references work.
func TestAdmissionPolicyAndDeletion(t *testing.T) {
	c := startCluster(t, chain.User{Name: "tenant", Token: "tenant-token"})
	c.install()
	plugins := func(config *rest.Config) dynamic.ResourceInterface {
		client, err := dynamic.NewForConfig(config)
		c.must(err)
		return client.Resource(wasmPlugins).Namespace("shop")
	}
	asTenant := plugins(c.ConfigFor("tenant-token"))
	deletions := map[string]func(context.Context, dynamic.ResourceInterface) error{
		"one": func(ctx context.Context, as dynamic.ResourceInterface) error {
			return as.Delete(ctx, "hello", metav1.DeleteOptions{})
		},
		"a collection": func(ctx context.Context, as dynamic.ResourceInterface) error {
			return as.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		},
	}
	c.apply(strings.ReplaceAll(tenant, "NAME", "hello"))
	for name, deletion := range deletions {
		// A policy takes a moment to come into force; a dry run finds out.
		c.eventually(func(ctx context.Context) error { return refused(asTenant.Delete(ctx, "hello", dryRun)) })
		if err := refused(deletion(t.Context(), asTenant)); err != nil {
			t.Errorf("a tenant deletes %s: %v", name, err)
		}
	}
	for name, controller := range map[string]string{
		"one": "generic-garbage-collector", "a collection": "namespace-controller",
	} {
		c.apply(strings.ReplaceAll(tenant, "NAME", "hello"))
		config := rest.CopyConfig(c.Config)
		config.Impersonate.UserName = "system:serviceaccount:kube-system:" + controller
		if err := deletions[name](t.Context(), plugins(config)); err != nil {
			t.Errorf("the %s deletes %s: %v", controller, name, err)
		}
	}
}

var dryRun = metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}

// refused says what is wrong if something was not refused by the policy, in its own words.
func refused(err error) error {
	const words = `user "tenant" may not delete EnvoyFilters in namespace "shop"`
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), words) {
		return nil
	}
	return fmt.Errorf("expected a refusal that says %s, got: %w", words, err)
}
