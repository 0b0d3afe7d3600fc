// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// The chart is installed under this name, in this namespace.
const (
	Release           = "wasmplugin-operator"
	OperatorNamespace = "wasmplugin-system"
)

// HelmInstall is the command that installs the chart.
const HelmInstall = "helm install " + Release + " charts/wasmplugin-operator" +
	" --namespace " + OperatorNamespace + " --create-namespace --hide-notes"

// waitForCRD returns when the API server knows WasmPlugins; helm does not wait for that.
const waitForCRD = "kubectl wait --for=condition=Established crd/wasmplugins.wasm.solarmesh.io --timeout=30s"

// tokenLife is long, since nobody renews the token, as the kubelet would.
const tokenLife = 7 * 24 * time.Hour

// InstallChart installs the chart and starts the garbage collector, which looks for new kinds when it starts. It returns
// what helm printed.
func (w *World) InstallChart(ctx context.Context) (string, error) {
	out, err := w.Shell(ctx, HelmInstall)
	if err != nil {
		return out, err
	}
	if _, err := w.Shell(ctx, waitForCRD); err != nil {
		return out, err
	}
	return out, w.Cluster.StartControllerManager(ctx)
}

// StartOperator starts what the installed Deployment would start if there were nodes: the same arguments with ports that
// are free here, and a token of its ServiceAccount.
func (w *World) StartOperator(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(w.Cluster.Config)
	if err != nil {
		return err
	}
	deployment, err := client.AppsV1().Deployments(OperatorNamespace).Get(ctx, Release, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("the chart's Deployment: %w", err)
	}
	kubeconfig, err := w.kubeconfig(ctx, client, deployment)
	if err != nil {
		return err
	}
	ports, err := chain.FreePorts(2)
	if err != nil {
		return err
	}
	health := fmt.Sprintf("127.0.0.1:%d", ports[0])
	w.OperatorArgs = operatorArgs(deployment, kubeconfig, health, fmt.Sprintf("127.0.0.1:%d", ports[1]))
	w.Operator, err = chain.Start(ctx, chain.Command{
		Name:    "operator",
		Path:    w.OperatorBinary,
		Args:    w.OperatorArgs,
		Env:     operatorEnv(deployment),
		LogFile: filepath.Join(w.Dir, "operator.log"),
		Ready: func(ctx context.Context) error {
			answer, err := chain.Probe{URL: "http://" + health + "/readyz"}.Do(ctx)
			if err != nil {
				return err
			}
			return chain.Status(http.StatusOK)(answer)
		},
	})
	return err
}

// kubeconfig writes one with the rights of the Deployment's ServiceAccount.
func (w *World) kubeconfig(ctx context.Context, client kubernetes.Interface, deployment *appsv1.Deployment) (string, error) {
	account := deployment.Spec.Template.Spec.ServiceAccountName
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: new(int64(tokenLife.Seconds())),
	}}
	answer, err := client.CoreV1().ServiceAccounts(OperatorNamespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("no token for the operator's ServiceAccount %s: %w", account, err)
	}
	path := filepath.Join(w.Dir, "operator.kubeconfig")
	return path, w.Cluster.WriteKubeconfig(path, answer.Status.Token)
}

var bindAddress = regexp.MustCompile(`^--(health-probe|metrics)-bind-address=.*$`)

// operatorArgs are the Deployment's. What a pod finds in its own file system is said by flags.
func operatorArgs(deployment *appsv1.Deployment, kubeconfig, health, metrics string) []string {
	args := []string{"--kubeconfig=" + kubeconfig, "--leader-election-namespace=" + OperatorNamespace}
	addresses := map[string]string{"health-probe": health, "metrics": metrics}
	for _, arg := range deployment.Spec.Template.Spec.Containers[0].Args {
		if match := bindAddress.FindStringSubmatch(arg); match != nil {
			arg = "--" + match[1] + "-bind-address=" + addresses[match[1]]
		}
		args = append(args, arg)
	}
	return args
}

func operatorEnv(deployment *appsv1.Deployment) []string {
	var env []string
	for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
		env = append(env, variable.Name+"="+variable.Value)
	}
	return env
}
