// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	networking "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// maxRendered keeps an EnvoyFilter, with its metadata, under the 1.5 MiB that etcd takes in one request.
const maxRendered = 1 << 20

// EnvoyFilterKind is Istio's kind.
var EnvoyFilterKind = schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1alpha3", Kind: "EnvoyFilter"}

// PluginKind is the owner's kind.
var PluginKind = wasmv1alpha1.SchemeGroupVersion.WithKind("WasmPlugin")

// envoyFilter assembles one half of a pair.
func envoyFilter(plugin *wasmv1alpha1.WasmPlugin, role wasmv1alpha1.EnvoyFilterRole,
	patches []*networking.EnvoyFilter_EnvoyConfigObjectPatch,
) (EnvoyFilter, error) {
	guard(patches, plugin.Spec)
	filter := &networking.EnvoyFilter{
		ConfigPatches: patches,
		Priority:      priorityOf(plugin, role),
		TargetRefs:    policyTargets(plugin.Spec),
	}
	if labels := plugin.Spec.Selector.MatchLabels; len(labels) > 0 {
		filter.WorkloadSelector = &networking.WorkloadSelector{Labels: map[string]string{}}
		for key, value := range labels {
			filter.WorkloadSelector.Labels[key] = string(value)
		}
	}
	spec, err := toMap(filter, protojson.MarshalOptions{})
	if err != nil {
		return EnvoyFilter{}, fmt.Errorf("render EnvoyFilter: %w", err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	identify(object, plugin, role)
	return sealed(EnvoyFilter{Name: object.GetName(), Role: role, Object: object})
}

// identify says which EnvoyFilter it is, and whose.
func identify(object *unstructured.Unstructured, plugin metav1.Object, role wasmv1alpha1.EnvoyFilterRole) {
	object.SetGroupVersionKind(EnvoyFilterKind)
	object.SetNamespace(plugin.GetNamespace())
	object.SetName(EnvoyFilterName(plugin.GetName(), role))
	object.SetLabels(Labels(plugin, role))
	object.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(plugin, PluginKind)})
}

// guard keeps the patches from proxies that are too old.
func guard(patches []*networking.EnvoyFilter_EnvoyConfigObjectPatch, spec wasmv1alpha1.WasmPluginSpec) {
	pattern := versionPattern(minimumProxy(spec))
	if pattern == "" {
		return
	}
	for _, patch := range patches {
		if patch.Match == nil {
			patch.Match = &networking.EnvoyFilter_EnvoyConfigObjectMatch{}
		}
		patch.Match.Proxy = &networking.EnvoyFilter_ProxyMatch{ProxyVersion: pattern}
	}
}

// sealed adds the hash, and refuses what the API server could not store.
func sealed(filter EnvoyFilter) (EnvoyFilter, error) {
	raw, err := json.Marshal(filter.Object.Object["spec"]) // map keys are sorted
	if err != nil {
		return EnvoyFilter{}, fmt.Errorf("render EnvoyFilter %s: %w", filter.Name, err)
	}
	if len(raw) > maxRendered {
		return EnvoyFilter{}, tooLarge(filter.Name, strconv.Itoa(len(raw)))
	}
	sum := sha256.Sum256(raw)
	filter.Hash = hex.EncodeToString(sum[:8])
	return filter, nil
}

// tooLarge refuses an EnvoyFilter of so many bytes.
func tooLarge(name, size string) error {
	return &InvalidSpecError{
		Reason: wasmv1alpha1.ReasonRenderedTooLarge, Field: "spec",
		Problem: fmt.Sprintf("makes EnvoyFilter %s of %s bytes, at most %d can be stored; shorten the rules, or use fewer overrides", name, size, maxRendered),
	}
}

// Labels are those of an EnvoyFilter of a plugin. Of the plugin's own only the revision is passed on.
func Labels(plugin metav1.Object, role wasmv1alpha1.EnvoyFilterRole) map[string]string {
	labels := map[string]string{
		wasmv1alpha1.LabelManagedBy: wasmv1alpha1.FieldManager,
		wasmv1alpha1.LabelPlugin:    plugin.GetName(),
		wasmv1alpha1.LabelRole:      halves[role].label,
	}
	if revision, ok := plugin.GetLabels()[wasmv1alpha1.LabelRevision]; ok {
		labels[wasmv1alpha1.LabelRevision] = revision
	}
	return labels
}

// toStruct renders a message of Envoy with the field names of its documentation (snake_case), as people write them.
func toStruct(message proto.Message) (*structpb.Struct, error) {
	fields, err := toMap(message, protojson.MarshalOptions{UseProtoNames: true})
	if err != nil {
		return nil, err
	}
	return structpb.NewStruct(fields)
}

// toMap goes through JSON, since protojson's own bytes aren't stable.
func toMap(message proto.Message, options protojson.MarshalOptions) (map[string]any, error) {
	raw, err := options.Marshal(message)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	return fields, nil
}
