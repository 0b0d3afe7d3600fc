// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

const (
	config = wasmv1alpha1.EnvoyFilterConfig
	filter = wasmv1alpha1.EnvoyFilterFilter
)

var errKilled = errors.New("the operator is dead")

// server is an API server with a plugin's EnvoyFilters. What a real one does is asserted in test/envtest.
type server struct {
	t       *testing.T
	objects map[wasmv1alpha1.EnvoyFilterRole]*unstructured.Unstructured
	version int
	writes  []wasmv1alpha1.EnvoyFilterRole
	reads   int
	// killAfter is how many more writes are taken before the operator dies; none if negative.
	killAfter int
}

func newServer(t *testing.T) *server {
	return &server{t: t, objects: map[wasmv1alpha1.EnvoyFilterRole]*unstructured.Unstructured{}, killAfter: -1}
}

func (s *server) client() client.WithWatch {
	return interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{Get: s.get, Patch: s.patch})
}

func roleOf(name string) wasmv1alpha1.EnvoyFilterRole {
	if strings.HasSuffix(name, "-config") {
		return config
	}
	return filter
}

func (s *server) get(_ context.Context, _ client.WithWatch, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	s.reads++
	into, ok := object.(*unstructured.Unstructured)
	stored := s.objects[roleOf(key.Name)]
	if !ok || stored == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "envoyfilters"}, key.Name)
	}
	stored.DeepCopyInto(into)
	return nil
}

// patch applies, for the one manager that there is.
func (s *server) patch(_ context.Context, _ client.WithWatch, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	if s.killAfter == 0 {
		return errKilled
	}
	s.killAfter--
	raw, err := patch.Data(object)
	if err != nil || patch.Type() != types.ApplyPatchType {
		s.t.Fatalf("patches with %s, %v", patch.Type(), err)
	}
	next := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw, &next.Object); err != nil {
		s.t.Fatal(err)
	}
	role := roleOf(object.GetName())
	s.writes = append(s.writes, role)
	generation := int64(1)
	if stored := s.objects[role]; stored != nil {
		if next.GetUID() != stored.GetUID() || next.GetResourceVersion() != stored.GetResourceVersion() {
			return apierrors.NewConflict(schema.GroupResource{Resource: "envoyfilters"}, object.GetName(), errors.New("old"))
		}
		next.SetDeletionTimestamp(stored.GetDeletionTimestamp())
		next.SetFinalizers(stored.GetFinalizers())
		generation = stored.GetGeneration()
		if !reflect.DeepEqual(next.Object["spec"], stored.Object["spec"]) {
			generation++
		}
	}
	next.SetUID(types.UID(object.GetName()))
	next.SetGeneration(generation)
	s.put(role, next)
	answer, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		s.t.Fatalf("wants a %T", object)
	}
	answer.ObjectMeta = s.observed()[role].ObjectMeta
	return nil
}

// put stores an object, and asserts what must hold at every moment: what the filter names is delivered.
func (s *server) put(role wasmv1alpha1.EnvoyFilterRole, object *unstructured.Unstructured) {
	s.t.Helper()
	s.version++
	object.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[role] = object
	delivered := namesIn(s.t, s.objects[config], "EXTENSION_CONFIG")
	for _, name := range namesIn(s.t, s.objects[filter], "HTTP_FILTER") {
		if !slices.Contains(delivered, name) {
			s.t.Errorf("after writes %v the filter names %s, and the configuration has %v", s.writes, name, delivered)
		}
	}
}

// edit is what somebody else does.
func (s *server) edit(role wasmv1alpha1.EnvoyFilterRole, change func(*unstructured.Unstructured)) {
	object := s.objects[role].DeepCopy()
	change(object)
	s.put(role, object)
}

func namesIn(t *testing.T, object *unstructured.Unstructured, applyTo string) []string {
	t.Helper()
	if object == nil {
		return nil
	}
	patches, _, err := unstructured.NestedSlice(object.Object, "spec", "configPatches")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, patch := range patches {
		fields, _ := patch.(map[string]any)
		name, _, err := unstructured.NestedString(fields, "patch", "value", "name")
		if err != nil {
			t.Fatal(err)
		}
		if fields["applyTo"] == applyTo {
			names = append(names, name)
		}
	}
	return names
}

