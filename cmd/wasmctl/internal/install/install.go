// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/cli/values"
	"helm.sh/helm/v4/pkg/kube"
	releasecommon "helm.sh/helm/v4/pkg/release/common"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// oldestKubernetes is what the chart asks for at least; manifests that no cluster sees are made for it.
const oldestKubernetes = "v1.30.0"

// historyAtMost is Helm's own default: each state of a release is a Secret.
const historyAtMost = 10

type installOptions struct {
	releaseOptions
	values.Options

	dryRun          string
	createNamespace bool
	takeOwnership   bool
}

func newInstall() *cobra.Command {
	var options installOptions
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Installs the operator, or upgrades it",
		Long: `install installs the operator with the chart that is built into wasmctl, or upgrades it, the CRD included. Values
are those of the chart. Values of an earlier install stay, unless they are given anew.

It is a release of Helm's: helm list, helm upgrade and helm rollback know it, and what helm installed, install upgrades.

--dry-run prints the manifests of a new installation, and needs no cluster. --dry-run=server has the cluster take part: it
counts the values of an earlier install, and names what would be in the way. Secrets are left out of both, since a key
is made for the store's certificate: what is printed is to be read, not to be applied.`,
		Example: `  wasmctl install
  wasmctl install -f values.yaml --set replicas=3 --wait
  wasmctl install --operator-namespace wasmplugin-system --create-namespace --set proxies.observe=false
  wasmctl install --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.complete(args); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&options.ValueFiles, "values", "f", nil, "File with values of the chart, - for standard input. May be repeated.")
	flags.StringArrayVar(&options.Values, "set", nil, "A value of the chart, as PATH=VALUE. May be repeated.")
	flags.StringArrayVar(&options.StringValues, "set-string", nil, "The same, for what looks like a number and is a string. May be repeated.")
	flags.StringVar(&options.dryRun, "dry-run", string(action.DryRunNone), "Print what would be installed: none, client or server.")
	flags.Lookup("dry-run").NoOptDefVal = string(action.DryRunClient)
	flags.BoolVar(&options.wait, "wait", false, "Wait until all pods are ready.")
	flags.BoolVar(&options.createNamespace, "create-namespace", false, "Make the operator's namespace if there is none.")
	flags.BoolVar(&options.takeOwnership, "take-ownership", false, "Take over what another release left, such as the CRD, or kubectl made.")
	options.add(flags)
	// They fail only where the flag isn't there.
	_ = cmd.RegisterFlagCompletionFunc("dry-run", cobra.FixedCompletions([]string{"client", "none", "server"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *installOptions) complete(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("it takes no argument such as %q", args[0])
	}
	switch action.DryRunStrategy(o.dryRun) {
	case action.DryRunNone, action.DryRunClient, action.DryRunServer:
		return o.releaseOptions.complete()
	default:
		return fmt.Errorf("--dry-run %q is none of none, client, server", o.dryRun)
	}
}

func (o *installOptions) run(ctx context.Context, out, errOut io.Writer) error {
	operator, err := loadChart()
	if err != nil {
		return err
	}
	given, err := o.MergeValues(nil) // nil: from files, never from URLs
	if err != nil {
		return fmt.Errorf("read the values: %w", err)
	}
	configuration, err := o.configuration()
	if err != nil {
		return err
	}
	release, err := o.apply(ctx, configuration, operator, given)
	if err != nil {
		return o.advice(err)
	}
	if o.dryRun != string(action.DryRunNone) {
		cli.Comment(errOut, "Secrets", "left out.")
		return cli.Write(out, []byte(strings.TrimPrefix(strings.TrimSpace(release.Manifest), "---\n")+"\n"))
	}
	return cli.Write(out, fmt.Appendf(nil, "%s %s is installed in namespace %s, revision %d.\n\n%s\n",
		o.name, operator.AppVersion(), o.namespace, release.Version, strings.TrimSpace(release.Info.Notes)))
}

// apply installs or upgrades.
func (o *installOptions) apply(ctx context.Context, configuration *action.Configuration, operator *chart.Chart, given map[string]any) (*releasev1.Release, error) {
	var standing *releasev1.Release
	if o.dryRun != string(action.DryRunClient) {
		if _, err := o.Config(); err != nil {
			return nil, err
		}
		var err error
		if standing, err = o.standing(configuration); err != nil {
			return nil, err
		}
	}
	var made any
	var err error
	if standing == nil || standing.Info.Status == releasecommon.StatusUninstalled {
		made, err = o.installation(configuration, standing != nil).RunWithContext(ctx, operator, given)
	} else {
		made, err = o.upgrade(ctx, configuration).RunWithContext(ctx, o.name, operator, given)
	}
	if err != nil {
		return nil, fmt.Errorf("install %s in namespace %s: %w", o.name, o.namespace, err)
	}
	release, ok := made.(*releasev1.Release)
	if !ok {
		return nil, errors.New("install: Helm's library made a release of an unknown kind")
	}
	return release, nil
}

func (o *installOptions) installation(configuration *action.Configuration, replace bool) *action.Install {
	install := action.NewInstall(configuration)
	install.ReleaseName, install.Namespace = o.name, o.namespace
	install.CreateNamespace, install.Replace = o.createNamespace, replace
	install.TakeOwnership, install.ForceConflicts = o.takeOwnership, o.takeOwnership
	install.WaitStrategy, install.Timeout = o.waiting(), o.timeout
	install.DryRunStrategy = action.DryRunStrategy(o.dryRun)
	install.HideSecret = install.DryRunStrategy != action.DryRunNone
	if install.DryRunStrategy == action.DryRunClient {
		install.KubeVersion, _ = common.ParseKubeVersion(oldestKubernetes) // a constant
	}
	return install
}

func (o *installOptions) upgrade(ctx context.Context, configuration *action.Configuration) *action.Upgrade {
	upgrade := action.NewUpgrade(configuration)
	upgrade.Namespace, upgrade.MaxHistory = o.namespace, historyAtMost
	upgrade.TakeOwnership, upgrade.ForceConflicts = o.takeOwnership, o.takeOwnership
	upgrade.WaitStrategy, upgrade.Timeout = o.waiting(), o.timeout
	upgrade.WaitOptions = []kube.WaitOption{kube.WithWaitContext(ctx)}
	upgrade.DryRunStrategy = action.DryRunStrategy(o.dryRun)
	upgrade.HideSecret = upgrade.DryRunStrategy != action.DryRunNone
	// The values that were given, over those of the new chart: with --reuse-values its new values would be missing.
	upgrade.ResetThenReuseValues = true
	return upgrade
}
