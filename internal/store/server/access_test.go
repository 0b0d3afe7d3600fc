// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// apiServer answers reviews as a cluster's does.
type apiServer struct {
	mutex    sync.Mutex
	users    map[string]string // token → user
	allowed  map[string][]Right
	aware    bool // of audiences
	down     bool
	requests int
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.requests++
	if a.down {
		http.Error(w, "etcdserver: no leader "+secret, http.StatusInternalServerError)
		return
	}
	switch request.URL.Path {
	case "/apis/authentication.k8s.io/v1/tokenreviews":
		var review authenticationv1.TokenReview
		if json.NewDecoder(request.Body).Decode(&review) != nil {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		user, known := a.users[review.Spec.Token]
		review.Status.Authenticated = known
		review.Status.User = authenticationv1.UserInfo{Username: user, Groups: []string{"system:authenticated"}, Extra: map[string]authenticationv1.ExtraValue{"pod": {"a"}}}
		if known && a.aware {
			review.Status.Audiences = review.Spec.Audiences
		}
		respond(w, http.StatusCreated, review)
	case "/apis/authorization.k8s.io/v1/subjectaccessreviews":
		var review authorizationv1.SubjectAccessReview
		if json.NewDecoder(request.Body).Decode(&review) != nil {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		of := review.Spec.ResourceAttributes
		review.Status.Allowed = of.Group == "wasm.solarmesh.io" && of.Resource == "modules" && slices.Equal(review.Spec.Extra["pod"], []string{"a"}) &&
			slices.Contains(a.allowed[review.Spec.User], Right{Verb: of.Verb, Namespace: of.Namespace, Name: of.Name})
		respond(w, http.StatusCreated, review)
	default:
		http.NotFound(w, request)
	}
}

func (a *apiServer) change(change func()) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	change()
}

func (a *apiServer) count() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.requests
}

// guarded is a store whose rights the API server knows.
func guarded(t *testing.T) (*apiServer, *replica) {
	t.Helper()
	api := &apiServer{
		aware: true,
		users: map[string]string{secret: "manager", "of-a-pod": "stranger", "of-a-tenant": "tenant"},
		allowed: map[string][]Right{
			"manager": {{Verb: "create"}, {Verb: "get"}, {Verb: "update"}},
			"tenant":  {{Verb: "push", Namespace: "shop", Name: "auth"}, {Verb: "get", Namespace: "shop", Name: "auth"}},
		},
	}
	listening := httptest.NewServer(api)
	t.Cleanup(listening.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: listening.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return api, start(t, func(o *Options) { o.Access, o.Durable = NewAccess(client), true })
}

// ask sends a request with a token.
func (r *replica) ask(t *testing.T, method, path, token string, body io.Reader) (status int, header http.Header, message string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, path, body)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	recorder := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r.Uploads().ServeHTTP(recorder, request)
	var problem store.Problem
	_ = json.Unmarshal(recorder.Body.Bytes(), &problem)
	return recorder.Code, recorder.Header(), problem.Message
}

