// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
)

// TestStatusIsOfTheVersionThatWasRead: a status that an operator sends which no longer leads must not land on a newer one.
func TestStatusIsOfTheVersionThatWasRead(t *testing.T) {
	server := &statusServer{t: t}
	reconciler := server.reconciler()
	plugin := &wasmv1alpha1.WasmPlugin{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "auth", UID: "uid", ResourceVersion: "16"}}
	if _, err := reconciler.report(t.Context(), plugin, observed(status.Accepted(nil), status.Applied()), false); err != nil {
		t.Fatal(err)
	}
	for _, precondition := range []string{`"uid":"uid"`, `"resourceVersion":"16"`} {
		if !strings.Contains(server.last, precondition) {
			t.Errorf("the status is for any %s: %s", precondition, server.last)
		}
	}
}

// TestStatusOfAnother: an answer about another object is no yes, so the status is written again.
func TestStatusOfAnother(t *testing.T) {
	server := &statusServer{t: t, another: true}
	reconciler := server.reconciler()
	plugin := &wasmv1alpha1.WasmPlugin{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "auth", UID: "uid", ResourceVersion: "16"}}
	_, err := reconciler.report(t.Context(), plugin, observed(status.Accepted(nil), status.Applied()), false)
	if !errors.Is(err, apply.ErrAnotherObject) || plugin.ResourceVersion != "16" {
		t.Errorf("takes the answer for a yes: %v, version %s", err, plugin.ResourceVersion)
	}
}
