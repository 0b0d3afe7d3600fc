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

// secretValues are the values that list namespaces with Secrets, and the files that do the same for those who use
// kustomize.
var secretValues = map[string]string{
	"rulesFrom": "optional_rules_secrets.yaml",
	"modules":   "optional_module_secrets.yaml",
}

// TestRightsToSecrets: beside its other rights the operator may get Secrets, and nothing else, in the namespaces that the
// values list.
func TestRightsToSecrets(t *testing.T) {
	for value := range secretValues {
		objects := render(t, valuesFile(t, value+": {secretNamespaces: [bank, shop]}"))
		want := rightsOf(operatorRights + `
			bank  core  secrets  *  get
			shop  core  secrets  *  get`)
		if diff := cmp.Diff(want, granted(t, objects, release)); diff != "" {
			t.Errorf("%s: other rights than wanted (-want +got):\n%s", value, diff)
		}
	}
}

// TestOptionalFilesAreTheChart holds the files for those who use kustomize to what the chart makes of its values.
func TestOptionalFilesAreTheChart(t *testing.T) {
	for value, name := range secretValues {
		file := decode(t, read(t, filepath.Join(root, "config", "rbac", name)))
		for _, object := range file {
			if object.GetNamespace() != "" {
				t.Errorf("%s names a namespace; kubectl apply --namespace could not choose one", key(object))
			}
			object.SetNamespace("shop")
		}
		all := render(t, valuesFile(t, value+": {secretNamespaces: [shop]}"))
		chart := slices.DeleteFunc(all, func(object *unstructured.Unstructured) bool { return object.GetNamespace() != "shop" })
		if diff := cmp.Diff(plain(file), plain(chart)); diff != "" {
			t.Errorf("%s and the chart differ (-file +chart):\n%s", name, diff)
		}
	}
}

const secretsOfThree = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank}
---
apiVersion: v1
kind: Namespace
metadata: {name: mall}
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
	c.apply(secretsOfThree)
	// One by each value: the right is the same.
	c.install("--set", "rulesFrom.secretNamespaces={shop},modules.secretNamespaces={mall}")
	for _, where := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, namespace, "istio-system", "bank", "shop", "mall"} {
		got := slices.DeleteFunc(c.rules(release, where), func(right string) bool { return !strings.Contains(right, " secrets ") })
		var want []string
		if where == "shop" || where == "mall" {
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
