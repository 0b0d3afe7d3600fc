// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// ClusterOptions are kubectl's own flags for a cluster.
type ClusterOptions struct {
	*genericclioptions.ConfigFlags
}

// Add declares the flags.
func (o *ClusterOptions) Add(flags *pflag.FlagSet) {
	o.ConfigFlags = genericclioptions.NewConfigFlags(true)
	o.AddFlags(flags)
}

// Config is how to reach the cluster.
func (o *ClusterOptions) Config() (*rest.Config, error) {
	named, err := o.namesCluster()
	if err != nil {
		return nil, err
	}
	if !named {
		return nil, errors.New("no kubeconfig names a cluster; set KUBECONFIG, or give --kubeconfig or --server")
	}
	config, err := o.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return config, nil
}

// namesCluster says whether there is a cluster to speak to. Without one, kubectl's flags lead to port 8080 of this machine,
// where there is hardly ever an API server.
func (o *ClusterOptions) namesCluster() (bool, error) {
	if o.APIServer != nil && *o.APIServer != "" {
		return true, nil
	}
	raw, err := o.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return false, fmt.Errorf("read the kubeconfig: %w", err)
	}
	if len(raw.Clusters) > 0 {
		return true, nil
	}
	_, err = rest.InClusterConfig()
	return err == nil, nil
}

// ChosenNamespace is the one of --namespace, or else of the kubeconfig's context.
func (o *ClusterOptions) ChosenNamespace() (string, error) {
	namespace, _, err := o.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	return namespace, nil
}

// Client is one for Kubernetes' own kinds, ours, and whatever is unstructured.
func Client(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), wasmv1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	return c, nil
}

// Unanswered is what to say of an API server where a question to it ended with a context.DeadlineExceeded. It names no time:
// the question's context can have ended it, or --request-timeout (net/http's own timeout is that error too), or client-go,
// which gives the discovery of kinds 32 seconds and no context.
func Unanswered(server string) error {
	return fmt.Errorf("the API server %s doesn't answer in time; look at --kubeconfig, --context and --request-timeout", server)
}
