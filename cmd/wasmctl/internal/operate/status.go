// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

type statusOptions struct {
	cli.ClusterOptions
	cli.OutputOptions

	all   bool
	watch bool
	names []string
}

func newStatus() *cobra.Command {
	var options statusOptions
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Says whether plugins run, and why not",
		Long: `status shows the WasmPlugins of a namespace, a line each, or all about those that are named: how many proxies run them,
which refused them and in which words, and whether a change is on trial or on canary.

It reads what the operator reports. explain asks istiod about the proxies themselves.

With --watch it goes on, and shows a plugin again whenever that changes. Where the API server goes away it asks again for
half a minute.

It ends with 0 when it could answer, whatever the answer is, and with 1 when a plugin that was named isn't ready.`,
		Example: `  wasmctl status
  wasmctl status -A -o wide
  wasmctl status basic-auth -n istio-system
  wasmctl status basic-auth -n istio-system --watch`,
		RunE: func(cmd *cobra.Command, args []string) error {
			options.names = args
			if err := options.complete(); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	options.ClusterOptions.Add(cmd.Flags())
	options.OutputOptions.Add(cmd, cli.FormText, cli.FormWide, cli.FormJSON, cli.FormYAML)
	cmd.Flags().BoolVarP(&options.all, "all-namespaces", "A", false, "Those of all namespaces.")
	cmd.Flags().BoolVarP(&options.watch, "watch", "w", false, "Go on, and show what changes.")
	cmd.ValidArgsFunction = completed(&options.ClusterOptions)
	return cmd
}

func (o *statusOptions) complete() error {
	if o.all && len(o.names) > 0 {
		return errors.New("a name and --all-namespaces don't go together; name the namespace with -n")
	}
	if o.watch && o.Form == cli.FormYAML {
		return errors.New("--watch has the outputs text, wide and json")
	}
	return o.OutputOptions.Complete()
}

func (o *statusOptions) run(ctx context.Context, out, errOut io.Writer) error {
	c, err := open(&o.ClusterOptions)
	if err != nil {
		return err
	}
	if o.all {
		c.namespace = ""
	}
	if o.watch {
		return o.follow(ctx, c, out, errOut)
	}
	views, _, err := o.read(ctx, c)
	if err != nil {
		return err
	}
	content, err := o.encode(views, out)
	if err != nil {
		return err
	}
	if err := cli.Write(out, content); err != nil {
		return err
	}
	if len(views) == 0 {
		cli.Comment(errOut, "status", "there is no WasmPlugin here.")
	}
	return o.verdict(views)
}

// read returns what was asked for, by namespace and name, and the version of the list.
func (o *statusOptions) read(ctx context.Context, c *cluster) ([]view, string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var list wasmv1alpha1.WasmPluginList
	if err := c.List(ctx, &list, client.InNamespace(c.namespace)); err != nil {
		return nil, "", c.explained(err, "")
	}
	var views []view
	found := map[string]bool{}
	for i := range list.Items {
		if o.wants(&list.Items[i]) {
			views = append(views, viewOf(&list.Items[i]))
			found[list.Items[i].Name] = true
		}
	}
	for _, name := range o.names {
		if !found[name] {
			return nil, "", fmt.Errorf("there is no WasmPlugin %s in namespace %s; wasmctl status -A lists all", name, c.namespace)
		}
	}
	return views, list.ResourceVersion, nil
}

func (o *statusOptions) wants(plugin *wasmv1alpha1.WasmPlugin) bool {
	return len(o.names) == 0 || slices.Contains(o.names, plugin.Name)
}

func (o *statusOptions) encode(views []view, out io.Writer) ([]byte, error) {
	if o.ForPrograms() {
		if views == nil {
			views = []view{}
		}
		return cli.Encode(views, o.Form)
	}
	p := newPrinter(out, o.Form == cli.FormWide)
	if len(o.names) == 0 || p.wide {
		if len(views) == 0 {
			return nil, nil
		}
		return []byte(p.table(views, true)), nil
	}
	var content []byte
	for _, v := range views {
		content = append(content, p.detail(v)...)
	}
	return content, nil
}

// verdict is about what was named: a list is a list.
func (o *statusOptions) verdict(views []view) error {
	if len(o.names) == 0 {
		return nil
	}
	for _, v := range views {
		if v.Ready != "True" {
			return cli.Refused("%s/%s isn't ready: %s", v.Namespace, v.Name, v.Reason)
		}
	}
	return nil
}
