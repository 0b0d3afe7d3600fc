// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestParseFlags(t *testing.T) {
	options, err := parseFlags("op", []string{
		"--istio-version", "1.31", "--secret-refresh-interval", "90s",
		"--watch-namespaces", "a, b,", "--mesh-config", "mesh/istio-canary", "--leader-elect", "--metrics-bind-address", ":8443",
		"--pprof-bind-address", "127.0.0.1:6060",
	}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	manager := options.manager()
	if len(manager.Cache.DefaultNamespaces) != 2 || !manager.LeaderElection || manager.LeaderElectionID != leaderElectionID {
		t.Errorf("%+v", manager)
	}
	if !manager.Metrics.SecureServing || manager.Metrics.FilterProvider == nil {
		t.Error("metrics are served to anybody")
	}
	if manager.PprofBindAddress != "127.0.0.1:6060" {
		t.Errorf("pprof on %q", manager.PprofBindAddress)
	}
	if options.istioVersion != "1.31" || options.secretRefresh != 90*time.Second {
		t.Errorf("Istio %s, Secrets every %s", options.istioVersion, options.secretRefresh)
	}
	if want := (types.NamespacedName{Namespace: "mesh", Name: "istio-canary"}); options.meshConfig != want {
		t.Errorf("mesh config %s", options.meshConfig)
	}
}

func TestParseFlagsDefaults(t *testing.T) {
	options, err := parseFlags("op", nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	manager := options.manager()
	if options.istioVersion != "1.30" || options.secretRefresh != 5*time.Minute {
		t.Errorf("Istio %s, Secrets every %s", options.istioVersion, options.secretRefresh)
	}
	if manager.Cache.DefaultNamespaces != nil || manager.LeaderElection || manager.Metrics.BindAddress != "0" || manager.PprofBindAddress != "0" {
		t.Errorf("%+v", manager)
	}
}

func TestParseFlagsRefuses(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"mesh config without a name": {[]string{"--mesh-config", "istio-system"}, "write namespace/name"},
		"no worker":                  {[]string{"--max-concurrent-reconciles", "0"}, "1 or more"},
		"a short interval":           {[]string{"--secret-refresh-interval", "9s"}, "10s or more"},
		"an interval without a unit": {[]string{"--secret-refresh-interval", "300"}, `invalid value "300"`},
		"a patch release of Istio":   {[]string{"--istio-version", "1.30.2"}, "--istio-version"},
		"no release of Istio":        {[]string{"--istio-version", "latest"}, "1.30"},
		"looks too often":            {[]string{"--module-resolve-interval", "9s"}, "10s or more"},
		"a store without its port":   {[]string{"--store-url", "http://store", "--store-token-file", "t"}, "--store-upload-url"},
		"a store without a token":    {[]string{"--store-url", "http://store", "--store-upload-url", "https://store"}, "--store-token-file"},
		"a store without a scheme":   {[]string{"--store-url", "store:8082"}, "http:// or https://"},
		"a store without a host":     {[]string{"--store-url", "http://"}, "a host that proxies reach"},
		"a store with a query":       {[]string{"--store-url", "http://store?a=b"}, "without a query"},
		"a store, but no modules":    {[]string{"--resolve-modules=false", "--store-url", "http://store"}, "need --resolve-modules"},
		"digests, but no modules":    {[]string{"--resolve-modules=false", "--require-digest"}, "need --resolve-modules"},
		"signatures, but no modules": {[]string{"--resolve-modules=false", "--require-signature"}, "need --resolve-modules"},
		"an argument":                {[]string{"start"}, "takes flags only"},
		"an unknown flag":            {[]string{"--colour"}, "not defined"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			output := &bytes.Buffer{}
			if _, err := parseFlags("op", test.args, output); err == nil || !strings.Contains(output.String(), test.want) {
				t.Errorf("returns %v and says %q", err, output)
			}
		})
	}
	if _, err := parseFlags("op", []string{"--help"}, &bytes.Buffer{}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help returns %v", err)
	}
}

func TestReadRootNamespace(t *testing.T) {
	key := types.NamespacedName{Namespace: "istio-system", Name: "istio"}
	tests := map[string]struct {
		mesh    *string
		want    string
		wantErr string
	}{
		"no mesh config":    {nil, "istio-system", ""},
		"no root namespace": {new("accessLogFile: /dev/stdout"), "istio-system", ""},
		"another":           {new(`{"rootNamespace": "mesh-root"}`), "mesh-root", ""},
		"not YAML":          {new("a: b: c"), "", "isn't YAML"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			builder := fake.NewClientBuilder()
			if test.mesh != nil {
				builder.WithObjects(&corev1.ConfigMap{
					ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}, Data: map[string]string{"mesh": *test.mesh},
				})
			}
			got, err := readRootNamespace(t.Context(), builder.Build(), key)
			if test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
				t.Errorf("error %v", err)
			}
			if got != test.want || (err != nil) != (test.wantErr != "") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	var logged []string
	log := funcr.New(func(_, args string) { logged = append(logged, args) }, funcr.Options{})
	ctx := ctrl.LoggerInto(t.Context(), log)
	warnings{}.HandleWarningHeaderWithContext(ctx, 299, "", "EnvoyFilter exposes internal implementation details that may change at any time.")
	warnings{}.HandleWarningHeaderWithContext(ctx, 299, "", "unknown field")
	warnings{}.HandleWarningHeaderWithContext(ctx, 299, "", "")
	if len(logged) != 1 || !strings.Contains(logged[0], "unknown field") {
		t.Errorf("logged %v", logged)
	}
}
