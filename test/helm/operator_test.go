// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var events = schema.GroupVersionResource{Version: "v1", Resource: "events"}

// direct are values for samples whose modules nobody has. With real ones test/e2e runs what the chart installs.
const direct = "modules: {resolve: false}\nstore: {enabled: false}\n"

// unobserved are such values where no istiod is either.
const unobserved = direct + "proxies: {observe: false}\n"

// TestOperatorUnderTheChartsRights runs the operator with the arguments of the installed Deployment and a token of its
// ServiceAccount: what it may do must be enough.
func TestOperatorUnderTheChartsRights(t *testing.T) {
	binary := buildOperator(t)
	for name, test := range map[string]struct{ values, sample string }{
		"all namespaces": {unobserved, "samples"},
		"one namespace":  {"watchNamespaces: [istio-system]\n" + unobserved, "samples/rules-from.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t)
			c.install("--values", valuesFile(t, test.values))
			operator := c.startOperator(binary)
			c.applySample(test.sample)
			c.eventually(c.allPluginsReady)
			if plugins, children := c.count(wasmPlugins), c.count(envoyFilters); children != 2*plugins {
				t.Errorf("%d EnvoyFilters for %d WasmPlugins", children, plugins)
			}
			c.eventually(c.leaderElected)
			c.metricsAreForReaders(operator.metrics)
			if err := operator.process.Stop(); err != nil {
				t.Error(err)
			}
			operator.wasRefusedNothing(t)
		})
	}
}

type operator struct {
	process *chain.Process
	metrics string
}

func (o operator) wasRefusedNothing(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(o.process.Log()) {
		if strings.Contains(strings.ToLower(line), "forbidden") {
			t.Errorf("the operator was refused something: %s", line)
		}
	}
}

// buildOperator builds the operator as it is released.
func buildOperator(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "wasmplugin-operator")
	if _, err := run(exec.CommandContext(t.Context(), filepath.Join(root, "hack", "build.sh"), binary)); err != nil {
		t.Fatal(err)
	}
	return binary
}

// startOperator starts what the installed Deployment would start, on free ports, as the same ServiceAccount.
func (c cluster) startOperator(binary string) operator {
	c.Helper()
	object, err := c.client.Resource(deployments).Namespace(namespace).Get(c.Context(), release, metav1.GetOptions{})
	c.must(err)
	pod := typed[appsv1.Deployment](c.T, object).Spec.Template.Spec
	ports, err := chain.FreePorts(2)
	c.must(err)
	health, metrics := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	// What a pod finds in its own file system is said by flags.
	args := []string{"--kubeconfig", c.kubeconfigOf(pod.ServiceAccountName), "--leader-election-namespace", namespace}
	istiod := c.istiodFiles(pod.ServiceAccountName)
	local := strings.NewReplacer("bind-address=:8081", "bind-address="+health, "bind-address=:8443", "bind-address="+metrics,
		"/var/run/secrets/istio/", istiod, "/var/run/secrets/istiod/", istiod)
	for _, arg := range pod.Containers[0].Args {
		args = append(args, local.Replace(arg))
	}
	process, err := chain.Start(c.Context(), chain.Command{
		Name:    "operator",
		Path:    binary,
		Args:    args,
		LogFile: filepath.Join(c.TempDir(), "operator.log"),
		Ready: func(ctx context.Context) error {
			answer, err := chain.Probe{URL: "http://" + health + "/readyz"}.Do(ctx)
			if err != nil {
				return err
			}
			return chain.Status(http.StatusOK)(answer)
		},
	})
	c.must(err)
	c.Cleanup(func() { _ = process.Kill() }) // where the test ends before it stops it
	return operator{process, "https://" + metrics + "/metrics"}
}

// kubeconfigOf writes a kubeconfig with a token of a ServiceAccount.
func (c cluster) kubeconfigOf(serviceAccount string) string {
	c.Helper()
	token, err := c.ServiceAccountToken(c.Context(), namespace, serviceAccount)
	c.must(err)
	path := filepath.Join(c.TempDir(), "kubeconfig")
	c.must(c.WriteKubeconfig(path, token))
	return path
}

// istiodFiles is a folder with what a pod asks istiod with. There is none here; the operator looks for it all the same.
func (c cluster) istiodFiles(serviceAccount string) string {
	c.Helper()
	token, err := c.ServiceAccountToken(c.Context(), namespace, serviceAccount, chain.IstioAudience)
	c.must(err)
	dir := c.TempDir() + "/"
	c.must(os.WriteFile(dir+"token", []byte(token), 0o600))
	c.must(os.WriteFile(dir+"root-cert.pem", c.Config.CAData, 0o600))
	return dir
}

// applySample applies a folder or a file under config.
func (c cluster) applySample(path string) {
	c.Helper()
	path = filepath.Join(root, "config", path)
	flag := "-f"
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		flag = "-k"
	}
	_, err := c.kubectl("apply", flag, path)
	c.must(err)
}

func (c cluster) eventually(check func(context.Context) error) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	c.must(chain.Until(ctx, check))
}

func (c cluster) allPluginsReady(ctx context.Context) error {
	list, err := c.client.Resource(wasmPlugins).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(list.Items) == 0 {
		return fmt.Errorf("no WasmPlugin")
	}
	for i := range list.Items {
		conditions := typed[wasmv1alpha1.WasmPlugin](c.T, &list.Items[i]).Status.Conditions
		if !meta.IsStatusConditionTrue(conditions, wasmv1alpha1.ConditionReady) {
			return fmt.Errorf("%s is not ready: %v", key(&list.Items[i]), conditions)
		}
	}
	return nil
}

// leaderElected waits for the event of client-go's leader election, for which the rights are easily forgotten.
func (c cluster) leaderElected(ctx context.Context) error {
	list, err := c.client.Resource(events).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, event := range list.Items {
		if event.Object["reason"] == "LeaderElection" {
			return nil
		}
	}
	return fmt.Errorf("no event says who became leader; %d other events", len(list.Items))
}

const prometheus = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: prometheus, namespace: wasmplugin-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: prometheus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: wasmplugin-operator-metrics-reader}
subjects: [{kind: ServiceAccount, name: prometheus, namespace: wasmplugin-system}]
`

// metricsAreForReaders: nobody without a token, nobody without the right, and who has both gets metrics.
func (c cluster) metricsAreForReaders(url string) {
	c.Helper()
	c.apply(prometheus)
	for serviceAccount, want := range map[string]int{
		"": http.StatusUnauthorized, release: http.StatusForbidden, "prometheus": http.StatusOK,
	} {
		token := ""
		if serviceAccount != "" {
			var err error
			token, err = c.ServiceAccountToken(c.Context(), namespace, serviceAccount)
			c.must(err)
		}
		// The API server sees a new binding a moment later.
		c.eventually(func(ctx context.Context) error { return scrape(ctx, url, token, want) })
	}
}

// scrape asks for the metrics once.
func scrape(ctx context.Context, url, token string, want int) error {
	status, body, err := get(ctx, url, token)
	if err != nil {
		return err
	}
	const metric = "controller_runtime_reconcile_total"
	if status != want || strings.Contains(body, metric) != (want == http.StatusOK) {
		return fmt.Errorf("%s: status %d, want %d; body %.200q", url, status, want, body)
	}
	return nil
}

// get asks the operator for a page of its.
func get(ctx context.Context, url, token string) (int, string, error) {
	// The operator makes its certificate itself.
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}
