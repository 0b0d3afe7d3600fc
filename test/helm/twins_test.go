// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestChartIsKustomize holds the two ways to install to the same objects, field by field: rights, pod, policies, CRD.
func TestChartIsKustomize(t *testing.T) {
	for folder, store := range map[string]string{
		"default": "{enabled: false}",
		// Kustomize can't make a certificate, so it names a Secret.
		"with-store": "{tls: {secretName: wasmplugin-operator-store-tls}}",
	} {
		values := valuesFile(t, "{metrics: {serviceMonitor: {enabled: true}}, store: "+store+"}")
		chart := plain(render(t, values))
		kustomize := plain(append(kustomize(t, folder), kustomize(t, "prometheus")...))
		// Helm makes the release's namespace itself, if asked.
		if namespaceKey := "Namespace /" + namespace; kustomize[namespaceKey] == nil {
			t.Errorf("config/%s has no %s", folder, namespaceKey)
		} else {
			delete(kustomize, namespaceKey)
		}
		if diff := cmp.Diff(kustomize, chart); diff != "" {
			t.Errorf("the chart and config/%s differ (-kustomize +chart):\n%s", folder, diff)
		}
	}
}

// TestNamespaceEnforcesRestricted: config/default brings the namespace, so the API server can refuse what isn't
// restricted there.
func TestNamespaceEnforcesRestricted(t *testing.T) {
	labels := named(t, kustomize(t, "default"), "Namespace", namespace).GetLabels()
	if got := labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Errorf("Pod Security level of the namespace: %q, want restricted", got)
	}
}

// TestGeneratedFiles: the chart's copies and config/ come from one source.
func TestGeneratedFiles(t *testing.T) {
	crd := read(t, root+"/config/crd/bases/wasm.solarmesh.io_wasmplugins.yaml")
	if diff := cmp.Diff(crd, read(t, chartFolder+"/files/crd.yaml")); diff != "" {
		t.Errorf("the chart's crd.yaml differs from config/crd/bases; run: make generate\n%s", diff)
	}
	var role struct{ Rules any }
	var rules any
	unmarshal(t, read(t, root+"/config/rbac/role.yaml"), &role)
	unmarshal(t, read(t, chartFolder+"/files/rbac-rules.yaml"), &rules)
	if diff := cmp.Diff(role.Rules, rules); diff != "" {
		t.Errorf("the chart's rbac-rules.yaml differs from config/rbac/role.yaml; run: make generate\n%s", diff)
	}
}

// plain maps objects without what only Helm writes.
func plain(objects []*unstructured.Unstructured) map[string]any {
	result := map[string]any{}
	for _, object := range objects {
		result[key(object)] = without(object.Object,
			"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version",
			"helm.sh/chart", "helm.sh/resource-policy")
	}
	return result
}

// without copies a document and leaves keys out, at any depth.
func without(document any, keys ...string) any {
	switch document := document.(type) {
	case map[string]any:
		result := map[string]any{}
		for name, value := range document {
			result[name] = without(value, keys...)
		}
		for _, name := range keys {
			delete(result, name)
		}
		return result
	case []any:
		result := make([]any, len(document))
		for i, value := range document {
			result[i] = without(value, keys...)
		}
		return result
	default:
		return document
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}
