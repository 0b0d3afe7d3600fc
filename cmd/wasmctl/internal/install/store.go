// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// crdName is the CustomResourceDefinition of WasmPlugins.
var crdName = "wasmplugins." + wasmv1alpha1.SchemeGroupVersion.Group

// installed is what the manifests of a release say of it.
type installed struct {
	// storeURL is where proxies fetch; empty without a store.
	storeURL string
	// takesCRD says that the CRD, and with it every WasmPlugin, goes with the release.
	takesCRD bool
}

const storeFlag = "--store-url="

// readManifests reads what a release installed.
func readManifests(manifests string) (installed, error) {
	var found installed
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, fmt.Errorf("read the manifests of the release: %w", err)
		}
		switch {
		case object.GetKind() == "Deployment":
			visit(object.Object["spec"], func(value any) {
				if text, ok := value.(string); ok && strings.HasPrefix(text, storeFlag) {
					found.storeURL = strings.TrimPrefix(text, storeFlag)
				}
			})
		case object.GetKind() == "CustomResourceDefinition" && object.GetName() == crdName:
			found.takesCRD = object.GetAnnotations()["helm.sh/resource-policy"] != "keep"
		}
	}
}

// pointsAt says whether an EnvoyFilter makes proxies fetch from the store.
func pointsAt(filter *unstructured.Unstructured, storeURL string) bool {
	if storeURL == "" {
		return false
	}
	points := false
	visit(filter.Object["spec"], func(value any) {
		if text, ok := value.(string); ok {
			path, under := strings.CutPrefix(text, strings.TrimSuffix(storeURL, "/"))
			_, isModule := store.ParsePath(path)
			points = points || under && isModule
		}
	})
	return points
}

// visit shows every value within another one.
func visit(value any, see func(any)) {
	see(value)
	switch value := value.(type) {
	case map[string]any:
		for _, inner := range value {
			visit(inner, see)
		}
	case []any:
		for _, inner := range value {
			visit(inner, see)
		}
	}
}
