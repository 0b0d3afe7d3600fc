// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	pathOfNativePlugins = "/apis/extensions.istio.io/v1alpha1/namespaces/%s/wasmplugins"
	// deepestEnvoyFilter is what the API server takes: one level more, and it is no JSON to it.
	deepestEnvoyFilter = 9995
	// deepestNative is what it takes of Istio's own kind and can read again: metadata.managedFields has three levels more.
	deepestNative = 9993
	// deepestOwner is what it takes of what a plugin says in its metadata about who owns its fields.
	deepestOwner = 9993
)

// envoyFilterOf is somebody's, nested so deep.
func envoyFilterOf(name string, depth int) string {
	return `{"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "` + name + `"},
		"spec": {"configPatches": [{"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": ` + nested(depth) + `}}]}}`
}

func nativePluginOf(name string, depth int) string {
	return `{"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"name": "` + name + `"},
		"spec": {"url": "oci://registry.example.com/plugin:1.0", "pluginConfig": ` + nested(depth) + `}}`
}

// managedBy is a plugin that says of itself, in its metadata, that somebody owns a field so deep.
func managedBy(name string, depth int) string {
	return `{"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"name": "` + name + `", "managedFields": [
		{"manager": "somebody", "operation": "Update", "apiVersion": "wasm.solarmesh.io/v1alpha1", "fieldsType": "FieldsV1",
		 "fieldsV1": {"f:status": {"f:module": ` + strings.Repeat(`{"f:a":`, depth) + "{}" + strings.Repeat("}", depth) + `}}, "subresource": "status"}]},
		"spec": {"url": "oci://registry.example.com/plugin:1.0", "scope": "Namespace", "rules": {}}}`
}

// largeConfig is near each bound of what one half is made of, and largeFilter of the other: together they would be larger
// than what the API server stores.
var (
	largeConfig = `{"url": "https://example.com/` + strings.Repeat("x", 2028) + `", "pluginName": ` + text(256) + `,
		"rules": {"a": ` + text(262_144-8) + `},
		"vmConfig": {"env": ` + list(256, `{"name": "A%d", "value": `+text(2000)+`}`) + `},
		"envoy": {"vmConfiguration": ` + text(65_536) + `, "capabilityRestriction": {"allowedCapabilities": ` + list(128, `"proxy_`+strings.Repeat("x", 110)+`%d"`) + `}}}`
	largeFilter = `{"selector": {"matchLabels": {` + manyLabels(64) + `}}, "priority": 1000,
		"overrides": ` + list(64, `{"match": {"hosts": [`+strings.ReplaceAll(strings.Join(repeated(8, `"h%d-#.example.com"`), ", "), "#", "%d")+`]},
		"rules": {"a%d": `+text(2000)+`}}`) + `}`
)

// poison makes objects that are as deep and as large as the API server takes them, and n plugins of each of the two largest
// kinds. It returns when the operator has said what it makes of them.
func poison(ctx context.Context, ns string, n int) {
	GinkgoHelper()
	Expect(post(ctx, pathOfEnvoyFilters, ns, envoyFilterOf("deep", deepestEnvoyFilter))).To(Succeed())
	Expect(post(ctx, pathOfEnvoyFilters, ns, envoyFilterOf("deeper", deepestEnvoyFilter+1))).To(Satisfy(apierrors.IsBadRequest))
	Expect(post(ctx, pathOfNativePlugins, ns, nativePluginOf("deep", deepestNative))).To(Succeed())
	// No client can read a list with it: it must not last until its namespace is gone.
	DeferCleanup(func(ctx SpecContext) {
		native := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "deep"}}
		native.SetGroupVersionKind(schema.GroupVersionKind{Group: "extensions.istio.io", Version: "v1alpha1", Kind: "WasmPlugin"})
		Expect(client.IgnoreNotFound(k8s.Delete(ctx, native))).To(Succeed())
	})
	huge, err := postRules(ctx, ns, "huge", `{"a": `+text(1_500_000)+`}`)
	Expect(err).NotTo(HaveOccurred())
	for i := range n {
		for kind, spec := range map[string]string{"config": largeConfig, "filter": largeFilter} {
			large := withFields(ns, spec)
			large.SetName(fmt.Sprintf("large-%s-%d", kind, i))
			Expect(k8s.Create(ctx, large)).To(Succeed())
		}
	}
	Eventually(ctx, stateOf(huge)).Should(beRejected(wasmv1alpha1.ReasonInvalidRules, "bytes long"))
	for i := range n {
		Eventually(ctx, stateOf(named(ns, fmt.Sprint("large-config-", i)))).WithTimeout(time.Minute).Should(beReady())
		Eventually(ctx, stateOf(named(ns, fmt.Sprint("large-filter-", i)))).WithTimeout(time.Minute).Should(
			beRejected(wasmv1alpha1.ReasonRenderedTooLarge, "bytes, at most 1048576 can be stored"))
	}
}