func TestRights(t *testing.T) {
	_, r := guarded(t)
	content := plugin("a")
	module := "/modules/sha256/" + hexOf(digestOf(content))
	tag := "/namespaces/shop/modules/auth/tags/1"
	tests := map[string]struct {
		method, path, token string
		status              int
		says                string
	}{
		"no token":                  {http.MethodPut, module, "", 401, "audience wasm.solarmesh.io"},
		"an unknown token":          {http.MethodPut, module, "forged", 401, "is not accepted"},
		"a token beyond all":        {http.MethodPut, module, strings.Repeat("a", longestToken+1), 401, "audience"},
		"a stranger stores":         {http.MethodPut, module, "of-a-pod", 403, "create on modules.wasm.solarmesh.io in the whole cluster"},
		"a stranger reads":          {http.MethodGet, module, "of-a-pod", 403, "get on modules.wasm.solarmesh.io in the whole cluster"},
		"a stranger refers":         {http.MethodPut, "/references", "of-a-pod", 403, "update on modules.wasm.solarmesh.io"},
		"a stranger asks":           {http.MethodGet, "/references", "of-a-pod", 403, "get on modules.wasm.solarmesh.io"},
		"a tenant stores":           {http.MethodPut, module, "of-a-tenant", 403, "create on"},
		"a tenant's other name":     {http.MethodPut, "/namespaces/shop/modules/other/tags/1", "of-a-tenant", 403, `push on modules.wasm.solarmesh.io "other" in namespace "shop"`},
		"a tenant's other space":    {http.MethodPut, "/namespaces/bank/modules/auth/tags/1", "of-a-tenant", 403, `in namespace "bank"`},
		"a tenant deletes":          {http.MethodDelete, tag, "of-a-tenant", 403, "delete on"},
		"a tenant reads another's":  {http.MethodGet, "/namespaces/bank/modules/auth/sha256/" + hexOf(digestOf(content)), "of-a-tenant", 403, "get on"},
		"the manager stores":        {http.MethodPut, module, secret, 201, ""},
		"a tenant pushes":           {http.MethodPut, tag, "of-a-tenant", 201, ""},
		"what is no path":           {http.MethodGet, "/", secret, 404, ""},
		"a namespace that is none":  {http.MethodPut, "/namespaces/Shop/modules/auth/tags/1", "of-a-tenant", 400, "lower-case"},
		"a name with a slash in it": {http.MethodPut, "/namespaces/shop/modules/auth%2f..%2fother/tags/1", "of-a-tenant", 400, "lower-case"},
		"a tag that is none":        {http.MethodPut, "/namespaces/shop/modules/auth/tags/-1", "of-a-tenant", 400, "the tag"},
		"a digest that is none":     {http.MethodPut, "/modules/sha256/ABC", secret, 400, "64"},
		"a capability that is none": {http.MethodPut, module + "?capability=../x", secret, 400, "capability"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, header, message := r.ask(t, test.method, test.path, test.token, strings.NewReader(string(content)))
			if status != test.status || !strings.Contains(message, test.says) {
				t.Errorf("status %d, %q; want %d, %q", status, message, test.status, test.says)
			}
			if status == http.StatusUnauthorized && header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("no WWW-Authenticate")
			}
			if test.token != "" && strings.Contains(message, test.token) {
				t.Error("the answer repeats the token")
			}
		})
	}
}

func TestTokenOfAnotherAudience(t *testing.T) {
	api, r := guarded(t)
	api.change(func() { api.aware = false })
	if status, _, message := r.ask(t, http.MethodGet, "/references", secret, nil); status != http.StatusUnauthorized {
		t.Errorf("status %d, %q", status, message)
	}
}

func TestVerdictsAreKeptForAWhile(t *testing.T) {
	api, r := guarded(t)
	for range 10 {
		if status, _, _ := r.ask(t, http.MethodGet, "/references", secret, nil); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	if asked := api.count(); asked != 2 {
		t.Errorf("the API server was asked %d times, want 2", asked)
	}
	// One verdict says nothing of another verb.
	if status, _, _ := r.ask(t, http.MethodDelete, "/namespaces/shop/modules/auth/tags/1", secret, nil); status != http.StatusForbidden {
		t.Errorf("status %d", status)
	}
}

func TestWithoutAPIServer(t *testing.T) {
	api, r := guarded(t)
	api.change(func() { api.down = true })
	status, header, message := r.ask(t, http.MethodGet, "/references", secret, nil)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || strings.Contains(message, "etcd") {
		t.Errorf("status %d, %q", status, message)
	}
	if log := r.logs.String(); !strings.Contains(log, "tokenreviews") {
		t.Errorf("the log doesn't say why: %s", log)
	}
	api.change(func() { api.down = false })
	if status, _, message := r.ask(t, http.MethodGet, "/references", secret, nil); status != http.StatusOK {
		t.Errorf("afterwards: status %d, %q", status, message)
	}
}
