// SPDX-License-Identifier: Apache-2.0

package istiod

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/tunnel/tunneltest"
)

// apiServer lists Pods and forwards their ports.
type apiServer struct {
	*tunneltest.APIServer
	pods []corev1.Pod
	// forbidList refuses to list.
	forbidList bool
}

func newAPIServer(t *testing.T, pods ...corev1.Pod) *apiServer {
	t.Helper()
	istiod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "["+`"`+r.URL.String()+`"`+"]")
	}))
	t.Cleanup(istiod.Close)
	a := &apiServer{pods: pods}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/istio-system/pods", a.list)
	a.APIServer = tunneltest.New(t, mux, istiod.Listener.Addr().String())
	return a
}

func (a *apiServer) list(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.forbidList:
		tunneltest.Forbid(w, `pods is forbidden: User "night" cannot list resource "pods"`)
	case r.URL.Query().Get("labelSelector") != "app=istiod":
		http.Error(w, "another selector", http.StatusBadRequest)
	default:
		tunneltest.Answer(corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: a.pods})(w, r)
	}
}

func pod(name string, ready corev1.ConditionStatus, args ...string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: name, Labels: map[string]string{"app": "istiod", "istio.io/rev": "rev-" + name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "discovery", Args: args}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

func find(t *testing.T, a *apiServer) ([]Istiod, error) {
	t.Helper()
	options := Options{Namespace: "istio-system"}
	found, err := options.Find(t.Context(), &rest.Config{Host: a.URL})
	t.Cleanup(func() {
		for _, istiod := range found {
			_ = istiod.Close()
		}
	})
	return found, err
}

func TestAsksEveryReadyIstiodThroughItsPort(t *testing.T) {
	for _, overWebsocket := range []bool{false, true} {
		t.Run(fmt.Sprintf("over WebSocket %v", overWebsocket), func(t *testing.T) { asksEvery(t, overWebsocket) })
	}
}

func asksEvery(t *testing.T, overWebsocket bool) {
	t.Helper()
	a := newAPIServer(t, pod("istiod-1", corev1.ConditionTrue, "discovery", "--monitoringAddr=:15099"), pod("istiod-2", corev1.ConditionFalse),
		pod("istiod-0", corev1.ConditionTrue))
	a.WebSocket = overWebsocket
	found, err := find(t, a)
	if err != nil || len(found) != 2 || found[0].Name != "istiod-0" || found[1].Revision != "rev-istiod-1" {
		t.Fatalf("found %v, %v", found, err)
	}
	for _, istiod := range found {
		for range 3 {
			answer, err := istiod.Ask(t.Context(), "config_dump?proxyID=a.b-1")
			if err != nil || string(answer) != `["/debug/config_dump?proxyID=a.b-1"]` {
				t.Fatalf("answer %s, %v", answer, err)
			}
		}
	}
	if ports := strings.Join(a.Ports(), " "); !strings.Contains(ports, "15014") || !strings.Contains(ports, "15099") {
		t.Errorf("ports %s", ports)
	}
}

func TestAsksAgainAfterTheServerWentAway(t *testing.T) {
	a := newAPIServer(t, pod("istiod-0", corev1.ConditionTrue))
	found, err := find(t, a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := found[0].Ask(t.Context(), "syncz"); err != nil {
		t.Fatal(err)
	}
	a.Drop()
	// It may be that the first one meets the end of the old connection.
	var answer []byte
	for range 2 {
		if answer, err = found[0].Ask(t.Context(), "syncz"); err == nil {
			break
		}
	}
	if err != nil || string(answer) != `["/debug/syncz"]` {
		t.Errorf("answer %s, %v", answer, err)
	}
	a.Close()
	a.Drop()
	if _, err = found[0].Ask(t.Context(), "syncz"); err == nil {
		t.Error("answered without a server")
	}
}

func TestSaysWhyIstiodCannotBeAsked(t *testing.T) {
	tests := map[string]struct {
		change func(*apiServer)
		want   []string
	}{
		"no right to list":    {func(a *apiServer) { a.forbidList = true }, []string{"look for istiod: pods is forbidden", "pods/portforward in namespace istio-system", "--istiod-url"}},
		"no istiod":           {func(a *apiServer) { a.pods = nil }, []string{"there is no istiod", "namespace istio-system", "--istio-namespace"}},
		"none ready":          {func(a *apiServer) { a.pods = []corev1.Pod{pod("istiod-0", corev1.ConditionFalse)} }, []string{"no istiod in namespace istio-system is ready"}},
		"no right to forward": {func(a *apiServer) { a.ForbidForward = true }, []string{"istiod istiod-0: can't be reached through the API server", "is forbidden", "create pods/portforward in namespace istio-system"}},
		"nothing listens":     {func(a *apiServer) { a.Target = "127.0.0.1:1" }, []string{"istiod istiod-0: can't be reached through the API server", "forwarding 15014: connection refused"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPIServer(t, pod("istiod-0", corev1.ConditionTrue))
			test.change(a)
			found, err := find(t, a)
			if err == nil {
				_, err = found[0].Ask(t.Context(), "syncz")
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q doesn't say %q", err, want)
				}
			}
		})
	}
}

func TestHeedsTheEndOfItsTime(t *testing.T) {
	a := newAPIServer(t, pod("istiod-0", corev1.ConditionTrue))
	a.Mute = func() {}
	found, err := find(t, a)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := found[0].Ask(ctx, "syncz"); err == nil || !strings.Contains(err.Error(), "doesn't answer") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	// The dial goes on, and is not waited for.
	if err := found[0].Close(); err != nil {
		t.Error(err)
	}
}
