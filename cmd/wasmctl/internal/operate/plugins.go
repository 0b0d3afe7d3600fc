// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// patience bounds one question to the API server.
const patience = 15 * time.Second

// cluster is where plugins are.
type cluster struct {
	client.WithWatch

	server, namespace string
}

// open reaches the cluster that the flags name.
func open(options *cli.ClusterOptions) (*cluster, error) {
	config, err := options.Config()
	if err != nil {
		return nil, err
	}
	c, err := cli.Client(config)
	if err != nil {
		return nil, err
	}
	namespace, err := options.ChosenNamespace()
	if err != nil {
		return nil, err
	}
	return &cluster{c, config.Host, namespace}, nil
}

// plugin reads one plugin of the namespace.
func (c *cluster) plugin(ctx context.Context, name string) (*wasmv1alpha1.WasmPlugin, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	plugin := &wasmv1alpha1.WasmPlugin{}
	err := c.Get(ctx, types.NamespacedName{Namespace: c.namespace, Name: name}, plugin)
	return plugin, c.explained(err, name)
}

// envoyFilter reads one of the EnvoyFilters of a plugin; nil where there is none.
func (c *cluster) envoyFilter(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, role wasmv1alpha1.EnvoyFilterRole) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(translate.EnvoyFilterKind)
	name := translate.EnvoyFilterName(plugin.Name, role)
	err := c.Get(ctx, types.NamespacedName{Namespace: plugin.Namespace, Name: name}, object)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return nil, nil //nolint:nilnil // That there is none is an answer.
	case err != nil:
		return nil, fmt.Errorf("read EnvoyFilter %s/%s: %w", plugin.Namespace, name, err)
	case object.GetLabels()[wasmv1alpha1.LabelPlugin] != plugin.Name:
		return nil, fmt.Errorf("EnvoyFilter %s/%s isn't the operator's; see condition Applied", plugin.Namespace, name)
	}
	return object, nil
}

// explained is an error of the API server with what to do.
func (c *cluster) explained(err error, name string) error {
	switch {
	case err == nil:
		return nil
	case meta.IsNoMatchError(err):
		return errors.New("this cluster doesn't know WasmPlugins of wasm.solarmesh.io; install the operator (wasmctl install)")
	case apierrors.IsNotFound(err):
		return fmt.Errorf("there is no WasmPlugin %s in namespace %s; wasmctl status -A lists all", name, c.namespace)
	case errors.Is(err, context.DeadlineExceeded):
		return cli.Unanswered(c.server)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("this user may not do that: %w", err)
	}
	return fmt.Errorf("ask the API server: %w", err)
}

// completed offers the plugins of the namespace.
func completed(options *cli.ClusterOptions) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := open(options)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), patience/5)
		defer cancel()
		var list wasmv1alpha1.WasmPluginList
		if err := c.List(ctx, &list, client.InNamespace(c.namespace)); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for i := range list.Items {
			if !strings.Contains(" "+strings.Join(args, " ")+" ", " "+list.Items[i].Name+" ") {
				names = append(names, list.Items[i].Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
