// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// apiServer answers as one does that knows the groups, and has these objects by the path of their list. A list of two
// comes on two pages.
func apiServer(t *testing.T, resources map[string][]string, lists map[string][]string) (kubeconfig string) {
	t.Helper()
	answer := func(w http.ResponseWriter, value any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(value); err != nil {
			t.Error(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		version := strings.TrimPrefix(r.URL.Path, "/apis/")
		items, isList := lists[r.URL.Path]
		switch kinds, known := resources[version]; {
		case known:
			var all []any
			for _, kind := range kinds {
				all = append(all, map[string]any{"name": strings.ToLower(kind) + "s", "kind": kind, "namespaced": true, "verbs": []string{"list"}})
			}
			answer(w, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": all})
		case isList:
			next := ""
			if len(items) > 1 {
				if r.URL.Query().Get("continue") == "" {
					items, next = items[:1], "more"
				} else {
					items = items[1:]
				}
			}
			_, path, _ := strings.Cut(r.URL.Path, "/apis/")
			version := path[:strings.LastIndexByte(path, '/')]
			kind := strings.Split(items[0], "\"")[3] + "List"
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"kind": %q, "apiVersion": %q, "metadata": {"continue": %q}, "items": [%s]}`, kind, version, next, strings.Join(items, ","))
		case r.URL.Path == "/apis":
			var groups []any
			for version := range resources {
				group, release, _ := strings.Cut(version, "/")
				entry := map[string]any{"groupVersion": version, "version": release}
				groups = append(groups, map[string]any{"name": group, "versions": []any{entry}, "preferredVersion": entry})
			}
			answer(w, map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
		default:
			w.WriteHeader(http.StatusNotFound)
			answer(w, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not here"})
		}
	}))
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	content := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: %q}}]\nusers: [{name: u}]\n", server.URL)
	if err := os.WriteFile(kubeconfig, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

const (
	ourPlugin   = `{"kind": "WasmPlugin", "apiVersion": "wasm.solarmesh.io/v1alpha1", "metadata": {"name": "auth", "namespace": "shop"}, "spec": {"url": "oci://registry.example.com/auth:1", "selector": {"matchLabels": {"istio": "ingressgateway"}}}}`
	theirPlugin = `{"kind": "WasmPlugin", "apiVersion": "extensions.istio.io/v1alpha1", "metadata": {"name": "%s", "namespace": "shop"}, "spec": {"url": "%s", "selector": {"matchLabels": {"istio": "ingressgateway"}}}}`
	pairOfOurs  = `{"kind": "EnvoyFilter", "apiVersion": "networking.istio.io/v1alpha3", "metadata": {"name": "auth-config", "namespace": "shop", "labels": {"wasm.solarmesh.io/plugin": "auth"}}, "spec": {"configPatches": []}}`
)

func TestCheck(t *testing.T) {
	ours := map[string][]string{"wasm.solarmesh.io/v1alpha1": {"WasmPlugin"}}
	all := map[string][]string{"wasm.solarmesh.io/v1alpha1": {"WasmPlugin"}, "networking.istio.io/v1alpha3": {"EnvoyFilter"}, "extensions.istio.io/v1alpha1": {"WasmPlugin", "TrafficExtension"}}
	lists := func(theirs ...string) map[string][]string {
		return map[string][]string{
			"/apis/wasm.solarmesh.io/v1alpha1/wasmplugins":         {ourPlugin},
			"/apis/networking.istio.io/v1alpha3/envoyfilters":      {pairOfOurs},
			"/apis/extensions.istio.io/v1alpha1/wasmplugins":       theirs,
			"/apis/extensions.istio.io/v1alpha1/trafficextensions": {`{"kind": "TrafficExtension", "metadata": {"name": "lua", "namespace": "shop"}, "spec": {"lua": {}}}`},
		}
	}
	for name, test := range map[string]struct {
		resources, lists map[string][]string
		args             []string
		code             int
		out, errOut      string
	}{
		"one on the second page": {
			all, lists(fmt.Sprintf(theirPlugin, "other", "oci://registry.example.com/other:1"), fmt.Sprintf(theirPlugin, "same", "registry.example.com/auth:1")), nil, cli.ExitRefused,
			"WasmPlugin shop/auth runs twice: WasmPlugin shop/same (cluster) has the same url, in proxies that are the same\n", "1 run twice",
		},
		"as JSON": {
			all, lists(fmt.Sprintf(theirPlugin, "same", "registry.example.com/auth:2")),
			[]string{"-o", "json"},
			cli.ExitRefused,
			`"same": [
        "url, of another version"
      ]`, "1 run twice",
		},
		"none":             {all, lists(fmt.Sprintf(theirPlugin, "other", "oci://registry.example.com/other:1")), nil, cli.ExitGood, "", ""},
		"without Istio":    {ours, lists(), nil, cli.ExitGood, "", "EnvoyFilter of networking.istio.io: is a kind that the cluster doesn't know"},
		"without operator": {map[string][]string{"networking.istio.io/v1alpha3": {"EnvoyFilter"}}, lists(), nil, cli.ExitFailed, "", "the cluster has no WasmPlugin of wasm.solarmesh.io"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, newImport(), "", append([]string{"--check", "--kubeconfig", apiServer(t, test.resources, test.lists)}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.out, test.out) || (test.out == "" && got.out != "") || !strings.Contains(got.errOut, test.errOut) {
				t.Errorf("exit %d\n%s\n%s", got.code, got.out, got.errOut)
			}
		})
	}
}

// TestCheckOfNobody names what to do where no server answers.
func TestCheckOfNobody(t *testing.T) {
	kubeconfig := apiServer(t, nil, nil)
	content, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	gone := strings.Replace(string(content), "http://127.0.0.1:", "http://127.0.0.1:1", 1)
	if err := os.WriteFile(kubeconfig, []byte(gone), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, newImport(), "", "--check", "--kubeconfig", kubeconfig); got.code != cli.ExitFailed || !strings.Contains(got.errOut, "list the WasmPlugins") {
		t.Errorf("exit %d: %s", got.code, got.errOut)
	}
}

// TestCheckOfTheMute names the API server that takes connections and never answers.
func TestCheckOfTheMute(t *testing.T) {
	mute, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	server := "http://" + mute.Addr().String()
	got := run(t, newImport(), "", "--check", "--server", server, "--request-timeout", "200ms")
	if got.code != cli.ExitFailed || !strings.Contains(got.errOut, "the API server "+server+" doesn't answer in time") {
		t.Errorf("exit %d: %s", got.code, got.errOut)
	}
}
