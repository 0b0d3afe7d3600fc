// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// started is what a test has started, to be looked for after it was stopped.
type started struct {
	names  []string
	groups []int
	pids   []int
	ports  []int
}

func (s *started) add(name string, process *Process, urls ...string) {
	s.names = append(s.names, name)
	s.groups = append(s.groups, process.current().guard.group())
	s.pids = append(s.pids, process.PID())
	for _, text := range urls {
		if parsed, err := url.Parse(text); err == nil {
			port, _ := strconv.Atoi(parsed.Port())
			s.ports = append(s.ports, port)
		}
	}
}

func (s *started) assertGone(t *testing.T) {
	t.Helper()
	for i, name := range s.names {
		if groupRuns(s.groups[i]) {
			t.Errorf("%s: its process group %d still runs", name, s.groups[i])
		}
		if err := syscall.Kill(s.pids[i], 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s: process %d is still there: %v", name, s.pids[i], err)
		}
	}
	for _, port := range s.ports {
		wantFree(t, port)
	}
}

// timed runs one step and logs how long it took.
func timed(t *testing.T, what string, step func() error) {
	t.Helper()
	start := time.Now()
	if err := step(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	t.Logf("%-40s %s", what, time.Since(start).Round(time.Millisecond))
}

// TestChain starts everything, sends real requests through a gateway and a sidecar, and looks for leftovers.
func TestChain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	bin, err := Install(ctx, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var left started
	var cluster *Cluster
	timed(t, "cluster", func() error {
		cluster, err = StartCluster(ctx, bin, ClusterOptions{
			Dir:   filepath.Join(dir, "cluster"),
			Users: []User{{Name: "jane", Token: "janes-token", Groups: []string{"team-a", "team-b"}}},
		})
		return err
	})
	left.add("etcd", cluster.Etcd)
	left.add("kube-apiserver", cluster.APIServer, cluster.Config.Host)
	timed(t, "Istio's CRDs", func() error { return cluster.ApplyIstioCRDs(ctx) })
	timed(t, "controller manager", func() error { return cluster.StartControllerManager(ctx) })
	left.add("kube-controller-manager", cluster.ControllerManager)
	var istiod *Istiod
	timed(t, "istiod", func() error {
		istiod, err = StartIstiod(ctx, bin, cluster, IstiodOptions{Dir: filepath.Join(dir, "istiod")})
		return err
	})
	left.add("istiod", istiod.Process, istiod.URL, istiod.MetricsURL, "http://"+istiod.DiscoveryAddress)

	t.Run("users", func(t *testing.T) { testUsers(t, cluster) })
	t.Run("admission policy", func(t *testing.T) { testAdmissionPolicy(t, cluster) })
	t.Run("owner references", func(t *testing.T) { testGarbageCollector(t, cluster) })
	t.Run("gateway", func(t *testing.T) { testGateway(t, bin, cluster, istiod) })
	t.Run("sidecar", func(t *testing.T) { testSidecar(t, bin, cluster, istiod) })

	timed(t, "stop istiod", istiod.Stop)
	timed(t, "stop cluster", cluster.Stop)
	left.assertGone(t)
}

// testUsers acts as a user and as a service account, by a kubeconfig each.
func testUsers(t *testing.T, cluster *Cluster) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := Apply(ctx, cluster.Config, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: team-b}
- {kind: ServiceAccount, name: robot, namespace: default}
`)
	if err != nil {
		t.Fatal(err)
	}
	robot, err := cluster.ServiceAccountToken(ctx, "default", "robot")
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"jane": "janes-token", "robot": robot} {
		path := filepath.Join(t.TempDir(), name)
		if err := cluster.WriteKubeconfig(path, token); err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := Until(ctx, func(ctx context.Context) error { return listConfigMaps(ctx, config, "default") }); err != nil {
			t.Errorf("%s may not read in its namespace: %v", name, err)
		}
		if err := listConfigMaps(ctx, config, "kube-system"); !apierrors.IsForbidden(err) {
			t.Errorf("%s reads in another namespace: %v", name, err)
		}
		if err := Apply(ctx, config, configMap("forbidden")); !apierrors.IsForbidden(err) {
			t.Errorf("%s writes: %v", name, err)
		}
	}
	stranger := listConfigMaps(ctx, cluster.ConfigFor("no such token"), "default")
	if !apierrors.IsUnauthorized(stranger) {
		t.Errorf("a stranger got %v", stranger)
	}
}

func listConfigMaps(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	_, err = client.Resource(configMaps).Namespace(namespace).List(ctx, metav1.ListOptions{})
	return err
}

func configMap(name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n", name)
}

// testAdmissionPolicy waits for a policy to be in force, which takes kube-apiserver a moment.
func testAdmissionPolicy(t *testing.T, cluster *Cluster) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := Apply(ctx, cluster.Config, testdata(t, "policy.yaml")); err != nil {
		t.Fatal(err)
	}
	timed(t, "policy in force", func() error {
		return Until(ctx, func(ctx context.Context) error {
			err := Apply(ctx, cluster.Config, configMap("denied"))
			if err != nil && strings.Contains(err.Error(), "this name is denied") {
				return nil
			}
			return errors.Join(err, errors.New("the object was let in"), Delete(ctx, cluster.Config, configMap("denied")))
		})
	})
	if err := Apply(ctx, cluster.Config, configMap("allowed")); err != nil {
		t.Error(err)
	}
}

// testGarbageCollector deletes an owner and waits for its dependent to go.
func testGarbageCollector(t *testing.T, cluster *Cluster) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client, err := dynamic.NewForConfig(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	maps := client.Resource(configMaps).Namespace("default")
	if err := Apply(ctx, cluster.Config, configMap("owner")); err != nil {
		t.Fatal(err)
	}
	owner, err := maps.Get(ctx, "owner", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dependent := &unstructured.Unstructured{}
	dependent.SetAPIVersion("v1")
	dependent.SetKind("ConfigMap")
	dependent.SetName("dependent")
	dependent.SetOwnerReferences([]metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: owner.GetUID()},
	})
	if _, err := maps.Create(ctx, dependent, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := Delete(ctx, cluster.Config, configMap("owner")); err != nil {
		t.Fatal(err)
	}
	timed(t, "dependent collected", func() error {
		return cluster.ControllerManager.Until(ctx, func(ctx context.Context) error {
			_, err := maps.Get(ctx, "dependent", metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return errors.Join(err, errors.New("the dependent is still there"))
		})
	})
	if err := Delete(ctx, cluster.Config, configMap("owner")); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}
