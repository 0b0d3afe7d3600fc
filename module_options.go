// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/solarmesh/wasmplugin-operator/controllers"
	"github.com/solarmesh/wasmplugin-operator/internal/checker"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const (
	// shortestResolveInterval spares the registries: each plugin whose tag is followed asks.
	shortestResolveInterval = 10 * time.Second
	// maxModule is what Istio's agent accepts by default.
	maxModule = 256 << 20
	// cacheLimit bounds the folder of modules.
	cacheLimit = 1 << 30
)

// moduleOptions say what is done with modules.
type moduleOptions struct {
	resolve        bool
	interval       time.Duration
	caFile         string
	insecure       string
	blockPrivate   bool
	allowLoopback  bool
	useProxy       bool
	requireDigest  bool
	requireSigned  bool
	trustRootFile  string
	cacheDir       string
	dryStart       bool
	checkerSocket  string
	storeURL       string
	storeUploadURL string
	storeCAFile    string
	storeTokenFile string
}

func (o *moduleOptions) add(flags *flag.FlagSet) {
	flags.BoolVar(&o.resolve, "resolve-modules", true, "Fetch and check modules before proxies meet them. Otherwise proxies are left to fetch what the URL says.")
	flags.DurationVar(&o.interval, "module-resolve-interval", 10*time.Minute, "How often to look what a tag means, where imagePullPolicy is Always; at least 10s.")
	flags.StringVar(&o.caFile, "module-ca-file", "", "PEM file with certificate authorities of registries and web servers, beside the system's.")
	flags.StringVar(&o.insecure, "insecure-registries", "", "Registries and servers, as HOST or HOST:PORT separated by commas, whose certificate is not verified; a registry may also speak plain HTTP.")
	flags.BoolVar(&o.blockPrivate, "block-private-addresses", false, "Fetch modules from public addresses only.")
	flags.BoolVar(&o.allowLoopback, "allow-loopback-addresses", false, "Fetch modules also from where the operator runs; for tests.")
	flags.BoolVar(&o.useProxy, "proxy-from-environment", false, "Fetch modules through the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name.")
	flags.BoolVar(&o.requireDigest, "require-digest", false, "Refuse modules that aren't pinned by a digest.")
	flags.BoolVar(&o.requireSigned, "require-signature", false, "Refuse modules without spec.verification.")
	flags.StringVar(&o.trustRootFile, "signature-trust-root", "", "File with Sigstore's trusted_root.json, for signatures by identity.")
	flags.StringVar(&o.cacheDir, "module-cache-dir", defaultCacheDir(), "Folder in which modules are kept, 1 GiB at most. It may be emptied.")
	flags.BoolVar(&o.dryStart, "dry-start", true, "Start each plugin with its rules before proxies get it.")
	flags.StringVar(&o.checkerSocket, "checker-socket", "", "Socket of the checker, which starts plugins. Default: a process that the operator starts.")
	flags.StringVar(&o.storeURL, "store-url", "", "URL of the store that proxies fetch modules from, such as http://store.example.com. It makes delivery Store the default.")
	flags.StringVar(&o.storeUploadURL, "store-upload-url", "", "URL of the store's upload port, https://HOST:PORT; needed with --store-url.")
	flags.StringVar(&o.storeCAFile, "store-ca-file", "", "PEM file with the certificate authority of the store's upload port. Default: the system's.")
	flags.StringVar(&o.storeTokenFile, "store-token-file", "", "File with a token for the store, of audience "+store.Audience+"; needed with --store-url.")
}

func (o *moduleOptions) check() error {
	if !o.resolve {
		if o.storeURL != "" || o.requireDigest || o.requireSigned {
			return errors.New("--store-url, --require-digest and --require-signature need --resolve-modules")
		}
		return nil
	}
	if o.interval < shortestResolveInterval {
		return fmt.Errorf("--module-resolve-interval must be %s or more", shortestResolveInterval)
	}
	return o.checkStore()
}

func (o *moduleOptions) checkStore() error {
	if o.storeURL == "" {
		return nil
	}
	o.storeURL = strings.TrimSuffix(o.storeURL, "/")
	parsed, err := url.Parse(o.storeURL)
	if err != nil || parsed.Host == "" || !slices.Contains([]string{"http", "https"}, parsed.Scheme) || parsed.RawQuery != "" {
		return errors.New("--store-url must be http:// or https:// and a host that proxies reach, without a query")
	}
	if o.storeUploadURL == "" || o.storeTokenFile == "" {
		return errors.New("--store-url needs --store-upload-url and --store-token-file")
	}
	return nil
}

