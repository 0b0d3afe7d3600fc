// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"fmt"
	"slices"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// MaxReferences bounds the objects that a plugin may name: their versions stand in an annotation.
const MaxReferences = 64

// References returns the ConfigMaps and Secrets that a spec takes rules from, and the ConfigMaps that say who must have
// signed its module, each once, sorted.
func References(spec wasmv1alpha1.WasmPluginSpec) []rules.Object {
	var objects []rules.Object
	add := func(sources []wasmv1alpha1.RulesSource) {
		for _, source := range sources {
			object, _ := referenced(source)
			objects = append(objects, object)
		}
	}
	add(spec.RulesFrom)
	for _, override := range spec.Overrides {
		add(override.RulesFrom)
	}
	objects = append(objects, verificationReferences(spec)...)
	slices.SortFunc(objects, func(a, b rules.Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(objects)
}

// verificationReferences leaves out Secrets: what is in those is no source of rules, and needs no consent to become one.
func verificationReferences(spec wasmv1alpha1.WasmPluginSpec) []rules.Object {
	var objects []rules.Object
	names := []string{spec.Verification.TrustRoot.ConfigMapKeyRef.Name}
	for _, key := range spec.Verification.Keys {
		names = append(names, key.ConfigMapKeyRef.Name)
	}
	for _, name := range names {
		if name != "" {
			objects = append(objects, rules.Object{Kind: rules.ConfigMap, Name: name})
		}
	}
	return objects
}

func referenced(source wasmv1alpha1.RulesSource) (rules.Object, wasmv1alpha1.RulesKeyReference) {
	if source.SecretKeyRef.Name != "" {
		return rules.Object{Kind: rules.Secret, Name: source.SecretKeyRef.Name}, source.SecretKeyRef
	}
	return rules.Object{Kind: rules.ConfigMap, Name: source.ConfigMapKeyRef.Name}, source.ConfigMapKeyRef
}

// documents returns what the sources hold, without those that are optional and absent. Nothing of it is quoted in an
// error.
func documents(in Input, field string, sources []wasmv1alpha1.RulesSource) ([][]byte, error) {
	var found [][]byte
	for i, source := range sources {
		document, err := documentOf(in, fmt.Sprintf("%s[%d]", field, i), source)
		if err != nil {
			return nil, err
		}
		if document != nil {
			found = append(found, document)
		}
	}
	return found, nil
}

func documentOf(in Input, field string, source wasmv1alpha1.RulesSource) ([]byte, error) {
	object, reference := referenced(source)
	content, exists := in.Sources[object]
	document, hasKey := content.Data[reference.Key]
	optional := reference.Optional != nil && *reference.Optional
	switch {
	case content.Denied != "":
		return nil, &InvalidSpecError{
			Reason: wasmv1alpha1.ReasonReferenceNotPermitted, Field: field,
			Problem: fmt.Sprintf("%s %q isn't read: %s", object.Kind, object.Name, content.Denied),
		}
	case !hasKey && optional:
		return nil, nil
	case !exists:
		return nil, notFound(field, "%s %q doesn't exist in namespace %s; create it, or mark the source optional: true", object.Kind, object.Name, in.Plugin.Namespace)
	case !hasKey:
		return nil, notFound(field, "%s %q has no key %q; add it, or mark the source optional: true", object.Kind, object.Name, reference.Key)
	}
	if _, err := rules.Canonical(document); err != nil {
		return nil, invalidRules(field, fmt.Errorf("key %q of %s %q %w", reference.Key, object.Kind, object.Name, err))
	}
	return document, nil
}

func notFound(field, format string, args ...any) error {
	return &InvalidSpecError{Reason: wasmv1alpha1.ReasonReferenceNotFound, Field: field, Problem: fmt.Sprintf(format, args...)}
}

func checkReferences(in Input) error {
	if count := len(References(in.Plugin.Spec)); count > MaxReferences {
		return invalid("spec.rulesFrom", "names %d different ConfigMaps and Secrets, with those of the overrides; at most %d are followed, so put more keys into fewer objects", count, MaxReferences)
	}
	return nil
}