// observed is what a cache of metadata shows.
func (s *server) observed() Children {
	children := Children{}
	for role, object := range s.objects {
		child := &metav1.PartialObjectMetadata{}
		raw, err := json.Marshal(object)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := json.Unmarshal(raw, child); err != nil {
			s.t.Fatal(err)
		}
		children[role] = child
	}
	return children
}

// version is a generation of a plugin, and of its sources.
type version struct {
	generation int64
	sources    string
	overrides  []string
	base       string
	revision   string
}

func (v version) pair(t *testing.T) (Owner, translate.Pair) {
	t.Helper()
	plugin := &wasmv1alpha1.WasmPlugin{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "auth", UID: "uid", Generation: v.generation},
		Spec: wasmv1alpha1.WasmPluginSpec{
			URL:      "https://plugins.example.com/auth.wasm",
			Rules:    &apiextensionsv1.JSON{Raw: []byte(`{"rules":"` + v.base + `"}`)},
			Selector: wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{"istio": "gateway"}},
		},
	}
	if v.revision != "" {
		plugin.Labels = map[string]string{wasmv1alpha1.LabelRevision: v.revision}
	}
	for i, rules := range v.overrides {
		plugin.Spec.Overrides = append(plugin.Spec.Overrides, wasmv1alpha1.Override{
			Match: wasmv1alpha1.OverrideMatch{Hosts: []string{fmt.Sprintf("%d.example.com", i)}},
			Rules: &apiextensionsv1.JSON{Raw: []byte(`{"rules":"` + rules + `"}`)},
		})
	}
	pair, err := translate.Translate(translate.Input{Plugin: plugin, Options: translate.Options{RootNamespace: "istio-system"}})
	if err != nil {
		t.Fatal(err)
	}
	return Owner{PartialObjectMetadata: &metav1.PartialObjectMetadata{ObjectMeta: plugin.ObjectMeta}, Renderer: "r", Sources: v.sources}, pair
}

// bring applies a version to what stands, and returns how many writes and reads that took.
func (s *server) bring(v version) (writes, reads int, err error) {
	s.t.Helper()
	owner, pair := v.pair(s.t)
	writes, reads = len(s.writes), s.reads
	err = Pair(s.t.Context(), s.client(), s.client(), owner, pair, s.observed())
	return len(s.writes) - writes, s.reads - reads, err
}

func (s *server) mustBring(v version) (writes, reads int) {
	s.t.Helper()
	writes, reads, err := s.bring(v)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mustStand(v)
	return writes, reads
}

// mustStand asserts that a version stands, whole and with nothing else, and that this is known by metadata.
func (s *server) mustStand(v version) {
	s.t.Helper()
	owner, pair := v.pair(s.t)
	for _, half := range pair.EnvoyFilters() {
		if s.objects[half.Role] == nil || !reflect.DeepEqual(jsonOf(s.t, s.objects[half.Role].Object["spec"]), jsonOf(s.t, half.Object.Object["spec"])) {
			s.t.Errorf("%s doesn't stand as rendered", half.Name)
		}
	}
	if !s.observed().Complete(owner) {
		s.t.Error("the pair doesn't count as complete")
	}
	if names, known := parseInstances(s.objects[config].GetAnnotations()[wasmv1alpha1.AnnotationInstances]); !known || !slices.Equal(names, pair.Config.Instances) {
		s.t.Errorf("it says that it delivers %v, known: %t", names, known)
	}
	if writes, reads, err := s.bring(v); writes != 0 || reads != 0 || err != nil {
		s.t.Errorf("a second time takes %d writes and %d reads, %v", writes, reads, err)
	}
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func (s *server) clone(t *testing.T) *server {
	clone := *s
	clone.t, clone.objects, clone.writes = t, maps.Clone(s.objects), nil
	return &clone
}
