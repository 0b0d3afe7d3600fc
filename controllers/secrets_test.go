// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

func newWorldWithSecret(t *testing.T, consent bool) *world {
	t.Helper()
	world := newWorldWith(t, fromSecret("creds"))
	world.sources.setSecret(secretRules, consent)
	return world
}

// letTimePass makes the next look at Secrets due.
func (w *world) letTimePass() {
	w.reconciler.sources.mutex.Lock()
	defer w.reconciler.sources.mutex.Unlock()
	w.reconciler.sources.checks[w.key()] = time.Time{}
}

func TestSecretWithConsent(t *testing.T) {
	world := newWorldWithSecret(t, true)
	result := world.mustReconcile()
	world.wantReads("Secret creds (metadata)", "Secret creds")
	if around := time.Hour; result.RequeueAfter < around-around/10 || result.RequeueAfter > around+around/10 {
		t.Errorf("looks again in %s", result.RequeueAfter)
	}
	if !world.delivers("wonderland") {
		t.Error("its rules aren't delivered")
	}
	world.writes = nil
	if result := world.mustReconcile(); result.RequeueAfter == 0 {
		t.Error("forgets to look again")
	}
	world.wantReads()

	world.liveReads = 0
	world.letTimePass()
	world.mustReconcile()
	world.wantReads("Secret creds (metadata)")
	world.wantWrites()
	if world.liveReads > 0 {
		t.Error("reads the spec for a Secret that is as it was")
	}
	world.sources.setSecret(`{"users":{"bob":"builder"}}`, true)
	world.mustReconcile()
	world.wantReads() // not yet
	world.letTimePass()
	world.mustReconcile()
	world.wantWrites("EnvoyFilter auth-config", "status")
	if watched := world.reconciler.sources.watches.byNamespace; len(watched) > 0 {
		t.Errorf("watches %v", watched)
	}
}

func TestSecretWithoutConsentIsNotRead(t *testing.T) {
	world := newWorldWithSecret(t, false)
	if result := world.mustReconcile(); result.RequeueAfter == 0 {
		t.Error("isn't looked at again")
	}
	world.wantRejected(wasmv1alpha1.ReasonReferenceNotPermitted, "creds", wasmv1alpha1.LabelRules+"=allowed")
	world.wantReads("Secret creds (metadata)")
	world.sources.setSecret(secretRules, true)
	world.mustReconcile()
	world.wantReady()
}

func TestConsentWithdrawn(t *testing.T) {
	world := newWorldWithSecret(t, true)
	world.mustReconcile()
	world.sources.read()
	world.sources.setSecret(secretRules, false)
	world.letTimePass()
	for range 2 {
		if result := world.mustReconcile(); result.RequeueAfter == 0 {
			t.Error("isn't looked at again")
		}
	}
	if reads := world.sources.read(); slices.Contains(reads, "Secret creds") {
		t.Errorf("reads the data without consent: %v", reads)
	}
	world.wantRejected(wasmv1alpha1.ReasonReferenceNotPermitted, "stays in effect")
	if !world.delivers("wonderland") {
		t.Error("what stood is gone")
	}
}

// TestConsentWithdrawnInBetween withdraws it after the look at the metadata.
func TestConsentWithdrawnInBetween(t *testing.T) {
	world := newWorldWithSecret(t, true)
	world.sources.afterRead = func(what string) {
		if what == "Secret creds (metadata)" {
			delete(world.sources.objects["Secret creds"].GetLabels(), wasmv1alpha1.LabelRules)
		}
	}
	world.mustReconcile()
	world.wantRejected(wasmv1alpha1.ReasonReferenceNotPermitted)
}

func TestSecretWithoutRights(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "creds", errors.New("no"))
	for _, what := range []string{"Secret creds (metadata)", "Secret creds"} {
		t.Run(what, func(t *testing.T) {
			world := newWorldWithSecret(t, true)
			world.sources.errs[what] = forbidden
			if result := world.mustReconcile(); result.RequeueAfter == 0 {
				t.Error("isn't looked at again")
			}
			world.wantRejected(wasmv1alpha1.ReasonReferenceNotPermitted, "creds", "rulesFrom.secretNamespaces")
		})
	}
}

