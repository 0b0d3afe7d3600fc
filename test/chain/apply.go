// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

const (
	fieldManager = "chain"
	// newKindTimeout is how long a kind may take to be served after its CRD was installed.
	newKindTimeout = 20 * time.Second
)

// Apply applies every document of some YAML once; see Applier.
func Apply(ctx context.Context, config *rest.Config, documents string) error {
	a, err := NewApplier(config)
	if err != nil {
		return err
	}
	return a.Apply(ctx, documents)
}

// Apply applies every document of some YAML server-side, in order and with force. It returns when the CRDs among them
// are served. An object without a namespace goes to "default" if its kind is a namespaced one.
func (a *Applier) Apply(ctx context.Context, documents string) error {
	objects, err := decode(documents)
	if err != nil {
		return err
	}
	for _, object := range objects {
		resource, err := a.resource(ctx, object)
		if err == nil {
			_, err = resource.Apply(ctx, object.GetName(), object,
				metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		}
		if err != nil {
			return fmt.Errorf("cannot apply %s: %w", describe(object), err)
		}
	}
	for _, object := range objects {
		if object.GetKind() == "CustomResourceDefinition" {
			if err := a.waitServed(ctx, object); err != nil {
				return err
			}
		}
	}
	return nil
}

// ApplyFile applies a YAML file; see Apply.
func ApplyFile(ctx context.Context, config *rest.Config, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := Apply(ctx, config, string(content)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Delete deletes every object that some YAML names once; see Applier.
func Delete(ctx context.Context, config *rest.Config, documents string) error {
	a, err := NewApplier(config)
	if err != nil {
		return err
	}
	return a.Delete(ctx, documents)
}

// Delete deletes every object that some YAML names, in the reverse order. Objects that are not there are no error. It
// does not wait for finalizers.
func (a *Applier) Delete(ctx context.Context, documents string) error {
	objects, err := decode(documents)
	if err != nil {
		return err
	}
	for _, object := range slices.Backward(objects) {
		resource, err := a.resource(ctx, object)
		if err == nil {
			err = resource.Delete(ctx, object.GetName(), metav1.DeleteOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("cannot delete %s: %w", describe(object), err)
		}
	}
	return nil
}

// Applier applies and deletes YAML. It keeps what it has learnt of the API server's kinds, which saves some thirty
// requests each time.
type Applier struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

// NewApplier returns one with the rights of a configuration.
func NewApplier(config *rest.Config) (*Applier, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Applier{
		client: client,
		mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kinds)),
	}, nil
}

// resource finds where an object lives. A kind that is not known may be one whose CRD was applied just before.
func (a *Applier) resource(ctx context.Context, object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	ctx, cancel := context.WithTimeout(ctx, newKindTimeout)
	defer cancel()
	gvk := object.GroupVersionKind()
	var mapping *apimeta.RESTMapping
	var other error
	err := Until(ctx, func(context.Context) error {
		var err error
		mapping, err = a.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if apimeta.IsNoMatchError(err) {
			a.mapper.Reset()
			return err
		}
		other = err
		return nil
	})
	if err := errors.Join(err, other); err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != apimeta.RESTScopeNameNamespace {
		return a.client.Resource(mapping.Resource), nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return a.client.Resource(mapping.Resource).Namespace(namespace), nil
}

var crds = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// waitServed waits until the objects of a CRD can be listed: the condition Established comes a little earlier.
func (a *Applier) waitServed(ctx context.Context, crd *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, newKindTimeout)
	defer cancel()
	err := Until(ctx, func(ctx context.Context) error {
		current, err := a.client.Resource(crds).Get(ctx, crd.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		versions, _, err := unstructured.NestedStringSlice(current.Object, "status", "storedVersions")
		if err != nil || len(versions) == 0 || !established(current) {
			return errors.Join(err, errors.New("the condition Established is not True yet"))
		}
		group, _, _ := unstructured.NestedString(current.Object, "spec", "group")
		plural, _, _ := unstructured.NestedString(current.Object, "spec", "names", "plural")
		resource := schema.GroupVersionResource{Group: group, Version: versions[0], Resource: plural}
		_, err = a.client.Resource(resource).List(ctx, metav1.ListOptions{Limit: 1})
		return err
	})
	if err != nil {
		return fmt.Errorf("%s is not served: %w", describe(crd), err)
	}
	return nil
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, item := range conditions {
		condition, _ := item.(map[string]any)
		if condition["type"] == "Established" {
			return condition["status"] == "True"
		}
	}
	return false
}

func decode(documents string) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(documents), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		// In two steps, since this decoder alone would round integers to those that a double holds.
		var document json.RawMessage
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err == nil {
			err = utiljson.Unmarshal(document, &object.Object)
		}
		if err != nil {
			return nil, fmt.Errorf("YAML document %d cannot be read: %w", len(objects)+1, err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.GetKind() == "" || object.GetName() == "" {
			return nil, fmt.Errorf("YAML document %d has no kind or no metadata.name", len(objects)+1)
		}
		objects = append(objects, object)
	}
}

// describe names an object the way kubectl does.
func describe(object *unstructured.Unstructured) string {
	text := strings.ToLower(object.GetKind()) + "/" + object.GetName()
	if namespace := object.GetNamespace(); namespace != "" {
		text += " in " + namespace
	}
	return text
}
