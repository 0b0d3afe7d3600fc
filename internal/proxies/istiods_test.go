// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// endpointSlice is one of a Service of istiod's.
func endpointSlice(service string, labels map[string]string, endpoints ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
	slice := discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "istio-system", Name: service + "-x", Labels: map[string]string{"app": "istiod", discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   endpoints,
		Ports: []discoveryv1.EndpointPort{
			{Name: new("grpc-xds"), Port: new(int32(15010))}, {Name: new("https-dns"), Port: new(int32(25012))}, {},
		},
	}
	maps.Copy(slice.Labels, labels)
	return slice
}

func endpoint(address, pod string, conditions discoveryv1.EndpointConditions) discoveryv1.Endpoint {
	found := discoveryv1.Endpoint{Addresses: []string{address}, Conditions: conditions}
	if pod != "" {
		found.TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: pod}
	}
	return found
}

var ready = discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true)}

func TestFromSlices(t *testing.T) {
	ending := discoveryv1.EndpointConditions{Ready: new(false), Serving: new(true), Terminating: new(true)}
	starting := discoveryv1.EndpointConditions{Ready: new(false), Serving: new(false)}
	stable := map[string]string{"istio.io/rev": "stable"}
	old := endpointSlice("istio-pilot", nil, endpoint("10.0.0.9", "", discoveryv1.EndpointConditions{}))
	old.Ports = []discoveryv1.EndpointPort{{Port: new(int32(15012))}}
	none := endpointSlice("other", nil, endpoint("10.0.0.10", "other", ready))
	none.Ports = none.Ports[:1]
	items := []discoveryv1.EndpointSlice{
		endpointSlice("istiod-stable", stable, endpoint("10.0.0.3", "istiod-c", ready), endpoint("10.0.0.2", "istiod-b", ending)),
		endpointSlice("istiod-again", stable, endpoint("10.0.0.3", "istiod-c", ready)),
		endpointSlice("istiod-stable", stable, endpoint("fd00::3", "istiod-c", ready), endpoint("fd00::7", "", ready)),
		endpointSlice("istiod", nil, endpoint("10.0.0.4", "istiod-d", starting), discoveryv1.Endpoint{}),
		old, none,
	}
	find := FromSlices(func(context.Context) ([]discoveryv1.EndpointSlice, error) { return items, nil })
	got, err := find(t.Context())
	want := []Istiod{
		{Name: "istiod-b", Address: "10.0.0.2:25012", ServerName: "istiod-stable.istio-system.svc", Revision: "stable"},
		{Name: "istiod-c", Address: "10.0.0.3:25012", ServerName: "istiod-again.istio-system.svc", Revision: "stable"},
		{Name: "10.0.0.9:15012", Address: "10.0.0.9:15012", ServerName: "istio-pilot.istio-system.svc"},
		{Name: "[fd00::7]:25012", Address: "[fd00::7]:25012", ServerName: "istiod-stable.istio-system.svc", Revision: "stable"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, other istiods:\n%s", err, diff)
	}
}

// TestTagsHaveNoCertificate: the name of a tag's Service isn't in the certificates of the Pods behind it, and would come
// first.
func TestTagsHaveNoCertificate(t *testing.T) {
	items := []discoveryv1.EndpointSlice{
		endpointSlice("istiod-revision-tag-default", map[string]string{"istio.io/rev": "default", "istio.io/tag": "default"}, endpoint("10.0.0.1", "istiod-a", ready)),
		endpointSlice("istiod", map[string]string{"istio.io/rev": "default"}, endpoint("10.0.0.1", "istiod-a", ready)),
	}
	got, err := FromSlices(func(context.Context) ([]discoveryv1.EndpointSlice, error) { return items, nil })(t.Context())
	if err != nil || len(got) != 1 || got[0].ServerName != "istiod.istio-system.svc" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFromSlicesOfNone(t *testing.T) {
	failure := errors.New("no right to list")
	if _, err := FromSlices(func(context.Context) ([]discoveryv1.EndpointSlice, error) { return nil, failure })(t.Context()); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func TestSlices(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := discoveryv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	ours, elsewhere, another := endpointSlice("istiod", nil), endpointSlice("istiod", nil), endpointSlice("kiali", nil)
	elsewhere.Namespace = "default"
	another.Labels["app"] = "kiali"
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(&ours, &elsewhere, &another).Build()
	items, err := Slices(reader, "istio-system")(t.Context())
	if err != nil || len(items) != 1 || items[0].Name != "istiod-x" || items[0].Namespace != "istio-system" {
		t.Errorf("got %+v, %v", items, err)
	}
}

func TestStatic(t *testing.T) {
	got, err := Static([]string{"a:15012", "b:15012"}, "istiod.istio-system.svc")(t.Context())
	want := []Istiod{
		{Name: "a:15012", Address: "a:15012", ServerName: "istiod.istio-system.svc"},
		{Name: "b:15012", Address: "b:15012", ServerName: "istiod.istio-system.svc"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, other istiods:\n%s", err, diff)
	}
}
