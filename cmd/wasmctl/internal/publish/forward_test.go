// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/tunnel/tunneltest"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const token = "a-token-of-the-store"

// cluster has a store in a Pod, and an API server that leads there.
type cluster struct {
	*tunneltest.APIServer
	service corev1.Service
	pods    []corev1.Pod
	secret  corev1.Secret
	// took are the modules that the store has.
	took []string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{}
	stored := httptest.NewUnstartedServer(http.HandlerFunc(c.store))
	stored.Config.ErrorLog = log.New(io.Discard, "", 0)
	authority := certify(t, stored, "store-upload.example.svc")
	t.Cleanup(stored.Close)
	c.service = corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Namespace: "example", Name: "store-upload"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "store"}, Ports: []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromString("upload")}}},
	}
	c.pods = []corev1.Pod{storePod("store-0", corev1.ConditionFalse), storePod("store-1", corev1.ConditionTrue)}
	c.secret = corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, Data: map[string][]byte{authorityKey: authority}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/example/services/store-upload", func(w http.ResponseWriter, r *http.Request) { tunneltest.Answer(c.service)(w, r) })
	mux.HandleFunc("GET /api/v1/namespaces/example/secrets/store-tls", func(w http.ResponseWriter, r *http.Request) { tunneltest.Answer(c.secret)(w, r) })
	mux.HandleFunc("GET /api/v1/namespaces/example/pods", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("labelSelector") != "app=store" {
			http.Error(w, "another selector", http.StatusBadRequest)
			return
		}
		tunneltest.Answer(corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: c.pods})(w, r)
	})
	mux.HandleFunc("POST /api/v1/namespaces/shop/serviceaccounts/module-pusher/token", tunneltest.Answer(authenticationv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"}, Status: authenticationv1.TokenRequestStatus{Token: token},
	}))
	c.APIServer = tunneltest.New(t, mux, stored.Listener.Addr().String())
	return c
}

// certify starts a server with a certificate for a name, and returns that.
func certify(t *testing.T, server *httptest.Server, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{made}, PrivateKey: key}}}
	server.StartTLS()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made})
}

func storePod(name string, ready corev1.ConditionStatus) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "example", Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "store", Ports: []corev1.ContainerPort{
			{Name: "fetch", ContainerPort: 8080}, {Name: "upload", ContainerPort: 8443},
		}}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

// store takes a module.
func (c *cluster) store(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Authorization") != "Bearer "+token || r.URL.Path != "/namespaces/shop/modules/hello/tags/1.4" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	sum := sha256.Sum256(content)
	c.took = append(c.took, hex.EncodeToString(sum[:]))
	_ = json.NewEncoder(w).Encode(store.TaggedModule{Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(content))})
}

// push pushes 3 MB.
func (c *cluster) push(ctx context.Context, t *testing.T, flags ...string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":%q}}],
"contexts":[{"name":"c","context":{"cluster":"c","namespace":"shop"}}]}`, c.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	// What the store's authority is kept in must not stay behind.
	kept := t.TempDir()
	t.Setenv("TMPDIR", kept)
	o, set := &storeOptions{}, pflag.NewFlagSet("push", pflag.ContinueOnError)
	o.add(set)
	if err := set.Parse(append([]string{"--kubeconfig", path, "--operator-namespace", "example", "--store-service", "store-upload"}, flags...)); err != nil {
		t.Fatal(err)
	}
	var notes bytes.Buffer
	_, err := o.push(ctx, storeTarget{"shop", "hello", "1.4"}, &plugin{content: bytes.Repeat([]byte("wasm"), 750_000)}, "", time.Minute, &notes)
	if left, _ := filepath.Glob(kept + "/*"); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	if strings.Contains(notes.String()+fmt.Sprint(err), token) {
		t.Errorf("the token shows: %s %v", &notes, err)
	}
	return notes.String(), err
}

func TestReachesTheStoreThroughTheAPIServer(t *testing.T) {
	for _, overWebSocket := range []bool{false, true} {
		t.Run(fmt.Sprintf("over WebSocket %v", overWebSocket), func(t *testing.T) {
			c := newCluster(t)
			c.WebSocket = overWebSocket
			for range 2 {
				notes, err := c.push(t.Context(), t)
				if err != nil || !strings.Contains(notes, "example/store-1: Its port 8443 is reached through the API server.") {
					t.Fatalf("notes %s, %v", notes, err)
				}
			}
			want := fmt.Sprintf("%x", sha256.Sum256(bytes.Repeat([]byte("wasm"), 750_000)))
			if !slices.Equal(c.took, []string{want, want}) || !slices.Equal(c.Ports(), []string{"8443", "8443"}) {
				t.Errorf("took %v through ports %v", c.took, c.Ports())
			}
		})
	}
}

func TestSaysWhyTheStoreCannotBeReached(t *testing.T) {
	tests := map[string]struct {
		change func(*cluster)
		want   string
	}{
		"no right to forward": {func(c *cluster) { c.ForbidForward = true }, "store://hello:1.4: the store's pod can't be reached through the API server: "},
		"the right's name": {
			func(c *cluster) { c.ForbidForward = true },
			"it takes the right to create pods/portforward in namespace example, or give the URL of its upload port with --store-upload-url",
		},
		"nothing listens":      {func(c *cluster) { c.Target = "127.0.0.1:1" }, "can't be reached through the API server: an error occurred forwarding 8443: connection refused"},
		"none ready":           {func(c *cluster) { c.pods = c.pods[:1] }, "no pod of the store is ready in example; look at them with kubectl -n example get pods"},
		"no such port":         {func(c *cluster) { c.pods[1].Spec.Containers[0].Ports = nil }, `pod example/store-1 has no port "upload"`},
		"a Service of no port": {func(c *cluster) { c.service.Spec.Ports = nil }, "the Service example/store-upload has no port"},
		"no authority":         {func(c *cluster) { c.secret.Data = nil }, "ask for that certificate, and give it with --ca-file"},
		"another's authority": {
			func(c *cluster) {
				c.secret.Data[authorityKey] = certify(t, httptest.NewUnstartedServer(nil), "store-upload.example.svc")
			},
			"the store's certificate is not signed by the given authority",
		},
		"one that goes": {func(c *cluster) { c.pods[1].DeletionTimestamp = &metav1.Time{Time: time.Now()} }, "no pod of the store is ready"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			test.change(c)
			if notes, err := c.push(t.Context(), t); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("notes %s, error %v; it lacks %q", notes, err, test.want)
			}
			if len(c.took) > 0 {
				t.Error("the store took it")
			}
		})
	}
}

func TestStopsWhereTheAPIServerIsMute(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.Mute = cancel
	if _, err := c.push(ctx, t); err == nil || !strings.Contains(err.Error(), "the request to the store was stopped") {
		t.Errorf("error %v", err)
	}
}
