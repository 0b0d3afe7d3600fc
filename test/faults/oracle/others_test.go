// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
)

func TestWrites(t *testing.T) {
	p := plugin("1", 1, "first")
	config, _ := pairOf(t, p)
	strange := renamed(config, "uration")
	strange.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: wasmv1alpha1.FieldManager}})
	to := func(resource, name, subresource string) inject.Target {
		return inject.Target{Namespace: "shop", Resource: resource, Name: name, Subresource: subresource}
	}
	for name, test := range map[string]struct {
		write inject.Write
		finds string
	}{
		"a half":                  {inject.Write{Target: to(inject.EnvoyFilters, "auth-config", ""), Owner: "1"}, ""},
		"a status":                {inject.Write{Target: to(inject.WasmPlugins, "auth", "status"), UID: "1"}, ""},
		"of no plugin":            {inject.Write{Target: to(inject.EnvoyFilters, "other-config", "")}, "other-config : it is of no plugin"},
		"of another name":         {inject.Write{Target: to(inject.EnvoyFilters, "auth", "")}, "it is of no plugin"},
		"of another owner":        {inject.Write{Target: to(inject.EnvoyFilters, "auth-config", ""), Owner: "2"}, "its owner was never there"},
		"a spec":                  {inject.Write{Target: to(inject.WasmPlugins, "auth", "")}, "it isn't a status"},
		"a status of another uid": {inject.Write{Target: to(inject.WasmPlugins, "auth", "status"), UID: "2"}, "never a plugin of that uid"},
	} {
		t.Run(name, func(t *testing.T) {
			finds(t, Writes(begin(t).happens(watch.Added, p, config).history, []inject.Write{test.write}), test.finds)
		})
	}
	finds(t, Writes(begin(t).happens(watch.Added, p, strange).history, nil), "auth-configuration is nobody's")
	finds(t, Quiet(nil), "")
	finds(t, Quiet([]inject.Write{{Method: "PATCH", Target: to(inject.EnvoyFilters, "auth-config", "")}}), "O4: PATCH envoyfilters/auth-config")
}

func TestBystander(t *testing.T) {
	p := plugin("1", 1, "first")
	config, filter := pairOf(t, p)
	history := begin(t).happens(watch.Added, p, config, filter).happens(watch.Modified, p).history
	finds(t, Bystander(history, 4, "auth"), "")
	finds(t, Bystander(history, 2, "auth"), "auth-filter ADDED in version 3")
	finds(t, Bystander(history, 3, "auth"), "auth MODIFIED in version 4")
	finds(t, Bystander(history, 0, "other"), "there never was a plugin other")
}

func TestSound(t *testing.T) {
	finds(t, Sound(Process{Log: "INFO all is well", Before: 90, After: 95}), "")
	finds(t, Sound(Process{Log: "x\nObserved a panic: nil map\ny"}), "Observed a panic: nil map")
	finds(t, Sound(Process{Log: "goroutine 1 [running]:"}), "goroutine 1")
	finds(t, Sound(Process{Panics: 1}), "1 panics are counted")
	finds(t, Sound(Process{Before: 90, After: 120}), "90 goroutines, and 120 in the end")
}

// changed is an object in which one text stands in the place of another.
func changed(t *testing.T, object *unstructured.Unstructured, from, to string) *unstructured.Unstructured {
	t.Helper()
	was := text(object.Object)
	if !strings.Contains(was, from) {
		t.Fatalf("%s isn't in %s", from, was)
	}
	is := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(strings.Replace(was, from, to, 1)), &is.Object); err != nil {
		t.Fatal(err)
	}
	return is
}

func TestSame(t *testing.T) {
	config, filter := pairOf(t, plugin("1", 1, "first"))
	counted, noted, other := config.DeepCopy(), config.DeepCopy(), renamed(config, "-trial")
	counted.SetAnnotations(map[string]string{
		wasmv1alpha1.AnnotationHash: config.GetAnnotations()[wasmv1alpha1.AnnotationHash], wasmv1alpha1.AnnotationGeneration: "7",
	})
	noted.SetAnnotations(map[string]string{"note": "x"})
	finds(t, Same(stand(config, filter), stand(counted, filter)), "")
	finds(t, Same(stand(config, filter), stand(noted, filter)), "auth-config was")
	nudged := changed(t, config, `"timeout":"30s"`, `"timeout":"30.001s"`)
	nudged.SetAnnotations(map[string]string{wasmv1alpha1.AnnotationNudge: "1"})
	finds(t, Same(stand(config, filter), stand(nudged, filter)), "")
	for to, nudge := range map[string]string{`"timeout":"31s"`: "1", `"timeout":"30.001s"`: ""} {
		other := changed(t, config, `"timeout":"30s"`, to)
		if nudge != "" {
			other.SetAnnotations(map[string]string{wasmv1alpha1.AnnotationNudge: nudge})
		}
		finds(t, Same(stand(config, filter), stand(other, filter)), "auth-config was")
	}
	rehashed := config.DeepCopy()
	rehashed.SetAnnotations(map[string]string{wasmv1alpha1.AnnotationHash: "another"})
	finds(t, Same(stand(config, filter), stand(rehashed, filter)), "auth-config was")
	finds(t, Same(stand(config, filter), stand(config)), "auth-filter stood before")
	finds(t, Same(stand(config), stand(config, other)), "auth-config-trial is left over")
}
