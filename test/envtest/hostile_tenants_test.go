// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"maps"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// rule is a right to all objects of a kind, or to those that are named.
func rule(group, resource string, verbs []string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs, ResourceNames: names}
}

func pluginRule(verbs ...string) rbacv1.PolicyRule {
	return rule("wasm.solarmesh.io", "wasmplugins", verbs)
}

func envoyFilterRule(verbs ...string) rbacv1.PolicyRule {
	return rule("networking.istio.io", "envoyfilters", verbs)
}

// permit gives a user rights in a namespace, and waits until the API server knows. One of them is to list plugins.
func permit(ctx context.Context, namespace string, user chain.User, rules ...rbacv1.PolicyRule) {
	GinkgoHelper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: user.Name}
	Expect(k8s.Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules})).To(Succeed())
	Expect(k8s.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user.Name}},
	})).To(Succeed())
	Eventually(ctx, func(ctx context.Context) error {
		return clientOf(user).List(ctx, &wasmv1alpha1.WasmPluginList{}, client.InNamespace(namespace))
	}).Should(Succeed(), "the API server has seen the binding")
}

// moreActions are further ways to write a plugin.
var moreActions = map[string]func(context.Context, client.Client, *wasmv1alpha1.WasmPlugin) error{
	"an apply that creates": func(ctx context.Context, c client.Client, p *wasmv1alpha1.WasmPlugin) error {
		body := `{"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"name": "applied"},
			"spec": {"scope": "Namespace", "url": "oci://registry.example.com/a:1"}}`
		applied := newPlugin(p.Namespace)
		applied.Name = "applied"
		return c.Patch(ctx, applied, client.RawPatch(types.ApplyPatchType, []byte(body)), client.FieldOwner("author"))
	},
	"a finalizer": func(ctx context.Context, c client.Client, p *wasmv1alpha1.WasmPlugin) error {
		return c.Patch(ctx, p, client.RawPatch(types.MergePatchType, []byte(`{"metadata": {"finalizers": ["example.com/stay"]}}`)))
	},
	"an annotation": func(ctx context.Context, c client.Client, p *wasmv1alpha1.WasmPlugin) error {
		return c.Patch(ctx, p, client.RawPatch(types.MergePatchType, []byte(`{"metadata": {"annotations": {"wasm.solarmesh.io/refresh": "1"}}}`)))
	},
	"a deletion that orphans": func(ctx context.Context, c client.Client, p *wasmv1alpha1.WasmPlugin) error {
		return c.Delete(ctx, newPlugin(p.Namespace), client.PropagationPolicy(metav1.DeletePropagationOrphan))
	},
}

// The actions by the verb that the policy asks for.
var (
	creates = []string{"create", "an apply that creates"}
	updates = []string{"update", "patch", "server-side apply", "a finalizer", "an annotation"}
	deletes = []string{"delete", "deletecollection", "a deletion that orphans"}
)

// allActions are those of admission_test.go and these.
func allActions() map[string]func(context.Context, client.Client, *wasmv1alpha1.WasmPlugin) error {
	all := maps.Clone(actions)
	maps.Copy(all, moreActions)
	return all
}

