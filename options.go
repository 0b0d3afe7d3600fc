// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/controllers"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// leaderElectionID names the lease. The RBAC rules name it too.
const leaderElectionID = "wasmplugin-operator.solarmesh.io"

// shortestSecretRefresh spares the API server: each plugin that names Secrets asks for each of them.
const shortestSecretRefresh = 10 * time.Second

// options is what the command line says.
type options struct {
	leaderElect             bool
	leaderElectionNamespace string
	metricsAddress          string
	metricsSecure           bool
	probeAddress            string
	pprofAddress            string
	watchNamespaces         string
	meshConfig              types.NamespacedName
	allowRootNamespaceScope bool
	istioVersion            string
	secretRefresh           time.Duration
	concurrency             int
	modules                 moduleOptions
	proxies                 proxyOptions
	version                 bool
	zap                     zap.Options
}

func parseFlags(program string, args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(output)
	flags.Usage = func() {
		fmt.Fprintf(output, "Usage: %s [manager] [flags]\n\nOther processes of the same binary: %s checker --help, %s store --help.\n\nFlags:\n", program, program, program)
		flags.PrintDefaults()
	}
	config.RegisterFlags(flags)
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "Manage the cluster only while holding the lease; needed with more than one replica.")
	flags.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "Namespace of the lease. Default: the pod's own.")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", "0", "Address for /metrics, for example :8443. 0 turns it off.")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", true, "Serve /metrics over TLS, to callers whom the API server knows and allows.")
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Address for /healthz and /readyz. 0 turns it off.")
	flags.StringVar(&o.pprofAddress, "pprof-bind-address", "0", "Address for /debug/pprof, whose profiles tell what is in memory to everybody who reaches it: such as 127.0.0.1:6060. 0 turns it off.")
	flags.StringVar(&o.watchNamespaces, "watch-namespaces", "", "Namespaces to manage, separated by commas. Default: all.")
	o.meshConfig = types.NamespacedName{Namespace: "istio-system", Name: "istio"}
	flags.Func("mesh-config", "Namespace and name of the ConfigMap with Istio's mesh config, from which the root namespace is read at the start. (default istio-system/istio)", o.setMeshConfig)
	flags.BoolVar(&o.allowRootNamespaceScope, "allow-root-namespace-scope", false, "Accept scope Namespace in the mesh's root namespace, where it means every proxy of the mesh.")
	flags.StringVar(&o.istioVersion, "istio-version", translate.DefaultIstioVersion, "Release of the mesh's oldest istiod. What it would misread is refused.")
	flags.DurationVar(&o.secretRefresh, "secret-refresh-interval", 5*time.Minute, "How often to look whether the Secrets that plugins name have changed; at least 10s.")
	flags.IntVar(&o.concurrency, "max-concurrent-reconciles", 16, "How many plugins are worked on at a time.")
	o.modules.add(flags)
	o.proxies.add(flags)
	flags.BoolVar(&o.version, "version", false, "Print the version and exit.")
	o.zap.BindFlags(flags)
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintln(output, err)
		return options{}, err
	}
	return o, nil
}

func (o *options) setMeshConfig(value string) error {
	namespace, name, ok := strings.Cut(value, "/")
	if !ok || namespace == "" || name == "" {
		return errors.New("write namespace/name, for example istio-system/istio")
	}
	o.meshConfig = types.NamespacedName{Namespace: namespace, Name: name}
	return nil
}

func (o *options) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unknown argument %q; the operator takes flags only, see --help", rest[0])
	}
	if o.concurrency < 1 {
		return errors.New("--max-concurrent-reconciles must be 1 or more")
	}
	if _, err := translate.IstioMinor(o.istioVersion); err != nil {
		return fmt.Errorf("--istio-version: %w", err)
	}
	if o.secretRefresh < shortestSecretRefresh {
		return fmt.Errorf("--secret-refresh-interval must be %s or more", shortestSecretRefresh)
	}
	return errors.Join(o.modules.check(), o.proxies.check())
}

// rendering is what the installation says to whoever renders.
func (o options) rendering(rootNamespace string) translate.Options {
	return translate.Options{
		RootNamespace: rootNamespace, AllowRootNamespaceScope: o.allowRootNamespaceScope, IstioVersion: o.istioVersion,
		ResolveModules: o.modules.resolve, StoreURL: o.modules.storeURL,
		RequireDigest: o.modules.requireDigest, RequireSignature: o.modules.requireSigned, ObserveProxies: o.proxies.observe,
	}
}

func (o options) manager() ctrl.Options {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(wasmv1alpha1.AddToScheme(scheme))
	metrics := metricsserver.Options{BindAddress: o.metricsAddress, SecureServing: o.metricsSecure}
	if o.metricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
		metrics.TLSOpts = []func(*tls.Config){func(c *tls.Config) { c.MinVersion = tls.VersionTLS12 }}
	}
	return ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metrics,
		HealthProbeBindAddress:        o.probeAddress,
		PprofBindAddress:              o.pprofAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaderElectionID,
		LeaderElectionNamespace:       o.leaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true, // the process ends when the manager does
		// Of the 15 s of a lease: a try to renew it every 2 s, for 8 s, and then for half of that one to give it back, during
		// which a leader still writes. With the usual 10 s that would be more than the lease lasts.
		RenewDeadline: new(8 * time.Second),
		Cache: cache.Options{
			ByObject:                    controllers.CacheByObject(),
			DefaultNamespaces:           o.namespaces(),
			ReaderFailOnMissingInformer: true, // a stray read must not start a watch of a whole kind
		},
	}
}

func (o options) namespaces() map[string]cache.Config {
	namespaces := map[string]cache.Config{}
	for name := range strings.SplitSeq(o.watchNamespaces, ",") {
		if name = strings.TrimSpace(name); name != "" {
			namespaces[name] = cache.Config{}
		}
	}
	if len(namespaces) == 0 {
		return nil
	}
	return namespaces
}