// modules sets up what resolves modules; nil where nothing does.
func (o *moduleOptions) modules(ctx context.Context, manager ctrl.Manager, config *rest.Config) (*controllers.Modules, error) {
	if !o.resolve {
		return nil, nil //nolint:nilnil // no modules are resolved, and that is no error
	}
	parts, client, err := o.parts(ctx, manager, config)
	if err != nil {
		return nil, err
	}
	modules := &controllers.Modules{Resolver: resolve.New(parts), DryStart: o.dryStart, Interval: o.interval, Store: client}
	if o.trustRootFile != "" {
		if modules.TrustRoot, err = os.ReadFile(o.trustRootFile); err != nil {
			return nil, fmt.Errorf("--signature-trust-root: %w", err)
		}
	}
	return modules, nil
}

func (o *moduleOptions) parts(ctx context.Context, manager ctrl.Manager, config *rest.Config) (parts resolve.Parts, client *store.Client, err error) {
	fetching, err := o.fetching(ctx, config)
	if err != nil {
		return parts, nil, err
	}
	fetcher := module.New(fetching)
	parts.Fetcher, parts.Memory = fetcher, fetcher.Memory()
	if parts.Cache, err = resolve.NewCache(o.cacheDir, cacheLimit); err != nil {
		return parts, nil, err
	}
	if o.dryStart {
		if parts.Checker, err = o.checker(manager); err != nil {
			return parts, nil, err
		}
	}
	if o.storeURL != "" {
		client, err = store.NewClient(store.ClientOptions{URL: o.storeUploadURL, CAFile: o.storeCAFile, TokenFile: o.storeTokenFile})
		if err != nil {
			return parts, nil, fmt.Errorf("set up the store: %w", err)
		}
		parts.Store = client
	}
	return parts, client, nil
}

// fetching says from where modules may come.
func (o *moduleOptions) fetching(ctx context.Context, config *rest.Config) (module.Options, error) {
	options := module.Options{
		BlockPrivate: o.blockPrivate, AllowLoopback: o.allowLoopback, ProxyFromEnvironment: o.useProxy, Limits: limits(),
		Blocked: blocked(ctx, config, o.allowLoopback),
	}
	for host := range strings.SplitSeq(o.insecure, ",") {
		if host = strings.TrimSpace(host); host != "" {
			options.Insecure = append(options.Insecure, host)
		}
	}
	if o.caFile == "" {
		return options, nil
	}
	pem, err := os.ReadFile(o.caFile)
	if err == nil {
		options.RootCAs, err = module.CertPool(pem)
	}
	if err != nil {
		return options, fmt.Errorf("--module-ca-file: %w", err)
	}
	return options, nil
}

// checker is the process that starts plugins, a container beside this one or a child.
func (o *moduleOptions) checker(manager ctrl.Manager) (*checker.Client, error) {
	if o.checkerSocket != "" {
		return checker.NewClient(checker.ClientOptions{Socket: o.checkerSocket}), nil
	}
	child, err := checker.NewChild(checker.ChildOptions{Stderr: os.Stderr, Log: ctrl.Log.WithName("checker")})
	if err != nil {
		return nil, err
	}
	if err := manager.Add(child); err != nil {
		return nil, fmt.Errorf("start a checker: %w", err)
	}
	return checker.NewClient(checker.ClientOptions{Socket: child.Socket()}), nil
}

// defaultCacheDir is one that a restart finds again.
func defaultCacheDir() string {
	folder, err := os.UserCacheDir()
	if err != nil {
		folder = os.TempDir() // a container's user has no home
	}
	return filepath.Join(folder, "wasmplugin-operator-modules")
}

// limits keep all modules together within half of the memory that GOMEMLIMIT leaves to the process.
func limits() module.Limits {
	memory := debug.SetMemoryLimit(-1)
	if memory == math.MaxInt64 {
		return module.Limits{}
	}
	inFlight := memory / 2
	const whatChunksTake = 4 << 20
	return module.Limits{InFlight: inFlight, Module: max(min(maxModule, inFlight/2-whatChunksTake), whatChunksTake)}
}

// blocked are the addresses of the API server and of this process: a module is at neither.
func blocked(ctx context.Context, config *rest.Config, loopback bool) []netip.Prefix {
	var addresses []netip.Addr
	if parsed, _, err := rest.DefaultServerUrlFor(config); err == nil { // a host without a scheme is one, too
		// A name that can't be resolved now leads nowhere later either, or to what is checked then.
		addresses, _ = net.DefaultResolver.LookupNetIP(ctx, "ip", parsed.Hostname())
	}
	own, _ := net.InterfaceAddrs()
	for _, address := range own {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil {
			addresses = append(addresses, prefix.Addr())
		}
	}
	var prefixes []netip.Prefix
	for _, address := range addresses {
		if address = address.Unmap().WithZone(""); !loopback || !address.IsLoopback() {
			prefixes = append(prefixes, netip.PrefixFrom(address, address.BitLen()))
		}
	}
	return prefixes
}