func named(namespace, name string) *wasmv1alpha1.WasmPlugin {
	plugin := newPlugin(namespace)
	plugin.Name = name
	return plugin
}

// cost is what the operator asks the API server for new plugins, one after another, and how long each takes.
type cost struct {
	writes, reads [][]string
	median        time.Duration
}

// costOf makes plugins in namespaces of their own, and returns what they cost.
func costOf(ctx context.Context, count int) cost {
	GinkgoHelper()
	var namespaces []string
	var took []time.Duration
	for range count {
		plugin := newPlugin(newNamespace(ctx))
		started := time.Now()
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).WithPolling(2 * time.Millisecond).Should(beReady())
		took = append(took, time.Since(started))
		namespaces = append(namespaces, plugin.Namespace)
	}
	silent(namespaces[count-1])
	slices.Sort(took)
	all := cost{median: took[count/2]}
	for _, namespace := range namespaces {
		all.writes, all.reads = append(all.writes, writes(namespace)), append(all.reads, reads(namespace))
	}
	return all
}

// clusterWide are the operator's lists and watches of all plugins and EnvoyFilters.
func clusterWide() []string {
	var found []string
	for _, request := range proxy.Requests() {
		if strings.HasSuffix(request.Path, "v1alpha3/envoyfilters") || strings.HasSuffix(request.Path, "v1alpha1/wasmplugins") {
			found = append(found, request.Path)
		}
	}
	slices.Sort(found)
	return found
}

// survives asserts that others cost after poison exactly the requests that they cost before, and about the time; also after
// a start. Times are compared within one run, and with room for what else the machine does.
func survives(ctx context.Context, poisoned, count int) {
	GinkgoHelper()
	ns := newNamespace(ctx)
	DeferCleanup(func(ctx SpecContext) { ensureRunning(ctx) })
	restart := func() {
		GinkgoHelper()
		Expect(operator.Stop()).To(Succeed())
		proxy.Reset() // not before: the one that stops may ask for something yet
		Expect(operator.Start(ctx)).To(Succeed())
	}
	restart()
	Eventually(clusterWide).Should(HaveLen(2))
	before := costOf(ctx, count)
	Expect(before.writes[0]).To(HaveLen(3))
	Expect(before.reads[0]).To(HaveLen(1))
	start := clusterWide()

	By("poisoning")
	proxy.Reset()
	poison(ctx, ns, poisoned)
	silent(ns)
	goOn := func(when string) {
		GinkgoHelper()
		after := costOf(ctx, count)
		Expect(after.writes).To(HaveEach(before.writes[0]))
		Expect(after.reads).To(HaveEach(before.reads[0]))
		AddReportEntry("median time of a new plugin", fmt.Sprintf("%s before, %s %s", before.median, after.median, when))
		Expect(after.median).To(BeNumerically("<", 2*before.median+500*time.Millisecond))
	}
	goOn("beside the poison")
	Expect(clusterWide()).To(BeEmpty(), "no list and no watch broke")

	By("restarting")
	restart()
	goOn("after a start")
	Expect(clusterWide()).To(Equal(start), "a start lists what it always does, once")
	Expect(writes(ns)).To(BeEmpty(), "and writes nothing")
}

var _ = Describe("Hostile: objects as large and as deep as the API server takes them", Serial, func() {
	It("row 15: leave all others as they are, also at a start", func(ctx SpecContext) { survives(ctx, 2, 5) })

	// Nobody owns such a field, so that nothing that is written takes it away. Each write costs the API server a second or so.
	It("row 15: make no fight without end of what a plugin says of its owners", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		proxy.Reset()
		Expect(post(ctx, pathOfPlugins, ns, managedBy("owned", deepestOwner))).To(Succeed())
		Expect(post(ctx, pathOfPlugins, ns, managedBy("owned-deeper", deepestOwner+1))).To(Satisfy(apierrors.IsBadRequest))
		Eventually(ctx, stateOf(named(ns, "owned"))).Should(beReady())
		createReady(ctx, newPlugin(newNamespace(ctx)))
		restartOperator(ctx)
		createReady(ctx, newPlugin(newNamespace(ctx)))
		Eventually(ctx, stateOf(named(ns, "owned"))).Should(beReady())
		// Two EnvoyFilters, and at most these statuses, half of them before the start.
		Consistently(func() []string { return writes(ns) }).WithTimeout(5 * time.Second).Should(WithTransform(func(all []string) int { return len(all) }, BeNumerically("<=", 2+12)))
	})
})
