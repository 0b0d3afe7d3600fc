// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

var (
	digests = []string{"sha256:" + strings.Repeat("1", 64), "sha256:" + strings.Repeat("2", 64)}
	image   = resolve.Module{Digest: digests[0], Manifest: digests[1], Source: "oci://registry.example.com/auth@" + digests[1]}
	file    = resolve.Module{Digest: digests[0], Source: "https://example.com/auth.wasm"}
	other   = resolve.Module{Digest: digests[1], Source: "https://example.com/auth.wasm"}
)

// object is a half of a pair with a module, rules, and a content.
func object(role wasmv1alpha1.EnvoyFilterRole, module resolve.Module, content string, rules ...string) *unstructured.Unstructured {
	filter := &unstructured.Unstructured{Object: map[string]any{}}
	filter.SetGroupVersionKind(translate.EnvoyFilterKind)
	filter.SetNamespace("shop")
	filter.SetName(translate.EnvoyFilterName("auth", role))
	filter.SetLabels(map[string]string{wasmv1alpha1.LabelPlugin: "auth"})
	filter.SetAnnotations(map[string]string{wasmv1alpha1.AnnotationModule: module.String(), wasmv1alpha1.AnnotationContent: content})
	var patches []any
	for _, text := range rules {
		config := map[string]any{"name": "auth"}
		if text != "" {
			config["configuration"] = map[string]any{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text}
		}
		patches = append(patches, map[string]any{"patch": map[string]any{"value": map[string]any{
			"name": "auth", "typed_config": map[string]any{
				"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": config,
			},
		}}})
	}
	filter.Object["spec"] = map[string]any{"configPatches": patches}
	return filter
}

func clusterOf(t *testing.T, objects ...client.Object) *cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := wasmv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return &cluster{fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(), "https://api.example.com", "shop"}
}

func authPlugin(spec wasmv1alpha1.WasmPluginSpec) *wasmv1alpha1.WasmPlugin {
	plugin := &wasmv1alpha1.WasmPlugin{Spec: spec}
	plugin.Namespace, plugin.Name = "shop", "auth"
	return plugin
}

func spec(url, sha256, rules string) wasmv1alpha1.WasmPluginSpec {
	spec := wasmv1alpha1.WasmPluginSpec{URL: url, SHA256: sha256}
	if rules != "" {
		spec.Rules = &apiextensionsv1.JSON{Raw: []byte(rules)}
	}
	return spec
}

