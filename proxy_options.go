// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/solarmesh/wasmplugin-operator/controllers"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
)

// proxyOptions say how to find out what proxies do.
type proxyOptions struct {
	observe    bool
	namespace  string
	addresses  string
	serverName string
	caFile     string
	tokenFile  string
	debugURL   string
}

func (o *proxyOptions) add(flags *flag.FlagSet) {
	flags.BoolVar(&o.observe, "observe-proxies", false, "Ask istiod what its proxies do. Without it the status doesn't know, and changes come into force without a trial.")
	flags.StringVar(&o.namespace, "istiod-namespace", "", "Namespace of istiod's EndpointSlices, by which it is found. Default: that of --mesh-config.")
	flags.StringVar(&o.addresses, "istiod-addresses", "", "HOST:PORT of each istiod's TLS port, separated by commas, instead of its EndpointSlices.")
	flags.StringVar(&o.serverName, "istiod-server-name", "istiod.istio-system.svc", "Name in istiod's certificate, with --istiod-addresses.")
	flags.StringVar(&o.caFile, "istiod-ca-file", "/var/run/secrets/istio/root-cert.pem", "PEM file with the certificate authority of istiod's certificate.")
	flags.StringVar(&o.tokenFile, "istiod-token-file", "/var/run/secrets/istiod/token", "File with a token of audience istio-ca of a ServiceAccount in the mesh's root namespace.")
	flags.StringVar(&o.debugURL, "istiod-debug-url", "", "URL of the plain HTTP port of an istiod on this machine, instead of all the above.")
}

func (o *proxyOptions) check() error {
	if !o.observe {
		return nil
	}
	for _, address := range o.static() {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("--istiod-addresses: %q must be HOST:PORT", address)
		}
	}
	if o.debugURL != "" && o.addresses != "" {
		return errors.New("--istiod-debug-url and --istiod-addresses exclude each other")
	}
	return nil
}

func (o *proxyOptions) static() []string {
	var addresses []string
	for address := range strings.SplitSeq(o.addresses, ",") {
		if address = strings.TrimSpace(address); address != "" {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// rollouts sets up what asks istiod; nil where nothing does.
func (o *proxyOptions) rollouts(manager ctrl.Manager, meshConfig types.NamespacedName, rootNamespace string) (*controllers.Rollouts, error) {
	if !o.observe {
		return nil, nil //nolint:nilnil // nobody looks at proxies, and that is no error
	}
	rollouts := &controllers.Rollouts{}
	find, dial := o.finder(manager, meshConfig), o.dialer(rootNamespace)
	observer := proxies.NewObserver(find, dial, rollouts.Notify)
	observer.Count = proxies.CountOver(&http.Client{
		// Straight to the proxy, and nowhere else.
		Transport:     &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	rollouts.Proxies = observer
	if err := manager.Add(observer); err != nil {
		return nil, fmt.Errorf("set up the asking of istiod: %w", err)
	}
	return rollouts, nil
}

func (o *proxyOptions) finder(manager ctrl.Manager, meshConfig types.NamespacedName) proxies.Finder {
	if o.debugURL != "" {
		return proxies.Static([]string{o.debugURL}, "")
	}
	if addresses := o.static(); len(addresses) > 0 {
		return proxies.Static(addresses, o.serverName)
	}
	namespace := o.namespace
	if namespace == "" {
		namespace = meshConfig.Namespace
	}
	return proxies.FromSlices(proxies.Slices(manager.GetAPIReader(), namespace))
}

func (o *proxyOptions) dialer(rootNamespace string) func(proxies.Istiod) (proxies.Asker, error) {
	return func(istiod proxies.Istiod) (proxies.Asker, error) {
		if o.debugURL != "" {
			return proxies.DialLoopback(o.debugURL)
		}
		return proxies.Dial(istiod, proxies.DialOptions{CAFile: o.caFile, TokenFile: o.tokenFile, Namespace: rootNamespace})
	}
}
