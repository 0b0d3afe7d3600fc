// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// TestRightsToSecrets: beside its other rights the operator may get Secrets, and nothing else, in the namespaces that the
// values list.
func TestRightsToSecrets(t *testing.T) {
	objects := render(t, valuesFile(t, "rulesFrom: {secretNamespaces: [bank, shop]}"))
	want := rightsOf(operatorRights + `
		bank  core  secrets  *  get
		shop  core  secrets  *  get`)
	if diff := cmp.Diff(want, granted(t, objects, release)); diff != "" {
		t.Errorf("other rights than wanted (-want +got):\n%s", diff)
	}
}

// TestOptionalFileIsTheChart holds the file for those who use kustomize to what the chart makes of its value.
func TestOptionalFileIsTheChart(t *testing.T) {
	file := decode(t, read(t, filepath.Join(root, "config", "rbac", "optional_rules_secrets.yaml")))
	for _, object := range file {
		if object.GetNamespace() != "" {
			t.Errorf("%s names a namespace; kubectl apply --namespace could not choose one", key(object))
		}
		object.SetNamespace("shop")
	}
	all := render(t, valuesFile(t, "rulesFrom: {secretNamespaces: [shop]}"))
	chart := slices.DeleteFunc(all, func(object *unstructured.Unstructured) bool { return object.GetNamespace() != "shop" })
	if diff := cmp.Diff(plain(file), plain(chart)); diff != "" {
		t.Errorf("the file and the chart differ (-file +chart):\n%s", diff)
	}
}

const secretsOfTwo = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank}
---
apiVersion: v1
kind: Secret
metadata: {name: creds, namespace: shop}
---
apiVersion: v1
kind: Secret
metadata: {name: creds, namespace: bank}
`

// TestServerGrantsSecretsWhereListed asks the API server as the operator's ServiceAccount.
func TestServerGrantsSecretsWhereListed(t *testing.T) {
	c := startCluster(t)
	c.apply(secretsOfTwo)
	c.install("--set", "rulesFrom.secretNamespaces={shop}")
	for _, where := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, namespace, "istio-system", "bank", "shop"} {
		got := slices.DeleteFunc(c.rules(release, where), func(right string) bool { return !strings.Contains(right, " secrets ") })
		var want []string
		if where == "shop" {
			want = []string{"core secrets * get"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("rights to Secrets in namespace %s: %v, want %v", where, got, want)
		}
	}
	client, err := dynamic.NewForConfig(c.as(release))
	c.must(err)
	inShop, inBank := client.Resource(secrets).Namespace("shop"), client.Resource(secrets).Namespace("bank")
	_, err = inShop.Get(t.Context(), "creds", metav1.GetOptions{})
	c.must(err)
	for what, try := range map[string]func() error{
		"get in another namespace": func() error {
			_, err := inBank.Get(t.Context(), "creds", metav1.GetOptions{})
			return err
		},
		"list in the namespace": func() error {
			_, err := inShop.List(t.Context(), metav1.ListOptions{})
			return err
		},
		"list one by its name": func() error {
			_, err := inShop.List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=creds"})
			return err
		},
		"watch in the namespace": func() error {
			_, err := inShop.Watch(t.Context(), metav1.ListOptions{})
			return err
		},
	} {
		if err := try(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want Forbidden", what, err)
		}
	}
}