func TestRollback(t *testing.T) {
	const config, trial, canary = wasmv1alpha1.EnvoyFilterConfig, wasmv1alpha1.EnvoyFilterTrialConfig, wasmv1alpha1.EnvoyFilterCanaryConfig
	fromConfigMap, withOverrides := spec(file.Source, "", ""), spec(file.Source, "", "")
	fromConfigMap.RulesFrom = []wasmv1alpha1.RulesSource{{}}
	withOverrides.Overrides = []wasmv1alpha1.Override{{}}
	tests := map[string]struct {
		spec    wasmv1alpha1.WasmPluginSpec
		stands  []client.Object
		want    string // the patch's spec
		refused string
	}{
		"rules of the same module": {
			spec(file.Source, "", `{"a":{"b":1,"c":2},"d":1}`),
			[]client.Object{object(config, file, "", `{"a":{"b":12345678901234567890}}`)},
			`{"rules":{"a":{"b":12345678901234567890,"c":null},"d":null}}`, "",
		},
		"no rules before":        {spec(file.Source, "", `{"a":1}`), []client.Object{object(config, file, "", "")}, `{"rules":null}`, ""},
		"rules before, none now": {spec(file.Source, "", ""), []client.Object{object(config, file, "", `{"a":[null]}`)}, `{"rules":{"a":[null]}}`, ""},
		"another tag":            {spec("oci://registry.example.com/auth:2", "", ""), []client.Object{object(config, image, "", "")}, `{"url":"` + image.Source + `","sha256":null}`, ""},
		"another file at its URL": {
			spec(file.Source, digests[1][7:], ""),
			[]client.Object{object(config, file, "", ""), object(trial, other, "", "")},
			`{"url":"` + file.Source + `","sha256":"` + digests[0][7:] + `"}`, "",
		},
		"same module on canary": {
			spec("oci://registry.example.com/auth:1", "", `{"a":2}`),
			[]client.Object{object(config, image, "", `{"a":1}`), object(canary, image, "", `{"a":2}`)},
			`{"rules":{"a":1}}`, "",
		},
		"in force":         {spec(file.Source, "", `{"a":1}`), []client.Object{object(config, file, "", `{"a": 1}`)}, "", "nothing older is kept"},
		"nothing in force": {spec(file.Source, "", `{"a":1}`), nil, "", "nothing is in force"},
		"rulesFrom":        {fromConfigMap, []client.Object{object(config, file, "", `{"a":1}`)}, "", "doesn't tell what rulesFrom"},
		"overrides":        {withOverrides, []client.Object{object(config, file, "", `{"a":1}`)}, "", "doesn't tell what rulesFrom"},
		"had overrides":    {spec(file.Source, "", ""), []client.Object{object(config, file, "", `{"a":1}`, `{"a":2}`)}, "", "has overrides"},
		"null in rules":    {spec(file.Source, "", ""), []client.Object{object(config, file, "", `{"a":{"b":null}}`)}, "", "a null in its rules"},
		"text for rules":   {spec(file.Source, "", ""), []client.Object{object(config, file, "", `allow all`)}, "", "no JSON object"},
		"unknown module":   {spec(file.Source, "", ""), []client.Object{object(config, resolve.Module{}, "", `{}`)}, "", "where its module came from"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			patch, _, err := rollBack(t.Context(), clusterOf(t, tc.stands...), authPlugin(tc.spec))
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("%v, %v, want %q", patch, err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(patch["spec"])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(asValue(t, tc.want), asValue(t, string(got))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func asValue(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestOnCanary(t *testing.T) {
	foreign := object(wasmv1alpha1.EnvoyFilterCanaryConfig, file, "1a2b")
	foreign.SetLabels(nil)
	for name, tc := range map[string]struct {
		stands         []client.Object
		want, refusing string
	}{
		"on canary":          {[]client.Object{object(wasmv1alpha1.EnvoyFilterCanaryConfig, file, "1a2b")}, "1a2b", ""},
		"none":               {nil, "", "has no change on canary"},
		"of somebody else":   {[]client.Object{foreign}, "", "isn't the operator's"},
		"only the pair":      {[]client.Object{object(wasmv1alpha1.EnvoyFilterConfig, file, "1a2b")}, "", "has no change on canary"},
		"without its change": {[]client.Object{object(wasmv1alpha1.EnvoyFilterCanaryConfig, file, "")}, "", "has no change on canary"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := onCanary(t.Context(), clusterOf(t, tc.stands...), authPlugin(spec("", "", "")))
			if got != tc.want || (err == nil) != (tc.refusing == "") || (err != nil && !strings.Contains(err.Error(), tc.refusing)) {
				t.Errorf("%q, %v, want %q, %q", got, err, tc.want, tc.refusing)
			}
		})
	}
}

func TestSwitchedOn(t *testing.T) {
	for name, tc := range map[string]struct {
		activation wasmv1alpha1.Activation
		before     string
		want       any
	}{
		"nothing else":    {wasmv1alpha1.Activation{Mode: wasmv1alpha1.ActivationOff}, "", nil},
		"a deadline":      {wasmv1alpha1.Activation{Mode: wasmv1alpha1.ActivationOff, DeadlineSeconds: 9}, "", map[string]any{"mode": nil}},
		"a mode before":   {wasmv1alpha1.Activation{Mode: wasmv1alpha1.ActivationOff}, "Immediate", map[string]any{"mode": wasmv1alpha1.ActivationImmediate}},
		"both of the two": {wasmv1alpha1.Activation{Mode: wasmv1alpha1.ActivationOff, DeadlineSeconds: 9}, "Safe", map[string]any{"mode": wasmv1alpha1.ActivationSafe}},
	} {
		t.Run(name, func(t *testing.T) {
			plugin := authPlugin(wasmv1alpha1.WasmPluginSpec{Activation: tc.activation})
			if tc.before != "" {
				plugin.Annotations = map[string]string{wasmv1alpha1.AnnotationModeBeforeOff: tc.before}
			}
			if diff := cmp.Diff(tc.want, switchedOn(plugin)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
