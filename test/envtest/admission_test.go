// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var everyVerb = []string{"get", "list", "create", "update", "patch", "delete", "deletecollection"}

// actions are what a user does with a plugin, which is there already.
var actions = map[string]func(context.Context, client.Client, *wasmv1alpha1.WasmPlugin) error{
	"create": func(ctx context.Context, c client.Client, p *wasmv1alpha1.WasmPlugin) error {
		another := newPlugin(p.Namespace)
		another.Name = "another"
		return c.Create(ctx, another)
	},
	"update": func(ctx context.Context, c client.Client, p *wasmv1alpha1.WasmPlugin) error {
		refresh(ctx, p)
		p.Spec.Priority = new(int32(p.Generation))
		return c.Update(ctx, p)
	},
	"patch": func(ctx context.Context, c client.Client, p *wasmv1alpha1.WasmPlugin) error {
		return c.Patch(ctx, p, client.RawPatch(types.MergePatchType, []byte(`{"spec": {"priority": 5}}`)))
	},
	"server-side apply": func(ctx context.Context, c client.Client, p *wasmv1alpha1.WasmPlugin) error {
		body := `{"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin", "spec": {"priority": 6, "url": "oci://registry.example.com/a:1"}}`
		return c.Patch(ctx, p, client.RawPatch(types.ApplyPatchType, []byte(body)), client.FieldOwner("author"), client.ForceOwnership)
	},
	"delete": func(ctx context.Context, c client.Client, p *wasmv1alpha1.WasmPlugin) error {
		return c.Delete(ctx, newPlugin(p.Namespace))
	},
	"deletecollection": func(ctx context.Context, c client.Client, p *wasmv1alpha1.WasmPlugin) error {
		return c.DeleteAllOf(ctx, &wasmv1alpha1.WasmPlugin{}, client.InNamespace(p.Namespace))
	},
}

// Who may write plugins but no EnvoyFilters must not have the operator write them for him.
var _ = Describe("The admission policy", func() {
	var (
		namespace       string
		authors, others client.Client
	)

	refusal := func(verb string) string {
		return fmt.Sprintf(`user "author" may not %s EnvoyFilters in namespace %q, and a WasmPlugin becomes EnvoyFilters; `+
			"ask for a Role there that allows to %s envoyfilters.networking.istio.io", verb, namespace, verb)
	}

	BeforeEach(func(ctx SpecContext) {
		namespace = newNamespace(ctx)
		authors, others = clientOf(author), clientOf(platform)
	})

	DescribeTable("row 20: refuses who may write plugins only, and lets pass who may write EnvoyFilters too",
		func(ctx SpecContext, action, verb string, rights ...string) {
			permit(ctx, namespace, author, pluginRule(everyVerb...))
			permit(ctx, namespace, platform, pluginRule(everyVerb...), envoyFilterRule(rights...))
			plugin := newPlugin(namespace)
			createReady(ctx, plugin)
			before := refresh(ctx, plugin).DeepCopy()

			err := actions[action](ctx, authors, plugin.DeepCopy())
			Expect(err).To(MatchError(ContainSubstring(refusal(verb))))
			Expect(err).To(Satisfy(apierrors.IsForbidden))
			Expect(refresh(ctx, plugin).Spec).To(Equal(before.Spec))
			Expect(actions[action](ctx, others, plugin.DeepCopy())).To(Succeed())
		},
		Entry("create", "create", "create", "create"),
		Entry("update", "update", "update", "update"),
		Entry("update, by who may patch EnvoyFilters", "update", "update", "patch"),
		Entry("patch", "patch", "update", "patch"),
		Entry("patch, by who may update EnvoyFilters", "patch", "update", "update"),
		Entry("server-side apply", "server-side apply", "update", "patch"),
		Entry("delete", "delete", "delete", "delete"),
		Entry("deletecollection", "deletecollection", "delete", "delete"),
	)

	It("row 19: holds in the mesh's root namespace, from where a plugin reaches all others", func(ctx SpecContext) {
		namespace = rootNamespace
		permit(ctx, namespace, author, pluginRule(everyVerb...))
		DeferCleanup(func(ctx SpecContext) {
			meta := metav1.ObjectMeta{Namespace: rootNamespace, Name: author.Name}
			Expect(k8s.Delete(ctx, &rbacv1.RoleBinding{ObjectMeta: meta})).To(Succeed())
			Expect(k8s.Delete(ctx, &rbacv1.Role{ObjectMeta: meta})).To(Succeed())
		})
		for _, scope := range []wasmv1alpha1.Scope{"", wasmv1alpha1.ScopeNamespace} {
			plugin := newPlugin(rootNamespace)
			plugin.Name = "of-a-tenant"
			if scope != "" {
				plugin.Spec.Scope, plugin.Spec.Selector = scope, wasmv1alpha1.WorkloadSelector{}
			}
			err := authors.Create(ctx, plugin)
			Expect(err).To(Satisfy(apierrors.IsForbidden))
			Expect(err).To(MatchError(ContainSubstring(refusal("create"))))
		}
	})

	It("asks for the very verb", func(ctx SpecContext) {
		permit(ctx, namespace, author, pluginRule(everyVerb...), envoyFilterRule("create"))
		plugin := newPlugin(namespace)
		Expect(authors.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(actions["patch"](ctx, authors, plugin)).To(MatchError(ContainSubstring(refusal("update"))))
		Expect(actions["delete"](ctx, authors, plugin)).To(MatchError(ContainSubstring(refusal("delete"))))
	})

	It("asks for a right in that namespace", func(ctx SpecContext) {
		elsewhere := namespace
		permit(ctx, namespace, author, pluginRule(everyVerb...), envoyFilterRule(everyVerb...))
		namespace = newNamespace(ctx)
		permit(ctx, namespace, author, pluginRule(everyVerb...))
		Expect(authors.Create(ctx, newPlugin(namespace))).To(MatchError(ContainSubstring(refusal("create"))))
		Expect(authors.Create(ctx, newPlugin(elsewhere))).To(Succeed())
	})

	It("doesn't stop the garbage collector", func(ctx SpecContext) {
		owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "owner"}}
		Expect(k8s.Create(ctx, owner)).To(Succeed())
		plugin := newPlugin(namespace)
		plugin.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}
		createReady(ctx, plugin)
		Expect(k8s.Delete(ctx, owner)).To(Succeed())
		Eventually(ctx, func(ctx context.Context) bool {
			return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(plugin), &wasmv1alpha1.WasmPlugin{}))
		}).Should(BeTrue())
		Eventually(ctx, func() map[string]string { return versions(ctx, plugin) }).Should(BeEmpty())
	})

	It("doesn't stop the deletion of a namespace", func(ctx SpecContext) {
		createReady(ctx, newPlugin(namespace))
		doomed := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		Expect(k8s.Delete(ctx, doomed)).To(Succeed())
		Eventually(ctx, func(ctx context.Context) bool {
			return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(doomed), &corev1.Namespace{}))
		}).Should(BeTrue())
	})
})
