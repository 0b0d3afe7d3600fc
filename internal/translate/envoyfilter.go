// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	networking "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// EnvoyFilterKind is Istio's kind.
var EnvoyFilterKind = schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1alpha3", Kind: "EnvoyFilter"}

// PluginKind is the owner's kind.
var PluginKind = wasmv1alpha1.SchemeGroupVersion.WithKind("WasmPlugin")

// envoyFilter assembles one half of the pair.
func envoyFilter(plugin *wasmv1alpha1.WasmPlugin, role wasmv1alpha1.EnvoyFilterRole,
	patches ...*networking.EnvoyFilter_EnvoyConfigObjectPatch,
) (EnvoyFilter, error) {
	filter := &networking.EnvoyFilter{
		ConfigPatches: patches,
		Priority:      envoyFilterPriority(plugin),
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
	object.SetGroupVersionKind(EnvoyFilterKind)
	object.SetNamespace(plugin.Namespace)
	object.SetName(EnvoyFilterName(plugin.Name, role))
	object.SetLabels(Labels(plugin.Name, role))
	object.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(plugin, PluginKind)})
	hash, err := hashOf(spec)
	if err != nil {
		return EnvoyFilter{}, err
	}
	return EnvoyFilter{Name: object.GetName(), Role: role, Object: object, Hash: hash}, nil
}

// Labels are those of an EnvoyFilter of a plugin.
func Labels(plugin string, role wasmv1alpha1.EnvoyFilterRole) map[string]string {
	value := wasmv1alpha1.RoleConfig
	if role == wasmv1alpha1.EnvoyFilterFilter {
		value = wasmv1alpha1.RoleFilter
	}
	return map[string]string{
		wasmv1alpha1.LabelManagedBy: wasmv1alpha1.FieldManager,
		wasmv1alpha1.LabelPlugin:    plugin,
		wasmv1alpha1.LabelRole:      value,
	}
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

func hashOf(spec map[string]any) (string, error) {
	raw, err := json.Marshal(spec) // map keys are sorted
	if err != nil {
		return "", fmt.Errorf("hash EnvoyFilter: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), nil
}
