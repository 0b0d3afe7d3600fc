// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"helm.sh/helm/v4/pkg/action"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/kube"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/solarmesh/wasmplugin-operator/charts"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// releaseOptions name a release of the chart in a cluster.
type releaseOptions struct {
	cli.ClusterOptions

	namespace string
	name      string
	wait      bool
	timeout   time.Duration
}

func (o *releaseOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.namespace, "operator-namespace", "istio-system", "The operator's namespace: istiod's, so that it sees what proxies do.")
	flags.StringVar(&o.name, "release", charts.Name, "Name of the release, as Helm has it.")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "How long to wait at most.")
	cluster := pflag.NewFlagSet("cluster", pflag.ContinueOnError)
	o.Add(cluster)
	cluster.VisitAll(func(flag *pflag.Flag) {
		// It would be another word for --operator-namespace, or without effect.
		if flag.Name != "namespace" {
			flags.AddFlag(flag)
		}
	})
}

func (o *releaseOptions) complete() error {
	if problems := validation.IsDNS1123Label(o.namespace); len(problems) > 0 {
		return fmt.Errorf("--operator-namespace %q is no name of a namespace: %s", o.namespace, problems[0])
	}
	if err := chartutil.ValidateReleaseName(o.name); err != nil {
		return fmt.Errorf("--release %q: %w", o.name, err)
	}
	if o.timeout <= 0 {
		return errors.New("--timeout must be more than 0")
	}
	*o.ConfigFlags.Namespace = o.namespace
	return nil
}

// configuration is what Helm's actions need.
func (o *releaseOptions) configuration() (*action.Configuration, error) {
	// Who owns a field is told by this name, and Helm would take the program's. With helm's own, one may go on with helm
	// what wasmctl or kubectl-wasm began, and the other way round.
	kube.ManagedFieldsManager = "helm"
	// What Helm logs is in the errors too.
	configuration := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	if err := configuration.Init(o.ConfigFlags, o.namespace, ""); err != nil {
		return nil, err
	}
	return configuration, nil
}

func (o *releaseOptions) waiting() kube.WaitStrategy {
	if o.wait {
		return kube.StatusWatcherStrategy
	}
	return kube.HookOnlyStrategy
}

// standing is the last state of the release, nil where there is none.
func (o *releaseOptions) standing(configuration *action.Configuration) (*releasev1.Release, error) {
	last, err := configuration.Releases.Last(o.name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read release %s in namespace %s: %w", o.name, o.namespace, err)
	}
	release, ok := last.(*releasev1.Release)
	if !ok {
		return nil, fmt.Errorf("release %s in namespace %s is of a kind that this wasmctl doesn't know; use helm", o.name, o.namespace)
	}
	return release, nil
}

// advice is an error of Helm's, and what to do where that isn't obvious. Helm exports none of these errors.
func (o *releaseOptions) advice(err error) error {
	for words, next := range map[string]string{
		"another operation (install/upgrade/rollback) is in progress": fmt.Sprintf(
			"wait for it; where one was cut off: helm rollback %[1]s -n %[2]s, or wasmctl uninstall if it was the first", o.name, o.namespace),
		"invalid ownership metadata":  "another release or kubectl made it; --take-ownership takes it over",
		"namespaces \"" + o.namespace: "name istiod's namespace with --operator-namespace, or add --create-namespace",
	} {
		if strings.Contains(err.Error(), words) {
			return fmt.Errorf("%w; %s", err, next)
		}
	}
	return err
}
