// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
	"github.com/solarmesh/wasmplugin-operator/internal/store/server"
	"github.com/solarmesh/wasmplugin-operator/internal/version"
)

// storeOptions is what the command line of the store says.
type storeOptions struct {
	bucket         string
	modulesAddress string
	uploadAddress  string
	certFile       string
	keyFile        string
	peers          string
	caFile         string
	tokenFile      string
	durable        bool
	grace          time.Duration
	quota          int64
	maxModule      int64
	drain          time.Duration
	metricsAddress string
	metricsSecure  bool
	zap            zap.Options
}

// runStore keeps modules and serves them to proxies.
func runStore(ctx context.Context, args []string, stderr io.Writer) error {
	options, err := parseStoreFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errUsage, err) // parseStoreFlags has said why
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&options.zap)))
	return keepStore(ctx, options, ctrlmetrics.Registry)
}

func parseStoreFlags(args []string, output io.Writer) (storeOptions, error) {
	var o storeOptions
	flags := flag.NewFlagSet("wasmplugin-operator store", flag.ContinueOnError)
	flags.SetOutput(output)
	config.RegisterFlags(flags)
	flags.StringVar(&o.bucket, "bucket", "", "Where modules are kept: file:///FOLDER; s3://, gs:// and azblob:// in the build that has them. Required.")
	flags.StringVar(&o.modulesAddress, "modules-bind-address", ":8082", "Address from which proxies fetch modules, over plain HTTP; also of /healthz and /readyz.")
	flags.StringVar(&o.uploadAddress, "upload-bind-address", ":8443", "Address for the manager, the other replicas and uploads, over TLS.")
	flags.StringVar(&o.certFile, "tls-cert-file", "", "Certificate of the upload address, in PEM form; read again when it changes. Required.")
	flags.StringVar(&o.keyFile, "tls-key-file", "", "Key of that certificate. Required.")
	flags.StringVar(&o.peers, "peers", "", "HOST:PORT of a headless Service of the replicas' upload addresses, when each has a folder of its own; or IP:PORT of each other replica, separated by commas.")
	flags.StringVar(&o.caFile, "ca-file", "", "Certificate authority of the peers' certificates, in PEM form. Default: ca.crt beside --tls-cert-file, or the system's.")
	flags.StringVar(&o.tokenFile, "token-file", "", "The store's own token, of the audience "+store.Audience+", with which it asks its peers.")
	flags.BoolVar(&o.durable, "durable", false, "Take uploads from tenants: the storage outlives the pods, and all replicas share it.")
	flags.DurationVar(&o.grace, "grace", 48*time.Hour, "For how long a module that nothing names any more is kept; at least 24h.")
	flags.Func("quota", "Bytes that the uploads of one namespace may take, such as 1Gi. 0: no bound. (default 0)", bytesInto(&o.quota, 0))
	o.maxModule = store.MaxModule
	flags.Func("max-module-size", "Bytes that one module may have, such as 64Mi. (default 256Mi)", bytesInto(&o.maxModule, 1))
	flags.DurationVar(&o.drain, "drain", 5*time.Second, "For how long requests are still taken after the signal to end.")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", "0", "Address for /metrics, for example :8444. 0 turns it off.")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", true, "Serve /metrics over TLS, to callers whom the API server knows and allows.")
	o.zap.BindFlags(flags)
	if err := flags.Parse(args); err != nil {
		return storeOptions{}, err
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintln(output, err)
		return storeOptions{}, err
	}
	return o, nil
}

func bytesInto(target *int64, least int64) func(string) error {
	return func(value string) error {
		quantity, err := resource.ParseQuantity(value)
		if err != nil || quantity.Value() < least {
			return errors.New("write a number of bytes, such as 67108864 or 64Mi")
		}
		*target = quantity.Value()
		return nil
	}
}

