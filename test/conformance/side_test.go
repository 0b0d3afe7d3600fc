// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"cmp"
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/ads"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

// side is one of the two namespaces of a case: that of our plugins, or that of Istio's own.
type side struct {
	namespace string
	kind      *kind
	plugins   []table.Plugin
}

// kind is a WasmPlugin, and how its filters are named: what comes after the namespace and the name is empty, or for one
// of ours a name for the layout of its overrides, and for one of them its number.
type kind struct {
	apiVersion, prefix string
	suffix             *regexp.Regexp
}

var (
	ours = &kind{
		apiVersion: "wasm.solarmesh.io/v1alpha1",
		prefix:     "wasm.solarmesh.io/",
		suffix:     regexp.MustCompile(`(~network|~[0-9a-f]+(\.[0-9]+)?)?$`),
	}
	native = &kind{
		apiVersion: "extensions.istio.io/v1alpha1",
		prefix:     "extensions.istio.io/trafficextension/",
		suffix:     regexp.MustCompile(`~istio-translated-wasmplugin()$`),
	}
)

// plugin returns what a filter's name says: NAMESPACE.NAME, and whether the filter is one of the plugin's overrides.
func (k *kind) plugin(filter string) (name string, override, ok bool) {
	name, ok = strings.CutPrefix(filter, k.prefix)
	suffix := k.suffix.FindStringSubmatch(name)
	if !ok || suffix == nil {
		return "", false, false
	}
	return strings.TrimSuffix(name, suffix[0]), suffix[len(suffix)-1] != "" && strings.HasPrefix(suffix[len(suffix)-1], "."), true
}

func oursOf(c table.Case) side   { return side{"ours-" + c.Name, ours, c.Plugins} }
func nativeOf(c table.Case) side { return side{"native-" + c.Name, native, c.Native} }

// namespaceOf is where a plugin or proxy that is "in" something stands.
func (s side) namespaceOf(in string) string {
	switch in {
	case "":
		return s.namespace
	case table.Root:
		return chain.IstioNamespace
	default:
		return s.namespace + "-" + in
	}
}

// objectName is a plugin's metadata.name: in the root namespace all cases meet.
func (s side) objectName(p table.Plugin) string {
	if p.In == table.Root {
		return s.namespace + "-" + p.Name
	}
	return p.Name
}

// namespaces are all of the side's.
func (s side) namespaces(c table.Case) []string {
	all := []string{s.namespace}
	for _, in := range c.Namespaces {
		all = append(all, s.namespaceOf(in))
	}
	return all
}

// proxy is one of the case's, in this side's world. Its name tells it from those of its kind with other labels.
func (s side) proxy(p table.Proxy) ads.Proxy {
	added := map[string]string{}
	for key, value := range p.Labels {
		added[key] = in(s.namespace, value)
	}
	labels := maps.Clone(table.Kinds[p.Kind])
	maps.Copy(labels, added)
	labels["world"] = s.namespaceOf(p.In)
	kinds := map[string]ads.Kind{"sidecar": ads.Sidecar, "waypoint": ads.Waypoint}
	return ads.Proxy{
		Kind:      cmp.Or(kinds[p.Kind], ads.Router),
		Name:      strings.Join(append([]string{p.Kind}, slices.Sorted(maps.Values(added))...), "-"),
		Namespace: s.namespaceOf(p.In),
		IP:        "10.9.0.1", // as in the worlds' EndpointSlices
		Labels:    labels,
		Version:   cmp.Or(p.Version, release),
	}
}

// start makes the namespaces, with all that the plugins meet there, and the Pods of the proxies.
func (s side) start(ctx context.Context, c table.Case) {
	GinkgoHelper()
	for _, namespace := range s.namespaces(c) {
		Expect(applier.Apply(ctx, manifest("v1", "Namespace", "", namespace, nil, nil))).To(Succeed())
		for _, world := range c.Worlds {
			applyWorld(ctx, namespace, world)
		}
		Expect(applier.Apply(ctx, in(namespace, c.Objects))).To(Succeed())
	}
	for _, proxy := range c.Proxies {
		Expect(applier.Apply(ctx, podOf(s.proxy(proxy)))).To(Succeed())
	}
}

// podOf is the Pod of a proxy, as YAML. Without it istiod 1.30 doesn't know the labels of a proxy that connects in time
// to find its Services, and sends it listeners as to one that has none. Nobody runs it: its address would only matter
// to those who call it.
func podOf(p ads.Proxy) string {
	GinkgoHelper()
	return manifest("v1", "Pod", p.Namespace, p.Name, p.Labels, map[string]any{
		"containers": []any{map[string]any{"name": "istio-proxy", "image": "istio/proxyv2"}},
	})
}

// apply writes a plugin.
func (s side) apply(ctx context.Context, p table.Plugin) {
	GinkgoHelper()
	text := s.text(p)
	err := applier.Apply(ctx, text)
	if refusal := p.Refused; refusal != nil && refusal.Reason == table.ByAPIServer {
		Expect(err).To(MatchError(ContainSubstring(refusal.Message)))
		return
	}
	Expect(err).NotTo(HaveOccurred())
	if p.In == table.Root {
		// There it may reach the proxies of other cases.
		DeferCleanup(func(ctx SpecContext) { Expect(applier.Delete(ctx, text)).To(Succeed()) })
	}
}

// text is a plugin as YAML.
func (s side) text(p table.Plugin) string {
	GinkgoHelper()
	return in(s.namespace, manifest(s.kind.apiVersion, "WasmPlugin", s.namespaceOf(p.In), s.objectName(p), p.Labels, p.Spec))
}

func applyWorld(ctx context.Context, namespace, world string) {
	GinkgoHelper()
	content, err := os.ReadFile(filepath.Join("testdata", "worlds", world+".yaml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(applier.Apply(ctx, in(namespace, string(content)))).To(Succeed(), "%s in %s", world, namespace)
}

// in puts a namespace into YAML.
func in(namespace, text string) string { return strings.ReplaceAll(text, "NAMESPACE", namespace) }

func manifest(apiVersion, kind, namespace, name string, labels map[string]string, spec map[string]any) string {
	GinkgoHelper()
	metadata := map[string]any{"name": name}
	if namespace != corev1.NamespaceAll {
		metadata["namespace"] = namespace
	}
	if labels != nil {
		metadata["labels"] = labels
	}
	object := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
	if spec != nil {
		object["spec"] = spec
	}
	text, err := yaml.Marshal(object)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}
