// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

type uninstallOptions struct {
	releaseOptions

	force bool
}

func newUninstall() *cobra.Command {
	var options uninstallOptions
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Uninstalls the operator, unless proxies need its store",
		Long: `uninstall takes the operator and its store out of a cluster. It refuses, with exit code 1, while EnvoyFilters of
plugins point at the store, and names them: a proxy that starts afterwards wouldn't get its modules. --force does it
nonetheless.

WasmPlugins are never deleted, nor is what they wrote: the CRD stays. Where the release was installed with crds.keep:
false and there are WasmPlugins, uninstall refuses, with --force too.`,
		Example: `  wasmctl uninstall
  wasmctl uninstall --operator-namespace wasmplugin-system --wait
  wasmctl uninstall --force`,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := options.complete()
			if len(args) > 0 {
				err = fmt.Errorf("it takes no argument such as %q", args[0])
			}
			if err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&options.force, "force", false, "Uninstall although EnvoyFilters point at the store.")
	cmd.Flags().BoolVar(&options.wait, "wait", false, "Wait until all that is deleted is gone.")
	options.add(cmd.Flags())
	return cmd
}

func (o *uninstallOptions) run(ctx context.Context, out, errOut io.Writer) error {
	config, err := o.Config()
	if err != nil {
		return err
	}
	c, err := cli.Client(config)
	if err != nil {
		return err
	}
	configuration, err := o.configuration()
	if err != nil {
		return err
	}
	release, err := o.standing(configuration)
	if err != nil {
		return err
	}
	if release == nil {
		return fmt.Errorf("there is no release %s in namespace %s; helm list -A names those that are, for --release and --operator-namespace", o.name, o.namespace)
	}
	found, err := readManifests(release.Manifest)
	if err != nil {
		return err
	}
	left, err := look(ctx, c, found.storeURL)
	if err != nil {
		return fmt.Errorf("look what needs the operator: %w", err)
	}
	if err := o.judge(found, left, errOut); err != nil {
		return err
	}
	if err := o.remove(ctx, configuration, release); err != nil {
		return o.advice(err)
	}
	return cli.Write(out, []byte(o.said(found, left)))
}

// judge refuses what would break proxies or delete plugins.
func (o *uninstallOptions) judge(found installed, left remains, errOut io.Writer) error {
	if found.takesCRD && left.plugins > 0 {
		return cli.Refused("the release was installed with crds.keep: false, so %s would go with it; "+
			"run wasmctl install --set crds.keep=true first, or delete them yourself", counted(left.plugins, "WasmPlugin"))
	}
	if len(left.pointing) == 0 {
		return nil
	}
	for _, name := range left.pointing {
		cli.Comment(errOut, "EnvoyFilter "+name, "makes proxies fetch from the store")
	}
	if o.force {
		cli.Comment(errOut, "Proxies that start", "can't get these modules from now on")
		return nil
	}
	return cli.Refused("%s at the store, and proxies that start later wouldn't get their modules; "+
		"delete the WasmPlugins or set their delivery to Direct, and wait until their EnvoyFilters are gone or changed, or add --force",
		pointing(len(left.pointing)))
}

func pointing(n int) string {
	if n == 1 {
		return "1 EnvoyFilter points"
	}
	return fmt.Sprintf("%d EnvoyFilters point", n)
}

func (o *uninstallOptions) remove(ctx context.Context, configuration *action.Configuration, release *releasev1.Release) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	uninstall := action.NewUninstall(configuration)
	uninstall.WaitStrategy, uninstall.Timeout = o.waiting(), o.timeout
	uninstall.WaitOptions = []kube.WaitOption{kube.WithWaitContext(ctx)}
	uninstall.DeletionPropagation = "background"
	if _, err := uninstall.Run(release.Name); err != nil {
		return fmt.Errorf("uninstall %s from namespace %s: %w", o.name, o.namespace, err)
	}
	return nil
}

// said is what is gone and what remains.
func (o *uninstallOptions) said(found installed, left remains) string {
	text := fmt.Sprintf("%s is uninstalled from namespace %s.\n", o.name, o.namespace)
	if found.takesCRD || !left.crd {
		return text
	}
	return text + fmt.Sprintf("There remain: the CRD %s, %s and %s. To remove all of them: kubectl delete crd %[1]s\n",
		crdName, counted(left.plugins, "WasmPlugin"), counted(left.filters, "EnvoyFilter"))
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
