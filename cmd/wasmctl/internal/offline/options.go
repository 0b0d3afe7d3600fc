// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// inputOptions say which documents are read.
type inputOptions struct {
	files     []string
	namespace string
}

func (o *inputOptions) add(flags *pflag.FlagSet) {
	o.addFiles(flags)
	flags.StringVarP(&o.namespace, "namespace", "n", "default", "Namespace of documents that name none.")
}

func (o *inputOptions) addFiles(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&o.files, "filename", "f", nil, "File to read, - for standard input. May be repeated; further files may follow without -f.")
}

// complete takes the arguments for files, as the shell makes them of -f *.yaml.
func (o *inputOptions) complete(args []string) error {
	o.files = append(o.files, args...)
	if len(o.files) == 0 {
		return errors.New("name a file with -f, or - for standard input")
	}
	if o.namespace == "" {
		return errors.New("--namespace is empty; name one, or leave it out")
	}
	return nil
}

// renderingOptions say what the installation is like.
type renderingOptions struct {
	translate.Options
}

func (o *renderingOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.IstioVersion, "istio-version", translate.DefaultIstioVersion, "Release of the mesh's oldest istiod, as the operator's flag of this name.")
	flags.StringVar(&o.RootNamespace, "root-namespace", "istio-system", "The mesh's root namespace.")
	flags.BoolVar(&o.AllowRootNamespaceScope, "allow-root-namespace-scope", false, "Accept scope Namespace in the root namespace, as the operator's flag of this name.")
	flags.BoolVar(&o.ResolveModules, "resolve-modules", true, "The operator fetches and checks modules, as its flag of this name.")
	flags.StringVar(&o.StoreURL, "store-url", "", "URL of the store that proxies fetch modules from, as the operator's flag of this name. Default: no store.")
	flags.BoolVar(&o.RequireDigest, "require-digest", false, "Refuse modules that aren't pinned by a digest, as the operator's flag of this name.")
	flags.BoolVar(&o.RequireSignature, "require-signature", false, "Refuse modules without spec.verification, as the operator's flag of this name.")
}

func (o *renderingOptions) complete() error {
	if _, err := translate.IstioMinor(o.IstioVersion); err != nil {
		return fmt.Errorf("--istio-version: %w", err)
	}
	if o.RootNamespace == "" {
		return errors.New("--root-namespace is empty; name one, or leave it out")
	}
	return nil
}

// fetchOptions say from where modules may come.
type fetchOptions struct {
	pullSecretFile string
	caFile         string
	insecure       []string
	allowLoopback  bool
	blockPrivate   bool
	timeout        time.Duration

	flags *pflag.FlagSet
}

func (o *fetchOptions) add(all *pflag.FlagSet) {
	flags := pflag.NewFlagSet("fetch", pflag.ContinueOnError)
	o.flags = flags
	flags.StringVar(&o.pullSecretFile, "pull-secret-file", "", "File with the registry's credentials, in the form of a dockerconfigjson Secret, such as ~/.docker/config.json without a credential helper.")
	flags.StringVar(&o.caFile, "ca-file", "", "PEM file with certificate authorities to trust beside the system's.")
	flags.StringArrayVar(&o.insecure, "insecure-registry", nil, "HOST or HOST:PORT whose certificate is not verified, and that may speak plain HTTP. May be repeated.")
	flags.BoolVar(&o.allowLoopback, "allow-loopback", false, "Fetch from this machine too.")
	flags.BoolVar(&o.blockPrivate, "block-private", false, "Refuse private addresses.")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "Time for one module, from the first request to the last byte.")
	all.AddFlagSet(flags)
}

// unused refuses flags that would have no effect: who gives them believes that modules are looked at.
func (o *fetchOptions) unused() error {
	var err error
	o.flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed {
			err = fmt.Errorf("--%s has an effect only with --fetch", flag.Name)
		}
	})
	return err
}

// open reads the files that the options name, and makes a fetcher.
func (o *fetchOptions) open() (*fetcher, error) {
	if o.timeout <= 0 {
		return nil, errors.New("--timeout must be more than 0")
	}
	options := module.Options{
		Timeout: o.timeout, BlockPrivate: o.blockPrivate, AllowLoopback: o.allowLoopback, Insecure: o.insecure,
		ProxyFromEnvironment: true, // as every other tool of this machine
		// A command keeps all that it fetched until it ends, and has it to itself.
		Limits: module.Limits{InFlight: math.MaxInt64},
	}
	opened := &fetcher{}
	if o.caFile != "" {
		pem, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", cli.FileError(err))
		}
		if options.RootCAs, err = module.CertPool(pem); err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
	}
	if o.pullSecretFile != "" {
		var err error
		if opened.pullSecret, err = os.ReadFile(o.pullSecretFile); err != nil {
			return nil, fmt.Errorf("--pull-secret-file: %w", cli.FileError(err))
		}
	}
	opened.modules = module.New(options)
	return opened, nil
}
