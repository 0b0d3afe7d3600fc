// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

const pushers = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ci, namespace: wasmplugin-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ci, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: wasmplugin-operator-module-pusher}
subjects: [{kind: ServiceAccount, name: ci, namespace: wasmplugin-system}]
`

// TestStoreUnderTheChartsRights runs the store with the arguments, the certificate and the rights of the installed
// Deployment, and asks it as each of those who may ask.
func TestStoreUnderTheChartsRights(t *testing.T) {
	binary := buildOperator(t)
	c := startCluster(t)
	c.install("--set", "store.durable=true,store.persistence.enabled=true")
	c.apply(stranger)
	c.apply(pushers)
	s := c.startStore(binary)
	module := plugin()
	digest := digestOf(module)
	ctx := t.Context()

	operator := s.client(release, store.Audience)
	c.must(operator.Put(ctx, digest, "", module))
	missing, err := operator.References(ctx, []store.Reference{{Digest: digest}})
	c.must(err)
	if len(missing) > 0 {
		t.Errorf("the store lacks %v", missing)
	}
	_, err = s.client("ci", store.Audience).Push(ctx, "shop", "hello", "1.0", bytes.NewReader(module), "")
	c.must(err)
	tagged, _, err := operator.Tag(ctx, "shop", "hello", "1.0")
	c.must(err)
	if tagged != digest {
		t.Errorf("store://hello:1.0 is %s, want %s", tagged, digest)
	}
	if content, err := s.fetch(store.Path(digest, "")); err != nil || !bytes.Equal(content, module) {
		t.Errorf("a proxy gets %d bytes and %v, want the module", len(content), err)
	}

	put := func(as *store.Client) error { return as.Put(ctx, digest, "", module) }
	collect := func(as *store.Client) error { _, err := as.References(ctx, nil); return err }
	pushTo := func(namespace string) func(*store.Client) error {
		return func(as *store.Client) error {
			_, err := as.Push(ctx, namespace, "hello", "1.1", bytes.NewReader(module), "")
			return err
		}
	}
	for who, try := range map[string]func() error{
		"a stranger stores a module":                func() error { return put(s.client("stranger", store.Audience)) },
		"a stranger says what is in use":            func() error { return collect(s.client("stranger", store.Audience)) },
		"a stranger pushes":                         func() error { return pushTo("shop")(s.client("stranger", store.Audience)) },
		"a pusher stores a module":                  func() error { return put(s.client("ci", store.Audience)) },
		"a pusher pushes into another namespace":    func() error { return pushTo("default")(s.client("ci", store.Audience)) },
		"the operator pushes":                       func() error { return pushTo("shop")(operator) },
		"the operator with a token for the cluster": func() error { return put(s.client(release)) },
		"the store's own account stores a module":   func() error { return put(s.client(storeAccount, store.Audience)) },
	} {
		if err := try(); store.KindOf(err) != store.Denied {
			t.Errorf("%s: %v, want Denied", who, err)
		}
	}
	for line := range strings.Lines(s.process.Log()) {
		if strings.Contains(strings.ToLower(line), "forbidden") {
			t.Errorf("the API server refused the store something: %s", line)
		}
	}
}

// runningStore is a store and where it listens.
type runningStore struct {
	cluster
	process         *chain.Process
	modules, upload string
	authority       string
}

// startStore starts what the installed Deployment would start, on free ports and in folders of its own.
func (c cluster) startStore(binary string) runningStore {
	c.Helper()
	object, err := c.client.Resource(deployments).Namespace(namespace).Get(c.Context(), storeAccount, metav1.GetOptions{})
	c.must(err)
	pod := typed[appsv1.Deployment](c.T, object).Spec.Template.Spec
	ports, err := chain.FreePorts(3)
	c.must(err)
	certificate := c.TempDir()
	for name, content := range c.certificate() {
		c.must(os.WriteFile(filepath.Join(certificate, name), content, 0o600))
	}
	s := runningStore{
		cluster: c,
		modules: fmt.Sprintf("127.0.0.1:%d", ports[0]), upload: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		authority: filepath.Join(certificate, "ca.crt"),
	}
	local := strings.NewReplacer(
		"=:8082", "="+s.modules, "=:8443", "="+s.upload, "=:8444", fmt.Sprintf("=127.0.0.1:%d", ports[2]),
		"/var/lib/wasmplugin-store", c.TempDir(), "/etc/wasmplugin-operator/tls", certificate)
	var args []string
	for _, arg := range pod.Containers[0].Args {
		args = append(args, local.Replace(arg))
	}
	s.process, err = chain.Start(c.Context(), chain.Command{
		Name:    "store",
		Path:    binary,
		Args:    slices.Concat(args, []string{"--kubeconfig", c.kubeconfigOf(pod.ServiceAccountName)}),
		LogFile: filepath.Join(c.TempDir(), "store.log"),
		Ready: func(ctx context.Context) error {
			answer, err := chain.Probe{URL: "http://" + s.modules + "/readyz"}.Do(ctx)
			if err != nil {
				return err
			}
			return chain.Status(http.StatusOK)(answer)
		},
	})
	c.must(err)
	c.Cleanup(func() { _ = s.process.Kill() })
	return s
}

// client asks as a ServiceAccount, over TLS under the name of the Service.
func (s runningStore) client(account string, audiences ...string) *store.Client {
	s.Helper()
	token, err := s.ServiceAccountToken(s.Context(), namespace, account, audiences...)
	s.must(err)
	client, err := store.NewClient(store.ClientOptions{
		URL: "https://" + s.upload, CAFile: s.authority, Token: token,
		ServerName: storeAccount + "-upload." + namespace + ".svc.cluster.local",
	})
	s.must(err)
	return client
}

// fetch gets a path as a proxy's agent does, without a token.
func (s runningStore) fetch(path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, "http://"+s.modules+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", path, response.StatusCode)
	}
	return io.ReadAll(response.Body)
}

// plugin is a module of a few bytes that says it is one for proxies: one function of no parameters, exported as the mark of
// the ABI's version and as an allocator.
func plugin() []byte {
	return []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" +
		"\x07\x36\x02\x17proxy_abi_version_0_2_1\x00\x00\x18proxy_on_memory_allocate\x00\x00" +
		"\x0a\x04\x01\x02\x00\x0b")
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