func TestRefresh(t *testing.T) {
	world := newWorldWithSecret(t, true)
	world.mustReconcile()
	world.sources.read()
	world.sources.setSecret(`{"users":{"bob":"builder"}}`, true)
	world.writes = nil
	world.plugin.Annotations = map[string]string{wasmv1alpha1.AnnotationRefresh: "now"}
	world.mustReconcile()
	world.wantReads("Secret creds (metadata)", "Secret creds")
	world.wantWrites("EnvoyFilter auth-config", "status")
	world.mustReconcile()
	world.wantReads()
	world.wantWrites()

	plain := newWorld(t)
	plain.mustReconcile()
	plain.writes = nil
	plain.plugin.Annotations = map[string]string{wasmv1alpha1.AnnotationRefresh: "now"}
	plain.mustReconcile()
	plain.wantWrites() // there is nothing to refresh
}

// TestSecretIsMasked lets the API server quote what it refuses, or fails with.
func TestSecretIsMasked(t *testing.T) {
	for name, refusal := range map[string]error{
		"refused": apierrors.NewBadRequest(`denied: {\"alice\":\"wonderland\"}`),
		"failed":  apierrors.NewInternalError(errors.New("can't store wonderland")),
	} {
		t.Run(name, func(t *testing.T) {
			world := newWorldWithSecret(t, true)
			world.childErr = refusal
			_, err := world.reconcile()
			said := []string{<-world.events}
			if err != nil {
				said = append(said, err.Error())
			}
			for _, condition := range world.status.Conditions {
				said = append(said, condition.Message)
			}
			for _, text := range said {
				if strings.Contains(text, "wonderland") || strings.Contains(text, "alice") {
					t.Errorf("tells a secret: %s", text)
				}
			}
			if name == "failed" && !apierrors.IsInternalError(err) {
				t.Errorf("the cause is lost: %v", err)
			}
		})
	}
}

func TestInlineRulesOfOverridesAreMasked(t *testing.T) {
	world := newWorld(t)
	world.plugin.Spec.Overrides = []wasmv1alpha1.Override{{
		Match: wasmv1alpha1.OverrideMatch{Hosts: []string{"shop.example.com"}}, Rules: &apiextensionsv1.JSON{Raw: []byte(`{"password":"hush"}`)},
	}}
	world.childErr = apierrors.NewBadRequest("denied: hush ok:test")
	world.mustReconcile()
	if event := <-world.events; strings.Contains(event, "hush") || strings.Contains(event, "ok:test") {
		t.Errorf("event %s", event)
	}
}

// twinOf finds a name whose identity key is the plugin's.
func twinOf(t *testing.T, plugin *wasmv1alpha1.WasmPlugin, namespace string) string {
	t.Helper()
	key := translate.IdentityKey(plugin.Namespace, plugin.Name)
	for i := range 1 << 21 {
		if name := fmt.Sprintf("twin-%d", i); translate.IdentityKey(namespace, name) == key {
			return name
		}
	}
	t.Fatal("no twin")
	return ""
}

// TestTies names plugins of one identity key in the namespace and in the root namespace, and no others.
func TestTies(t *testing.T) {
	world := newWorld(t)
	twin := func(namespace string) metav1.PartialObjectMetadata {
		return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: twinOf(t, world.plugin, namespace)}}
	}
	world.others = []metav1.PartialObjectMetadata{
		twin("shop"), twin("bank"), twin("istio-system"), {ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"}},
	}
	ties, err := world.reconciler.ties(t.Context(), world.plugin)
	want := []string{"istio-system/" + world.others[2].Name, "shop/" + world.others[0].Name}
	if err != nil || !slices.Equal(ties, want) {
		t.Errorf("got %v, %v, want %v", ties, err, want)
	}
	world.plugin = &wasmv1alpha1.WasmPlugin{ObjectMeta: world.others[2].ObjectMeta}
	world.others[2] = metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "auth"}}
	if ties, err = world.reconciler.ties(t.Context(), world.plugin); err != nil || len(ties) != 3 {
		t.Errorf("in the root namespace: %v, %v", ties, err)
	}
}