var _ = Describe("Hostile: a tenant", func() {
	var (
		namespace string
		plugin    *wasmv1alpha1.WasmPlugin
	)

	BeforeEach(func(ctx SpecContext) {
		namespace = newNamespace(ctx)
		plugin = newPlugin(namespace)
		createReady(ctx, plugin)
	})

	// mayDo asserts which actions the policy lets the author do. Whatever passes is only tried.
	mayDo := func(ctx context.Context, allowed ...string) {
		GinkgoHelper()
		before := refresh(ctx, plugin).DeepCopy()
		authors := client.NewDryRunClient(clientOf(author))
		for name, act := range allActions() {
			err := act(ctx, authors, plugin.DeepCopy())
			if slices.Contains(allowed, name) {
				Expect(err).NotTo(HaveOccurred(), name)
				continue
			}
			Expect(err).To(Satisfy(apierrors.IsForbidden), name)
			Expect(err).To(MatchError(ContainSubstring("a WasmPlugin becomes EnvoyFilters")), name)
		}
		Expect(refresh(ctx, plugin)).To(Equal(before))
	}

	DescribeTable("row 20: does by a plugin only what he may do to every EnvoyFilter of the namespace",
		func(ctx SpecContext, rights []rbacv1.PolicyRule, allowed ...string) {
			permit(ctx, namespace, author, append(rights, pluginRule(everyVerb...))...)
			mayDo(ctx, allowed...)
		},
		Entry("none", nil),
		Entry("to read them", []rbacv1.PolicyRule{envoyFilterRule("get", "list", "watch")}),
		Entry("to create them", []rbacv1.PolicyRule{envoyFilterRule("create")}, creates[0], creates[1]),
		Entry("to update them", []rbacv1.PolicyRule{envoyFilterRule("update")}, updates[0], updates[1], updates[2], updates[3], updates[4]),
		Entry("to patch them", []rbacv1.PolicyRule{envoyFilterRule("patch")}, updates[0], updates[1], updates[2], updates[3], updates[4]),
		Entry("to delete them", []rbacv1.PolicyRule{envoyFilterRule("delete")}, deletes[0], deletes[1], deletes[2]),
		Entry("to delete collections of them", []rbacv1.PolicyRule{envoyFilterRule("deletecollection")}),
		Entry("to those of this plugin, by name", []rbacv1.PolicyRule{
			rule("networking.istio.io", "envoyfilters", everyVerb, "basic-auth-config", "basic-auth-filter", "basic-auth"),
		}),
		Entry("to another kind of that group", []rbacv1.PolicyRule{rule("networking.istio.io", "virtualservices", everyVerb)}),
		Entry("to that kind of another group", []rbacv1.PolicyRule{rule("wasm.solarmesh.io", "envoyfilters", everyVerb)}),
		Entry("to a part of them", []rbacv1.PolicyRule{rule("networking.istio.io", "envoyfilters/status", everyVerb)}),
	)

	It("row 20: does nothing by rights in another namespace", func(ctx SpecContext) {
		permit(ctx, newNamespace(ctx), author, pluginRule(everyVerb...), envoyFilterRule(everyVerb...))
		permit(ctx, namespace, author, pluginRule(everyVerb...))
		mayDo(ctx)
	})

	It("does nothing at all without a right to plugins", func(ctx SpecContext) {
		permit(ctx, namespace, author, envoyFilterRule(everyVerb...), pluginRule("list"))
		for name, act := range allActions() {
			Expect(act(ctx, clientOf(author), plugin.DeepCopy())).To(Satisfy(apierrors.IsForbidden), name)
		}
	})

	// The policy isn't asked there, where the operator writes.
	It("changes nothing by a right to the status: what he writes is taken back", func(ctx SpecContext) {
		permit(ctx, namespace, author, pluginRule("get", "list"), rule("wasm.solarmesh.io", "wasmplugins/status", everyVerb))
		before, children := refresh(ctx, plugin).DeepCopy(), versions(ctx, plugin)
		lie := `{"spec": {"priority": 9, "url": "https://evil.example.com/a.wasm"},
			"metadata": {"labels": {"a": "b"}, "annotations": {"wasm.solarmesh.io/refresh": "1"}, "finalizers": ["example.com/stay"]},
			"status": {"delivery": "Store", "module": {"digest": "sha256:` + hex("9") + `"}, "envoyFilters": [], "conditions": []}}`
		Expect(clientOf(author).Status().Patch(ctx, plugin.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(lie)))).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(And(beReady(), WithTransform(said, Equal(said(before)))))
		refresh(ctx, plugin)
		Expect(plugin.Spec).To(Equal(before.Spec))
		Expect([]any{plugin.Labels, plugin.Annotations, plugin.Finalizers, plugin.Generation}).To(
			Equal([]any{before.Labels, before.Annotations, before.Finalizers, before.Generation}))
		Expect(versions(ctx, plugin)).To(Equal(children), "no EnvoyFilter was written")
	})

	It("reaches no waypoint of others by the class of all of them", func(ctx SpecContext) {
		Expect(patchSpec(ctx, plugin, `{"selector": null, "targetRefs": [
			{"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": "istio-waypoint"}]}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonInvalidSpec, "only in the mesh's root namespace"))
	})
})

var _ = Describe("Hostile: names", func() {
	It("row 22: of plugins that look like those of others' trials and canaries don't meet", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		names := []string{
			"a", "a-config-trial", "a-filter-trial", "a-config-canary", "a-filter-canary", "a-trial", "a-canary",
			"a-config-trial-config", "a-config-canary-filter", "a-config-trial-filter-canary",
		}
		for _, name := range names {
			plugin := newPlugin(namespace)
			plugin.Name = name
			createReady(ctx, plugin)
		}
		Expect(versions(ctx, newPlugin(namespace))).To(HaveLen(2 * len(names)))
		seen := map[any]string{}
		for _, name := range names {
			plugin := newPlugin(namespace)
			plugin.Name = name
			Expect(stateOf(plugin)(Default, ctx)).To(beReady(), name)
			for _, path := range [][]string{{"patch", "value", "name"}, {"patch", "value", "typed_config", "config", "vm_config", "vm_id"}} {
				value := inConfig(ctx, plugin, path...)
				Expect(seen).NotTo(HaveKey(value), "%s and %s", name, seen[value])
				seen[value] = name
			}
		}
	})
})
