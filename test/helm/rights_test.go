// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// operatorRights are what the operator's code uses, one right a line: namespace (* for all), API group, resource, name,
// verb. Whoever changes this list changes what the operator may do in other people's clusters.
const operatorRights = `
*                  wasm.solarmesh.io      wasmplugins                *  get
*                  wasm.solarmesh.io      wasmplugins                *  list
*                  wasm.solarmesh.io      wasmplugins                *  watch
*                  wasm.solarmesh.io      wasmplugins/status         *  patch
*                  wasm.solarmesh.io      wasmplugins/finalizers     *  update
*                  networking.istio.io    envoyfilters               *  get
*                  networking.istio.io    envoyfilters               *  list
*                  networking.istio.io    envoyfilters               *  watch
*                  networking.istio.io    envoyfilters               *  create
*                  networking.istio.io    envoyfilters               *  patch
*                  networking.istio.io    envoyfilters               *  delete
*                  core                   configmaps                 *  get
*                  core                   configmaps                 *  list
*                  core                   configmaps                 *  watch
*                  events.k8s.io          events                     *  create
*                  authentication.k8s.io  tokenreviews               *  create
*                  authorization.k8s.io   subjectaccessreviews       *  create
*                  wasm.solarmesh.io      modules                    *  create
*                  wasm.solarmesh.io      modules                    *  get
*                  wasm.solarmesh.io      modules                    *  update
istio-system       core                   configmaps                 istio  get
istio-system       discovery.k8s.io       endpointslices             *  list
wasmplugin-system  coordination.k8s.io    leases                     *  create
wasmplugin-system  coordination.k8s.io    leases                     wasmplugin-operator.solarmesh.io  get
wasmplugin-system  coordination.k8s.io    leases                     wasmplugin-operator.solarmesh.io  update
wasmplugin-system  core                   events                     *  create
`

// storeRights are what the store's code uses. No EnvoyFilter, no WasmPlugin, no Secret.
const storeRights = `
*                  authentication.k8s.io  tokenreviews               *  create
*                  authorization.k8s.io   subjectaccessreviews       *  create
*                  wasm.solarmesh.io      modules                    *  get
`

const storeAccount = release + "-store"

// TestRights: the chart and its twins give these rights and no others.
func TestRights(t *testing.T) {
	for source, objects := range map[string][]*unstructured.Unstructured{
		"chart": render(t, ""), "config/with-store": kustomize(t, "with-store"),
	} {
		for account, table := range map[string]string{release: operatorRights, storeAccount: storeRights} {
			if diff := cmp.Diff(rightsOf(table), granted(t, objects, account)); diff != "" {
				t.Errorf("%s: %s has other rights than the code uses (-want +got):\n%s", source, account, diff)
			}
		}
	}
}

// TestRightsWithoutStore: then there is nothing to upload to, and nobody else who has rights.
func TestRightsWithoutStore(t *testing.T) {
	want := slices.DeleteFunc(rightsOf(operatorRights), func(right string) bool { return strings.Contains(right, " modules ") })
	for source, objects := range map[string][]*unstructured.Unstructured{
		"chart":          render(t, valuesFile(t, "store: {enabled: false}")),
		"config/default": kustomize(t, "default"),
	} {
		if diff := cmp.Diff(want, granted(t, objects, release)); diff != "" {
			t.Errorf("%s: other rights than the code uses (-want +got):\n%s", source, diff)
		}
		if got := granted(t, objects, storeAccount); len(got) > 0 {
			t.Errorf("%s: rights of a store that isn't there: %v", source, got)
		}
	}
}

// TestStoreRightsWithoutPeers: replicas that share a bucket or a volume ask each other for nothing.
func TestStoreRightsWithoutPeers(t *testing.T) {
	want := slices.DeleteFunc(rightsOf(storeRights), func(right string) bool { return strings.Contains(right, " modules ") })
	for _, store := range []string{"{bucket: s3://modules}", "{persistence: {enabled: true}}"} {
		objects := render(t, valuesFile(t, "store: "+store))
		if diff := cmp.Diff(want, granted(t, objects, storeAccount)); diff != "" {
			t.Errorf("store: %s: other rights than wanted (-want +got):\n%s", store, diff)
		}
	}
}

// TestPushersAreNamed: the right to push comes with a store that keeps modules, and with none of Kubernetes' own roles.
func TestPushersAreNamed(t *testing.T) {
	const name = release + "-module-pusher"
	for _, role := range roles(t, render(t, "")) {
		if role.Name == name {
			t.Error("there is a role to push modules that would go with the pods")
		}
	}
	pusher := named(t, render(t, valuesFile(t, "store: {bucket: s3://modules, durable: true}")), "ClusterRole", name)
	for label := range pusher.GetLabels() {
		if strings.HasPrefix(label, "rbac.authorization.k8s.io/aggregate-to-") {
			t.Errorf("the role has the label %s: who may edit a namespace could change what runs in its proxies", label)
		}
	}
	var want []string
	for _, verb := range []string{"delete", "get", "push"} {
		want = append(want, right("*", "wasm.solarmesh.io", "modules", "*", verb))
	}
	if got := flatten(role{Rules: typed[rbacv1.ClusterRole](t, pusher).Rules}); !slices.Equal(got, want) {
		t.Errorf("the role gives %v, want %v", got, want)
	}
}

