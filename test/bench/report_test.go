// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

func TestTraffic(t *testing.T) {
	const (
		plugins  = "/apis/wasm.solarmesh.io/v1alpha1"
		filters  = "/apis/networking.istio.io/v1alpha3"
		metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	)
	got := trafficOf([]chain.Request{
		{Method: "GET", Path: "/api"},
		{Method: "GET", Path: "/apis/wasm.solarmesh.io/v1alpha1"},
		{Method: "GET", Path: "/api/v1/namespaces/istio-system/configmaps/istio"},
		{Method: "GET", Path: plugins + "/wasmplugins", Query: "limit=500", Accept: metadata},
		{Method: "GET", Path: plugins + "/wasmplugins", Query: "allowWatchBookmarks=true&watch=true", Accept: metadata},
		{Method: "GET", Path: plugins + "/namespaces/bench/wasmplugins/a"},
		{Method: "GET", Path: filters + "/envoyfilters"},
		{Method: "PATCH", Path: filters + "/namespaces/bench/envoyfilters/a-config"},
		{Method: "DELETE", Path: filters + "/namespaces/bench/envoyfilters/a-config"},
		{Method: "PATCH", Path: plugins + "/namespaces/bench/wasmplugins/a/status"},
		{Method: "PUT", Path: "/apis/coordination.k8s.io/v1/namespaces/x/leases/y"},
		{Method: "POST", Path: "/apis/events.k8s.io/v1/namespaces/bench/events"},
	}, 3, 4)
	want := traffic{
		Requests: map[string]int{
			"GET discovery": 2, "GET configmaps": 1, "LIST wasmplugins": 1, "WATCH wasmplugins": 1, "GET wasmplugins": 1,
			"LIST envoyfilters": 1, "PATCH envoyfilters": 1, "DELETE envoyfilters": 1, "PATCH wasmplugins/status": 1,
			"PUT leases": 1, "POST events": 1,
		},
		Total: 12, Writes: 3, SpecReads: 2, Sent: 3, Received: 4,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPercentile(t *testing.T) {
	var times []time.Duration
	for i := range 200 {
		times = append(times, time.Duration(200-i)*time.Millisecond)
	}
	for percent, want := range map[int]float64{50: 100, 99: 198, 100: 200} {
		if got := percentile(times, percent); got < want || got > want {
			t.Errorf("p%d: %g, want %g", percent, got, want)
		}
	}
	if got := percentile(nil, 50); got > 0 {
		t.Errorf("of nothing: %g", got)
	}
}

func TestMedian(t *testing.T) {
	rounds := []cost{{Seconds: 9}, {Seconds: 1}, {Seconds: 4}}
	if got := median(rounds, seconds); got < 4 || got > 4 {
		t.Errorf("of three: %g", got)
	}
	if got := median(rounds[1:], seconds); got < 2.5 || got > 2.5 {
		t.Errorf("of two: %g", got)
	}
}

func TestVerdicts(t *testing.T) {
	for name, test := range map[string]struct {
		row  row
		want string
	}{
		"a figure at its limit":  {bounded("x", 10, 10, "%.0f"), "met"},
		"a figure beyond it":     {bounded("x", 15, 10, "%.0f"), "missed: 1.5 times"},
		"a count":                {exactly("x", 3, 3), "met"},
		"a count that is off":    {exactly("x", 3.001, 3), "missed"},
		"a figure without a one": {told("x", "7"), ""},
	} {
		if test.row.verdict != test.want {
			t.Errorf("%s: %q, want %q", name, test.row.verdict, test.want)
		}
	}
}

func TestInsert(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	page := "# A\n<!-- bench 10 -->\nold\n<!-- end -->\nb\n<!-- bench 1000 -->\n<!-- end -->\nc\n"
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := insert(path, "<!-- bench 1000 -->", "new"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(page, "<!-- bench 1000 -->\n", "<!-- bench 1000 -->\nnew\n", 1)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if err := insert(path, "<!-- bench 7 -->", "new"); err == nil {
		t.Error("a page without a place for the table is changed")
	}
}
