// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const storeToken = "a-token-of-the-store"

// uploads is a store's upload port, as docs/modules.md describes it, and an API server that gives tokens.
type uploads struct {
	tags map[string]string
	// audiences are those of the tokens that were asked for.
	audiences []string
}

func (u *uploads) store(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+storeToken {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	standing, found := u.tags[r.URL.Path]
	if r.Method == http.MethodGet {
		if !found {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(store.TaggedModule{Digest: standing})
		return
	}
	content, _ := io.ReadAll(r.Body)
	sum := sha256.Sum256(content)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	switch match := r.Header.Get("If-Match"); {
	case match != "" && match != strconv.Quote(standing):
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	case match == "" && found && standing != digest:
		w.WriteHeader(http.StatusConflict)
		return
	}
	u.tags[r.URL.Path] = digest
	_ = json.NewEncoder(w).Encode(store.TaggedModule{Digest: digest, Size: int64(len(content))})
}

func (u *uploads) cluster(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var request struct{ Spec struct{ Audiences []string } }
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path != "/api/v1/namespaces/shop/serviceaccounts/module-pusher/token":
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`)
	case json.Unmarshal(body, &request) == nil:
		u.audiences = append(u.audiences, request.Spec.Audiences...)
		_, _ = io.WriteString(w, `{"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "status": {"token": "`+storeToken+`"}}`)
	}
}

func TestPushStore(t *testing.T) {
	u := &uploads{tags: map[string]string{}}
	stored := serve(t, http.HandlerFunc(u.store))
	api := httptest.NewServer(http.HandlerFunc(u.cluster))
	defer api.Close()
	kubeconfig := writeFile(t, "config", fmt.Appendf(nil, "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: %q}}]\n"+
		"contexts: [{name: a, context: {cluster: a, user: a, namespace: shop}}]\nusers: [{name: a, user: {}}]\ncurrent-context: a\n", api.URL))
	ca := writeFile(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: stored.Certificate().Raw}))
	first, second := describedModule(t, described), describedModule(t, `{"name": "hello", "language": "go"}`)
	push := func(file string, more ...string) outcome {
		t.Helper()
		got := call(t, nil, append([]string{"push", "store://hello:1.4", file, "--kubeconfig", kubeconfig, "--store-upload-url", stored.URL, "--ca-file", ca}, more...)...)
		if strings.Contains(got.String(), storeToken) {
			t.Errorf("the token shows: %s", got)
		}
		return got
	}
	got := push(first)
	var plugin wasmv1alpha1.WasmPlugin
	if err := yaml.UnmarshalStrict([]byte(got.out), &plugin); err != nil || got.code != cli.ExitGood {
		t.Fatalf("%v: %s", err, got)
	}
	if plugin.Namespace != "shop" || plugin.Spec.URL != "store://hello:1.4" || "sha256:"+plugin.Spec.SHA256 != u.tags["/namespaces/shop/modules/hello/tags/1.4"] {
		t.Errorf("got %s, stored: %v", got, u.tags)
	}
	if strings.Join(u.audiences, " ") != "wasm.solarmesh.io" {
		t.Errorf("the token is for %v", u.audiences)
	}
	if got := push(first); got.code != cli.ExitGood {
		t.Errorf("the same again: %s", got)
	}
	if got := push(second); got.code != cli.ExitRefused || !strings.Contains(got.errOut, "--move moves the tag") {
		t.Errorf("another one: %s", got)
	}
	if got := push(second, "--move"); got.code != cli.ExitGood {
		t.Errorf("moved: %s", got)
	}
	if got := push(second, "--service-account", "nobody"); got.code != cli.ExitFailed || !strings.Contains(got.errOut, "ServiceAccount shop/nobody doesn't exist; create it") {
		t.Errorf("an account that isn't there: %s", got)
	}
	if got := push(second, "--store-token-file", writeFile(t, "token", []byte("another"))); got.code != cli.ExitFailed || !strings.Contains(got.errOut, "create rolebinding push-modules") {
		t.Errorf("a token without the right: %s", got)
	}
	if got := push(second, "--store-token-file", writeFile(t, "token", []byte(storeToken)), "--kubeconfig", writeFile(t, "none", nil), "-n", "shop"); got.code != cli.ExitGood {
		t.Errorf("without a cluster: %s", got)
	}
	if got := push(second, "--ca-file", ""); got.code != cli.ExitFailed || !strings.Contains(got.errOut, "not signed by the given authority") {
		t.Errorf("an authority that isn't known: %s", got)
	}
	if got := call(t, nil, "push", "store://hello:1.4", second, "--kubeconfig", kubeconfig); got.code != cli.ExitFailed || !strings.Contains(got.errOut, "there is no Service istio-system/wasmplugin-operator-store-upload") {
		t.Errorf("no store: %s", got)
	}
}