func (o storeOptions) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unknown argument %q; the store takes flags only, see --help", rest[0])
	case o.bucket == "":
		return errors.New("--bucket is required: say where modules are kept, for example file:///var/lib/modules")
	case o.certFile == "" || o.keyFile == "":
		return errors.New("--tls-cert-file and --tls-key-file are required: tokens travel over TLS only")
	case o.peers != "" && o.tokenFile == "":
		return errors.New("--peers needs --token-file: the replicas ask one another with a token")
	case o.peers != "" && o.durable:
		return errors.New("--durable and --peers exclude each other: uploads need one storage that all replicas share")
	case o.grace < server.MinGrace:
		return fmt.Errorf("--grace must be %s or more: for so long the proxies' agents may fetch a module again", server.MinGrace)
	default:
		return nil
	}
}

// keepStore runs a store until the context ends.
func keepStore(ctx context.Context, options storeOptions, registry prometheus.Registerer) error {
	log := ctrl.Log.WithName("store")
	log.Info("Starting", "version", version.Version)
	cluster, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w; give --kubeconfig, or run in a pod", err)
	}
	certificates, err := certwatcher.New(options.certFile, options.keyFile)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	built, err := newStore(ctx, options, cluster, registry)
	if err != nil {
		return err
	}
	listeners, err := options.listen(ctx, certificates.GetCertificate)
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return certificates.Start(running) })
	group.Go(func() error { return serveMetrics(running, options, cluster) })
	group.Go(func() error { return built.Serve(running, listeners) })
	return group.Wait()
}

func newStore(ctx context.Context, options storeOptions, cluster *rest.Config, registry prometheus.Registerer) (*server.Server, error) {
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return nil, fmt.Errorf("set up the client of the API server: %w", err)
	}
	settings := server.Options{
		Bucket: options.bucket, Durable: options.durable, Grace: options.grace, Quota: options.quota, MaxModule: options.maxModule,
		Access: server.NewAccess(client), Registry: registry, Log: ctrl.Log.WithName("store"),
	}
	if options.peers != "" {
		find, host, err := server.ServicePeers(options.peers)
		if err != nil {
			return nil, fmt.Errorf("--peers: %w", err)
		}
		settings.Peers = find
		settings.PeerClient = store.ClientOptions{CAFile: options.authority(), ServerName: host, TokenFile: options.tokenFile}
	}
	return server.New(ctx, settings)
}

// authority is the file with the certificate authority of the peers, whose certificate is this replica's own.
func (o storeOptions) authority() string {
	if o.caFile != "" {
		return o.caFile
	}
	beside := filepath.Join(filepath.Dir(o.certFile), "ca.crt")
	if _, err := os.Stat(beside); err != nil {
		return ""
	}
	return beside
}

func (o storeOptions) listen(ctx context.Context, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (server.Listeners, error) {
	var network net.ListenConfig
	modules, err := network.Listen(ctx, "tcp", o.modulesAddress)
	if err != nil {
		return server.Listeners{}, fmt.Errorf("--modules-bind-address: %w", err)
	}
	uploads, err := network.Listen(ctx, "tcp", o.uploadAddress)
	if err != nil {
		return server.Listeners{}, fmt.Errorf("--upload-bind-address: %w", errors.Join(err, modules.Close()))
	}
	return server.Listeners{Modules: modules, Uploads: uploads, Certificate: certificate, Drain: o.drain}, nil
}

// serveMetrics serves them as the manager serves its own.
func serveMetrics(ctx context.Context, options storeOptions, cluster *rest.Config) error {
	if options.metricsAddress == "0" {
		return nil
	}
	client, err := rest.HTTPClientFor(cluster)
	if err != nil {
		return fmt.Errorf("set up the metrics: %w", err)
	}
	settings := metricsserver.Options{BindAddress: options.metricsAddress, SecureServing: options.metricsSecure}
	if options.metricsSecure {
		settings.FilterProvider = filters.WithAuthenticationAndAuthorization
		settings.TLSOpts = []func(*tls.Config){func(c *tls.Config) { c.MinVersion = tls.VersionTLS12 }}
	}
	metrics, err := metricsserver.NewServer(settings, cluster, client)
	if err != nil {
		return fmt.Errorf("set up the metrics: %w", err)
	}
	return metrics.Start(ctx)
}
