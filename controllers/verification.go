// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/signature"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// policy reads who must have signed a plugin's module.
func (r *WasmPluginReconciler) policy(ctx context.Context, in translate.Input) (signature.Policy, error) {
	policy := signature.Policy{TrustRoot: r.Modules.TrustRoot}
	for i, key := range in.Plugin.Spec.Verification.Keys {
		field := fmt.Sprintf("spec.verification.keys[%d]", i)
		pem, err := r.publicKey(ctx, in, field, key)
		if err != nil {
			return signature.Policy{}, err
		}
		policy.Keys = append(policy.Keys, signature.Key{Name: field, PEM: pem})
	}
	for _, identity := range in.Plugin.Spec.Verification.Identities {
		policy.Identities = append(policy.Identities, signature.Identity(identity))
	}
	err := setTrustRoot(&policy, in)
	return policy, err
}

// setTrustRoot takes the plugin's own trust root for that of the installation.
func setTrustRoot(policy *signature.Policy, in translate.Input) (err error) {
	const field = "spec.verification.trustRoot"
	switch root := in.Plugin.Spec.Verification.TrustRoot; {
	case root.Inline != "":
		policy.TrustRoot = []byte(root.Inline)
	case root.ConfigMapKeyRef.Name != "":
		policy.TrustRoot, err = keyFromConfigMap(in, field, root.ConfigMapKeyRef)
		if failure, is := errors.AsType[*resolve.Failure](err); is {
			failure.Reason = string(module.InvalidTrustRoot)
		}
	case len(policy.Identities) > 0 && len(policy.TrustRoot) == 0:
		err = &resolve.Failure{Reason: string(module.InvalidTrustRoot), Message: field + " is not set, and the installation has none (--signature-trust-root); give the trusted_root.json of the Sigstore that the identities are of"}
	}
	return err
}

// publicKey is one key in PEM. A Secret with one needs no consent: nothing of it is written anywhere.
func (r *WasmPluginReconciler) publicKey(ctx context.Context, in translate.Input, field string, key wasmv1alpha1.VerificationKey) ([]byte, error) {
	switch {
	case key.ConfigMapKeyRef.Name != "":
		return keyFromConfigMap(in, field, key.ConfigMapKeyRef)
	case key.SecretKeyRef.Name != "":
		name := types.NamespacedName{Namespace: in.Plugin.Namespace, Name: key.SecretKeyRef.Name}
		secret, err := r.readSecret(ctx, field, name, module.InvalidKey)
		if err != nil {
			return nil, err
		}
		return keyIn(field, "Secret", key.SecretKeyRef, secret.Data)
	default:
		return []byte(key.Inline), nil
	}
}

// keyFromConfigMap is what one of the ConfigMaps holds that were read with the sources of the rules, and are followed as they are.
func keyFromConfigMap(in translate.Input, field string, reference wasmv1alpha1.KeyReference) ([]byte, error) {
	content, exists := in.Sources[rules.Object{Kind: rules.ConfigMap, Name: reference.Name}]
	switch {
	case content.Denied != "":
		return nil, invalidKey(field, "ConfigMap %q isn't read: %s", reference.Name, content.Denied)
	case !exists:
		return nil, invalidKey(field, "ConfigMap %q doesn't exist in namespace %s; create it", reference.Name, in.Plugin.Namespace)
	}
	return keyIn(field, "ConfigMap", reference, content.Data)
}

func keyIn(field, kind string, reference wasmv1alpha1.KeyReference, data map[string][]byte) ([]byte, error) {
	value, has := data[reference.Key]
	if !has {
		return nil, invalidKey(field, "%s %q has no key %q; add it", kind, reference.Name, reference.Key)
	}
	return value, nil
}

func invalidKey(field, format string, args ...any) error {
	return &resolve.Failure{Reason: string(module.InvalidKey), Message: field + ": " + fmt.Sprintf(format, args...)}
}