// TestRightsInNamespaces: with watchNamespaces the same rights in those namespaces only.
func TestRightsInNamespaces(t *testing.T) {
	var want []string
	for _, right := range rightsOf(operatorRights) {
		everywhere := strings.HasPrefix(right, "* ")
		switch {
		case everywhere && ofTheCluster(right):
			want = append(want, right)
		case everywhere:
			want = append(want, "shop"+right[1:], "shop-test"+right[1:])
		case strings.HasPrefix(right, "istio-system "):
			want = append(want, strings.NewReplacer("istio-system", "istio-shop", " istio ", " istio-canary ").Replace(right))
		default:
			want = append(want, right)
		}
	}
	slices.Sort(want)
	got := granted(t, render(t, "testdata/namespaces.in.yaml"), "shop-plugins")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other rights than wanted (-want +got):\n%s", diff)
	}
}

// ofTheCluster: reviews are about users of the cluster, and the store is one for all namespaces.
func ofTheCluster(right string) bool {
	return strings.Contains(right, " tokenreviews ") || strings.Contains(right, " subjectaccessreviews ") ||
		strings.Contains(right, " modules ")
}

// getSecrets is the only right to Secrets that there may be, and in single namespaces only.
var getSecrets = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}

// TestNoDangerousRights covers every role, also those for people, under all values.
func TestNoDangerousRights(t *testing.T) {
	sources := map[string][]*unstructured.Unstructured{"config/with-store": kustomize(t, "with-store")}
	for _, in := range cases(t) {
		sources[in] = render(t, in)
	}
	for source, objects := range sources {
		for _, role := range roles(t, objects) {
			for _, rule := range role.Rules {
				if role.Namespace != "" && cmp.Equal(rule, getSecrets) {
					continue // in namespaces that the values list, see TestRightsToSecrets
				}
				words := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs, rule.ResourceNames)
				for _, word := range words {
					if strings.Contains(word, "*") {
						t.Errorf("%s: %s has a wildcard: %v", source, role.Name, rule)
					}
					if slices.Contains([]string{"secrets", "pods/exec", "serviceaccounts/token", "escalate", "bind", "impersonate"}, word) {
						t.Errorf("%s: %s gives a right to %s", source, role.Name, word)
					}
				}
			}
		}
	}
}

// role is a Role or a ClusterRole.
type role struct {
	Name, Namespace string
	Rules           []rbacv1.PolicyRule
}

func roles(t *testing.T, objects []*unstructured.Unstructured) []role {
	t.Helper()
	var result []role
	for _, object := range objects {
		if kind := object.GetKind(); kind == "Role" || kind == "ClusterRole" {
			rules := typed[rbacv1.ClusterRole](t, object).Rules
			result = append(result, role{object.GetName(), object.GetNamespace(), rules})
		}
	}
	return result
}

// granted lists the rights that bindings give to a ServiceAccount.
func granted(t *testing.T, objects []*unstructured.Unstructured, serviceAccount string) []string {
	t.Helper()
	var rights []string
	for _, object := range objects {
		if kind := object.GetKind(); kind != "RoleBinding" && kind != "ClusterRoleBinding" {
			continue
		}
		binding := typed[rbacv1.RoleBinding](t, object)
		if len(binding.Subjects) != 1 || binding.Subjects[0].Kind != "ServiceAccount" || binding.Subjects[0].Namespace != namespace ||
			!hasAccount(objects, binding.Subjects[0].Name) {
			t.Errorf("%s binds somebody else than this installation's ServiceAccounts: %v", key(object), binding.Subjects)
		}
		if binding.Subjects[0].Name != serviceAccount {
			continue
		}
		found := false
		for _, role := range roles(t, objects) {
			if role.Name == binding.RoleRef.Name && role.Namespace == binding.Namespace {
				found = true
				rights = append(rights, flatten(role)...)
			}
		}
		if !found {
			t.Errorf("%s refers to no role of this installation: %v", key(object), binding.RoleRef)
		}
	}
	slices.Sort(rights)
	return rights
}

func hasAccount(objects []*unstructured.Unstructured, name string) bool {
	return slices.ContainsFunc(objects, func(object *unstructured.Unstructured) bool {
		return object.GetKind() == "ServiceAccount" && object.GetName() == name
	})
}

// flatten writes each right of a role in a line.
func flatten(r role) []string {
	where := orAll(r.Namespace)[0]
	var rights []string
	for _, rule := range r.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range orAll(rule.ResourceNames...) {
					for _, verb := range rule.Verbs {
						rights = append(rights, right(where, group, resource, name, verb))
					}
				}
			}
		}
	}
	return rights
}

func right(namespace, group, resource, name, verb string) string {
	if group == "" {
		group = "core"
	}
	return fmt.Sprintf("%s %s %s %s %s", namespace, group, resource, name, verb)
}

// orAll stands * for no name, which means all.
func orAll(names ...string) []string {
	if len(names) == 0 || names[0] == "" {
		return []string{"*"}
	}
	return names
}

// rightsOf reads a table like operatorRights.
func rightsOf(table string) []string {
	var rights []string
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 0 {
			rights = append(rights, strings.Join(fields, " "))
		}
	}
	slices.Sort(rights)
	return rights
}
