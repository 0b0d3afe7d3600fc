// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
)

// TestPullSecret: the credentials are read when they are needed and go to the server; what is wrong with them is a sentence.
func TestPullSecret(t *testing.T) {
	const config = `{"auths":{"registry.example.com":{"auth":"aHVudGVyMg=="}}}`
	secret := func(kind corev1.SecretType, key string) func(*moduleWorld) {
		return func(w *moduleWorld) {
			w.sources.set(&corev1.Secret{ObjectMeta: w.sources.meta("regcred"), Type: kind, Data: map[string][]byte{key: []byte(config)}})
		}
	}
	answer := func(err error) func(*moduleWorld) {
		return func(w *moduleWorld) { w.sources.errs["Secret regcred"] = err }
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "regcred", errors.New("no"))
	tests := map[string]struct {
		prepare func(*moduleWorld)
		words   []string // none: it is taken
		retries bool
	}{
		"good":              {secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey), nil, false},
		"missing":           {func(*moduleWorld) {}, []string{`Secret "regcred" doesn't exist in namespace shop`, "create it"}, false},
		"forbidden":         {answer(forbidden), []string{"can't be read", "modules.secretNamespaces", "grant get on this Secret"}, false},
		"another type":      {secret(corev1.SecretTypeOpaque, corev1.DockerConfigJsonKey), []string{"not of type kubernetes.io/dockerconfigjson", "kubectl create secret docker-registry"}, false},
		"an old type":       {secret(corev1.SecretTypeDockercfg, corev1.DockerConfigKey), []string{"not of type kubernetes.io/dockerconfigjson"}, false},
		"another key":       {secret(corev1.SecretTypeDockerConfigJson, "config.json"), []string{"not of type"}, false},
		"the API server":    {answer(errors.New("connection refused to 10.0.0.1")), []string{"the API server doesn't answer"}, true},
		"a busy API server": {answer(apierrors.NewServiceUnavailable("hunter2")), []string{"the API server doesn't answer"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inModuleWorld(t, func(world *moduleWorld) {
				world.reconciler.Options.StoreURL = "http://store.example.com"
				world.plugin.Spec.ImagePullSecret = "regcred"
				world.reconciler.Modules.Resolver = resolve.New(resolve.Parts{Fetcher: world, Memory: module.NewMemory(module.Limits{}), Checker: world, Store: &keepingStore{}, Cache: world.cache()})
				test.prepare(world)
				world.reconcileAll()
				if test.words == nil {
					world.wantReady()
					if world.credentials != config {
						t.Errorf("the registry gets %q", world.credentials)
					}
					if said := world.everything(); strings.Contains(said, "aHVudGVyMg==") {
						t.Errorf("the credentials are in %s", said)
					}
					return
				}
				world.wantModule(metav1.ConditionFalse, string(module.InvalidPullSecret), append(test.words, "spec.imagePullSecret: ")...)
				condition := wasmv1alpha1.ConditionStalled
				if test.retries {
					condition = wasmv1alpha1.ConditionReconciling
				}
				world.wantCondition(condition, metav1.ConditionTrue, string(module.InvalidPullSecret))
				if said := world.everything(); strings.Contains(said, "hunter2") || strings.Contains(said, "10.0.0.1") {
					t.Errorf("repeats what was said to it: %s", said)
				}
				world.wantAsked(0, 0)
				// It is mended without a change of the plugin.
				clear(world.sources.errs)
				secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey)(world)
				world.run(20 * time.Second)
				world.wantReady()
			})
		})
	}
}

// TestVerification: what is wrong with who may sign is a sentence, about the field; nothing is fetched before it is right.
func TestVerification(t *testing.T) {
	const field = "spec.verification.keys[0]: "
	reference := wasmv1alpha1.KeyReference{Name: "cosign", Key: "cosign.pub"}
	inConfigMap := wasmv1alpha1.Verification{Keys: []wasmv1alpha1.VerificationKey{{ConfigMapKeyRef: reference}}}
	inSecret := wasmv1alpha1.Verification{Keys: []wasmv1alpha1.VerificationKey{{SecretKeyRef: reference}}}
	identities := []wasmv1alpha1.VerificationIdentity{{Issuer: "https://issuer.example.com", Subject: "a@example.com"}}
	config := func(key, value string) func(*moduleWorld) {
		return func(w *moduleWorld) {
			w.sources.set(&corev1.ConfigMap{ObjectMeta: w.sources.meta("cosign"), Data: map[string]string{key: value}})
		}
	}
	nothing := func(*moduleWorld) {}
	tests := map[string]struct {
		verification wasmv1alpha1.Verification
		prepare      func(*moduleWorld)
		reason       module.Kind
		words        []string
	}{
		"no ConfigMap":        {inConfigMap, nothing, module.InvalidKey, []string{field, `ConfigMap "cosign" doesn't exist in namespace shop`}},
		"a key that isn't in": {inConfigMap, config("other.pub", "x"), module.InvalidKey, []string{field, `has no key "cosign.pub"`}},
		"a key that is none":  {inConfigMap, config("cosign.pub", "hunter2"), module.InvalidKey, []string{"spec.verification.keys[0]"}},
		"no Secret":           {inSecret, nothing, module.InvalidKey, []string{field, `Secret "cosign" doesn't exist`}},
		"a Secret without it": {inSecret, func(w *moduleWorld) {
			w.sources.set(&corev1.Secret{ObjectMeta: w.sources.meta("cosign")})
		}, module.InvalidKey, []string{field, `has no key "cosign.pub"`}},
		"a Secret that is out of reach": {inSecret, func(w *moduleWorld) {
			w.sources.errs["Secret cosign"] = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "cosign", errors.New("hunter2"))
		}, module.InvalidKey, []string{field, "modules.secretNamespaces"}},
		"a good key that signed nothing": {
			wasmv1alpha1.Verification{Keys: []wasmv1alpha1.VerificationKey{{Inline: publicKey}}}, nothing, module.NotSigned, nil,
		},
		"identities without a trust root": {
			wasmv1alpha1.Verification{Identities: identities},
			nothing,
			module.InvalidTrustRoot,
			[]string{"spec.verification.trustRoot", "--signature-trust-root"},
		},
		"a trust root that isn't there": {
			wasmv1alpha1.Verification{Identities: identities, TrustRoot: wasmv1alpha1.TrustRoot{ConfigMapKeyRef: reference}},
			nothing,
			module.InvalidTrustRoot,
			[]string{"spec.verification.trustRoot", `ConfigMap "cosign" doesn't exist`},
		},
		"a trust root that is none": {
			wasmv1alpha1.Verification{Identities: identities, TrustRoot: wasmv1alpha1.TrustRoot{Inline: "hunter2"}}, nothing, module.InvalidTrustRoot, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inModuleWorld(t, func(world *moduleWorld) {
				world.plugin.Spec.Verification = test.verification
				test.prepare(world)
				world.reconcileAll()
				world.wantModule(metav1.ConditionFalse, string(test.reason), test.words...)
				if said := jsonOf(world.status); strings.Contains(said, "hunter2") {
					t.Errorf("repeats what it was given: %s", said)
				}
				if len(world.children) > 0 {
					t.Error("a pair is written")
				}
			})
		})
	}
}

// publicKey is one whose private half nobody has.
const publicKey = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
`
