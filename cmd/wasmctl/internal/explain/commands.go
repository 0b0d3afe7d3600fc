// SPDX-License-Identifier: Apache-2.0

// Package explain holds the command explain, which says from the proxies' own configuration what a plugin does there.
package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/istiod"
	"github.com/solarmesh/wasmplugin-operator/internal/explain"
)

// Commands are the commands of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{newExplain()}
}

const (
	// patience is for what the API server answers, where --request-timeout says nothing else.
	patience = 10 * time.Second
	// istiodPatience is for one answer of an istiod, which makes a dump of all that a proxy has.
	istiodPatience = 30 * time.Second
)

type explainOptions struct {
	cli.ClusterOptions
	cli.OutputOptions
	istiod.Options

	rootNamespace string
	proxy         string
	most          int
}

func newExplain() *cobra.Command {
	options := &explainOptions{}
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "Says which proxies run a WasmPlugin, where in their filter chains, and why others don't",
		Long: `explain asks the mesh's istiods what they send to their proxies, and says of a WasmPlugin in the cluster: which proxies
match and why the others don't; the filter chains that have it, in order; the listeners, hosts and routes that lead
there; what is delivered to it; and what the proxies answered last. Proxies that have the same stand there once.

It reaches istiod through a port that the API server forwards, for which you need the right to list pods and to create
pods/portforward in istiod's namespace. --istiod-url uses a way that you have already.

It ends with 0 also where there are warnings: -o json has them with a reason each.`,
		Example: `  wasmctl explain basic-auth -n istio-system
  wasmctl explain basic-auth -n istio-system --proxy gateway-7d9c5.istio-system
  kubectl port-forward -n istio-system deploy/istiod 15014 &
  wasmctl explain basic-auth -n istio-system --istiod-url http://127.0.0.1:15014 -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.complete(args); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	options.add(cmd)
	return cmd
}

func (o *explainOptions) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	o.ClusterOptions.Add(flags)
	o.OutputOptions.Add(cmd, cli.FormText, cli.FormJSON, cli.FormYAML)
	o.Options.Add(flags)
	flags.StringVar(&o.rootNamespace, "root-namespace", "", "The mesh's root namespace. Default: what istiod says, or else --istio-namespace.")
	flags.StringVar(&o.proxy, "proxy", "", "Explain this proxy alone, POD.NAMESPACE.")
	flags.IntVar(&o.most, "max-proxies", 100, "How many of the proxies that match istiod is asked about.")
}

func (o *explainOptions) complete(args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("name a WasmPlugin")
	case len(args) > 1:
		return fmt.Errorf("it takes one WasmPlugin, and %q is one more", args[1])
	case o.most < 1:
		return errors.New("--max-proxies must be at least 1")
	}
	return cli.FirstError(o.OutputOptions.Complete(), o.Options.Complete())
}

func (o *explainOptions) run(ctx context.Context, name string, out io.Writer) error {
	config, err := o.Config()
	if err != nil {
		return err
	}
	if config.Timeout == 0 {
		config.Timeout = patience
	}
	plugin, err := o.plugin(ctx, config, name)
	if err != nil {
		return err
	}
	finding, cancel := context.WithTimeout(ctx, config.Timeout)
	defer cancel()
	found, err := o.Find(finding, config)
	if err != nil {
		return err
	}
	defer func() {
		for _, one := range found {
			_ = one.Close()
		}
	}()
	in := explain.Input{Plugin: plugin, Only: o.proxy}
	if err := o.ask(ctx, found, &in); err != nil {
		return err
	}
	report, err := explain.Explain(in)
	if err != nil {
		return err
	}
	content := []byte(report.Text())
	if o.ForPrograms() {
		if content, err = cli.Encode(report, o.Form); err != nil {
			return err
		}
	}
	return cli.Write(out, content)
}

func (o *explainOptions) plugin(ctx context.Context, config *rest.Config, name string) (*wasmv1alpha1.WasmPlugin, error) {
	ctx, cancel := context.WithTimeout(ctx, config.Timeout)
	defer cancel()
	namespace, err := o.ChosenNamespace()
	if err != nil {
		return nil, err
	}
	reader, err := cli.Client(config)
	if err != nil {
		return nil, err
	}
	plugin := &wasmv1alpha1.WasmPlugin{}
	err = reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, plugin)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no WasmPlugin %s in namespace %s; name another namespace with -n", name, namespace)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, cli.Unanswered(config.Host)
	case err != nil:
		return nil, fmt.Errorf("read WasmPlugin %s/%s: %w", namespace, name, err)
	}
	return plugin, nil
}
