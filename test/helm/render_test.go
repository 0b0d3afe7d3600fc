// SPDX-License-Identifier: Apache-2.0

// Package helm tests the installation: the Helm chart and its twin config/default, rendered and on a real API server.
package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

const (
	root        = "../.."
	chartFolder = root + "/charts/wasmplugin-operator"
	release     = "wasmplugin-operator"
	namespace   = "wasmplugin-system"
)

// helmPath is the helm binary: the one that HELM names, otherwise the project's own, built on the first use.
var helmPath = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("HELM"); path != "" {
		return path, nil
	}
	out, err := run(exec.Command(filepath.Join(root, "hack", "tool"), "helm"))
	return strings.TrimSpace(out), err
})

var binaries = sync.OnceValues(func() (*chain.Binaries, error) {
	return chain.Install(context.Background(), os.Stderr, chain.Kubernetes)
})

// run returns what a command printed; its error holds what it complained of.
func run(cmd *exec.Cmd) (string, error) {
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, complaints.String())
	}
	return out.String(), nil
}

// helm runs helm with folders of its own, so that nothing of the user's counts.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := helmPath()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	home := t.TempDir()
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home,
		"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home,
	}
	return run(cmd)
}

func kubectl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin.Kubectl, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	return run(cmd)
}

// render renders the chart with the values of a file; with the defaults if it is "".
func render(t *testing.T, values string) []*unstructured.Unstructured {
	t.Helper()
	return renderAs(t, release, values)
}

func renderAs(t *testing.T, name, values string) []*unstructured.Unstructured {
	t.Helper()
	args := []string{"template", name, chartFolder, "--namespace", namespace}
	if values != "" {
		args = append(args, "--values", values)
	}
	out, err := helm(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, out)
}

// kustomize builds a folder under config.
func kustomize(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	out, err := kubectl(t, "kustomize", filepath.Join(root, "config", folder))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, out)
}

// valuesFile writes values to a file.
func valuesFile(t *testing.T, values string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(path, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func decode(t *testing.T, documents string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(documents), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("not YAML: %v\n%s", err, documents)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// key tells objects apart.
func key(object *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
}

// named returns the object of a kind and a name.
func named(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() == kind && object.GetName() == name {
			return object
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

// allOf returns the objects of a kind, in their Go type.
func allOf[T any](t *testing.T, objects []*unstructured.Unstructured, kind string) []T {
	t.Helper()
	var found []T
	for _, object := range objects {
		if object.GetKind() == kind {
			found = append(found, *typed[T](t, object))
		}
	}
	return found
}

// typed reads an object into its Go type; a field that the type doesn't have is an error.
func typed[T any](t *testing.T, object *unstructured.Unstructured) *T {
	t.Helper()
	var into T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &into, true); err != nil {
		t.Fatalf("%s: %v", key(object), err)
	}
	return &into
}
