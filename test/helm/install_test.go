// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var (
	crds         = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	wasmPlugins  = schema.GroupVersionResource{Group: "wasm.solarmesh.io", Version: "v1alpha1", Resource: "wasmplugins"}
	envoyFilters = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"}
)

const crdName = "wasmplugins.wasm.solarmesh.io"

// cluster is an API server with Istio's CRDs.
type cluster struct {
	*chain.Cluster
	*testing.T
	client dynamic.Interface
}

func startCluster(t *testing.T, users ...chain.User) cluster {
	t.Helper()
	return startClusterWith(t, users)
}

// startClusterWith is startCluster with further flags of the API server.
func startClusterWith(t *testing.T, users []chain.User, flags ...string) cluster {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	started, err := chain.StartCluster(t.Context(), bin, chain.ClusterOptions{
		Dir:   t.TempDir(),
		Users: users,
		// As on OpenShift: only with it the right to wasmplugins/finalizers is asked for.
		APIServerArgs: append([]string{"--enable-admission-plugins=OwnerReferencesPermissionEnforcement"}, flags...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := dynamic.NewForConfig(started.Config)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster{started, t, client}
	c.must(chain.ApplyFile(t.Context(), started.Config, istioCRDs(t)))
	c.apply(chain.MeshObjects)
	return c
}

// istioCRDs is the file in the version of istio.io/api that the operator is built with.
func istioCRDs(t *testing.T) string {
	t.Helper()
	dir, err := run(exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api"))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(dir), "kubernetes", "customresourcedefinitions.gen.yaml")
}

func (c cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c cluster) apply(documents string) {
	c.Helper()
	c.must(chain.Apply(c.Context(), c.Config, documents))
}

func (c cluster) helm(args ...string) error {
	c.Helper()
	_, err := helm(c.T, append(args, "--kubeconfig", c.Kubeconfig, "--namespace", namespace)...)
	return err
}

func (c cluster) kubectl(args ...string) (string, error) {
	c.Helper()
	return kubectl(c.T, append(args, "--kubeconfig", c.Kubeconfig)...)
}

func (c cluster) install(args ...string) {
	c.Helper()
	c.must(c.helm(append([]string{"install", release, chartFolder, "--create-namespace"}, args...)...))
	c.servesPlugins()
}

// servesPlugins waits until the CRD is in force: neither helm nor kubectl does. Established comes a little before the kind is
// served.
func (c cluster) servesPlugins() {
	c.Helper()
	_, err := c.kubectl("wait", "--for=condition=Established", "crd/"+crdName, "--timeout=30s")
	c.must(err)
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	c.must(chain.Until(ctx, func(ctx context.Context) error {
		_, err := c.client.Resource(wasmPlugins).List(ctx, metav1.ListOptions{})
		return err
	}))
}

func (c cluster) count(resource schema.GroupVersionResource) int {
	c.Helper()
	list, err := c.client.Resource(resource).List(c.Context(), metav1.ListOptions{})
	c.must(err)
	return len(list.Items)
}

func TestKustomizeInstalls(t *testing.T) {
	c := startCluster(t)
	config := filepath.Join(root, "config", "with-store")
	_, err := c.kubectl("apply", "-k", config)
	c.must(err)
	c.servesPlugins()
	c.applySample("samples")
	if out, err := c.kubectl("diff", "-k", config); err != nil {
		t.Errorf("a second apply would change something: %v\n%s", err, out)
	}
}

// TestHelmLifecycle: install, upgrade, uninstall; plugins survive, and a later release takes the CRD over.
func TestHelmLifecycle(t *testing.T) {
	c := startCluster(t)
	c.install()
	c.applySample("samples")
	plugins := c.count(wasmPlugins)

	c.must(c.helm("upgrade", release, chartFolder, "--set", "replicas=3"))
	deployment, err := c.client.Resource(deployments).Namespace(namespace).Get(t.Context(), release, metav1.GetOptions{})
	c.must(err)
	if spec := deployment.Object["spec"].(map[string]any); spec["replicas"] != int64(3) {
		t.Errorf("replicas after the upgrade: %v, want 3", spec["replicas"])
	}

	c.must(c.helm("uninstall", release))
	if n := c.count(deployments); n != 0 {
		t.Errorf("%d deployments are left after helm uninstall", n)
	}
	if n := c.count(wasmPlugins); n != plugins || n == 0 {
		t.Errorf("%d WasmPlugins are left after helm uninstall, want %d", n, plugins)
	}

	c.install()
	c.must(c.helm("uninstall", release))
	c.must(c.helm("install", "another", chartFolder, "--take-ownership"))
}

// TestHelmWithoutKeep: who says so loses the CRD with the release.
func TestHelmWithoutKeep(t *testing.T) {
	c := startCluster(t)
	c.install("--set", "crds.keep=false")
	c.must(c.helm("uninstall", release))
	c.must(chain.Until(t.Context(), c.crdIsGone))
}

func (c cluster) crdIsGone(ctx context.Context) error {
	_, err := c.client.Resource(crds).Get(ctx, crdName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return errors.Join(errors.New("the CRD is still there"), err)
}
