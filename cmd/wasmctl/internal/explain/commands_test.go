// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/explain"
)

const pluginJSON = `{"apiVersion":"wasm.solarmesh.io/v1alpha1","kind":"WasmPlugin","metadata":{"name":"bad","namespace":"shop","generation":1},
"spec":{"url":"oci://registry.example.com/plugins/bad:1","selector":{"matchLabels":{"istio":"bad-gateway"}}},
"status":{"observedGeneration":1,"conditions":[{"type":"Ready","status":"False","reason":"Rejected","message":"bad-gw.shop refuses it.","lastTransitionTime":"2026-11-28T00:00:00Z"}]}}`

// kubeconfig leads to an address.
func kubeconfig(t *testing.T, server string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	content := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":%q}}],
"contexts":[{"name":"c","context":{"cluster":"c","namespace":"shop"}}]}`, server)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// cluster is an API server with one WasmPlugin.
func cluster(t *testing.T) string {
	t.Helper()
	answer := func(value any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(value)
		}
	}
	mux := http.NewServeMux()
	version := metav1.GroupVersionForDiscovery{GroupVersion: "wasm.solarmesh.io/v1alpha1", Version: "v1alpha1"}
	group := metav1.APIGroup{Name: "wasm.solarmesh.io", Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version}
	mux.HandleFunc("GET /apis", answer(metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{group}}))
	mux.HandleFunc("GET /apis/wasm.solarmesh.io", answer(group))
	mux.HandleFunc("GET /apis/wasm.solarmesh.io/v1alpha1", answer(metav1.APIResourceList{
		TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: version.GroupVersion,
		APIResources: []metav1.APIResource{{Name: "wasmplugins", Kind: "WasmPlugin", Namespaced: true}},
	}))
	mux.HandleFunc("GET /apis/wasm.solarmesh.io/v1alpha1/namespaces/shop/wasmplugins/bad", answer(json.RawMessage(pluginJSON)))
	mux.HandleFunc("GET /apis/wasm.solarmesh.io/v1alpha1/namespaces/{namespace}/wasmplugins/{name}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return kubeconfig(t, server.URL)
}

// fakeIstiod says what a real one said, of internal/explain's tests. noECDS answers as it does where it can't print extensions.
func fakeIstiod(t *testing.T, change func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	file := func(w http.ResponseWriter, name string) {
		content, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "internal", "explain", "testdata", "istiod", name+".json"))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write(content)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if change != nil && change(w, r) {
			return
		}
		switch name := strings.TrimPrefix(r.URL.Path, "/debug/"); name {
		case "mesh":
			_, _ = io.WriteString(w, `{"rootNamespace":"mesh-root"}`)
		case "config_dump":
			id := r.URL.Query().Get("proxyID")
			file(w, id[:strings.LastIndex(id, "-")])
		default:
			file(w, name)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func run(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	cmd := newExplain()
	var buffer bytes.Buffer
	cmd.SetOut(&buffer)
	cmd.SetErr(io.Discard)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return buffer.String(), err
}

func TestExplains(t *testing.T) {
	config, istiod := cluster(t), fakeIstiod(t, nil)
	text, err := run(t, "bad", "--kubeconfig", config, "--istiod-url", istiod)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"shop/bad  READY False  Rejected  generation 1\n  bad-gw.shop refuses it.", "1 of 10 match", "extensions REFUSED", "→  2  wasm.solarmesh.io/shop.bad  (base)", "WARNINGS"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, form := range []string{"json", "yaml"} {
		out, err := run(t, "bad", "--kubeconfig", config, "--istiod-url", istiod, "-o", form)
		if err != nil || !strings.Contains(out, "wasm.solarmesh.io/shop.bad") {
			t.Errorf("%s: %v\n%s", form, err, out)
		}
		var report explain.Report
		if form == "json" && (json.Unmarshal([]byte(out), &report) != nil || len(report.Views) != 1 || report.Views[0].Delivered[0].URL == "") {
			t.Errorf("report %s", out)
		}
	}
}

func TestGoesOnWithoutWhatIstiodCannotTell(t *testing.T) {
	config := cluster(t)
	noECDS := fakeIstiod(t, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.RawQuery, "ecds") {
			http.Error(w, "proto: not found", http.StatusInternalServerError)
			return true
		}
		return false
	})
	text, err := run(t, "bad", "--kubeconfig", config, "--istiod-url", noECDS)
	if err != nil || !strings.Contains(text, "→  2  wasm.solarmesh.io/shop.bad") || !strings.Contains(text, "proto: not found when it is asked for them") {
		t.Errorf("%v:\n%s", err, text)
	}
	gone := fakeIstiod(t, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "config_dump") {
			http.Error(w, "Proxy not connected to this Pilot instance.", http.StatusNotFound)
			return true
		}
		return false
	})
	text, err = run(t, "bad", "--kubeconfig", config, "--istiod-url", gone)
	if err != nil || !strings.Contains(text, "1 matched proxies were not asked about") {
		t.Errorf("%v:\n%s", err, text)
	}
	text, err = run(t, "bad", "--kubeconfig", config, "--istiod-url", "http://127.0.0.1:1", "--istiod-url", noECDS)
	if err != nil || !strings.Contains(text, "istiod http://127.0.0.1:1 can't be reached") {
		t.Errorf("%v:\n%s", err, text)
	}
}

func TestFailsInOneSentence(t *testing.T) {
	config, istiod := cluster(t), fakeIstiod(t, nil)
	garbage := fakeIstiod(t, func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, "<html>"); return true })
	mute, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	tests := map[string]struct {
		args []string
		want string
	}{
		"no name":             {nil, "name a WasmPlugin"},
		"two names":           {[]string{"a", "b"}, `it takes one WasmPlugin, and "b" is one more`},
		"another form":        {[]string{"a", "-o", "xml"}, `--output "xml"`},
		"a URL elsewhere":     {[]string{"a", "--istiod-url", "http://example.com"}, "isn't on this machine"},
		"no proxies":          {[]string{"a", "--max-proxies", "0"}, "--max-proxies"},
		"no kubeconfig":       {[]string{"bad", "--kubeconfig", filepath.Join(t.TempDir(), "none")}, "none"},
		"nothing there":       {[]string{"bad", "--kubeconfig", kubeconfig(t, "http://127.0.0.1:1")}, "connection refused"},
		"nobody answers":      {[]string{"bad", "--kubeconfig", kubeconfig(t, "http://"+mute.Addr().String()), "--request-timeout", "200ms"}, mute.Addr().String() + " doesn't answer in time"},
		"no such plugin":      {[]string{"absent", "--kubeconfig", config, "--istiod-url", istiod}, "there is no WasmPlugin absent in namespace shop"},
		"another namespace":   {[]string{"bad", "-n", "other", "--kubeconfig", config, "--istiod-url", istiod}, "in namespace other"},
		"no istiod":           {[]string{"bad", "--kubeconfig", config, "--istiod-url", "http://127.0.0.1:1"}, "istiod http://127.0.0.1:1: can't be reached"},
		"something else":      {[]string{"bad", "--kubeconfig", config, "--istiod-url", garbage}, "can't be read"},
		"no right to look":    {[]string{"bad", "--kubeconfig", config}, "look for istiod"},
		"an empty namespace":  {[]string{"bad", "--istio-namespace", ""}, "--istio-namespace is empty"},
		"a flag that isn't":   {[]string{"bad", "--istiod", "x"}, "unknown flag"},
		"a plugin's bad name": {[]string{"../x", "--kubeconfig", config}, "../x"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			out, err := run(t, test.args...)
			if err == nil || out != "" || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, output %q", err, out)
			}
			if took := time.Since(begun); took > 9*time.Second {
				t.Errorf("took %s", took)
			}
			var said bytes.Buffer
			if code := cli.Report(t.Context(), &said, "wasmctl", err); code != cli.ExitFailed || strings.Count(said.String(), "\n") != 1 {
				t.Errorf("code %d, %q", code, said.String())
			}
		})
	}
}
