// SPDX-License-Identifier: Apache-2.0

package translate

import "testing"

func TestFingerprint(t *testing.T) {
	seen := map[string]Options{}
	for _, options := range []Options{
		{RootNamespace: "istio-system"},
		{RootNamespace: "mesh"},
		{RootNamespace: "istio-system", AllowRootNamespaceScope: true},
		{RootNamespace: "istio-system", IstioVersion: "1.26"},
		{RootNamespace: "istio-system", ResolveModules: true},
		{RootNamespace: "istio-system", ResolveModules: true, StoreURL: "http://store"},
		{RootNamespace: "istio-system", ResolveModules: true, StoreURL: "http://other"},
		{RootNamespace: "istio-system", ResolveModules: true, RequireDigest: true},
		{RootNamespace: "istio-system", ResolveModules: true, RequireSignature: true},
	} {
		fingerprint, err := Fingerprint(options)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Fingerprint(options)
		if err != nil || again != fingerprint {
			t.Errorf("%+v: %s, then %s, %v", options, fingerprint, again, err)
		}
		options.ObserveProxies = true
		if observing, err := Fingerprint(options); err != nil || observing != fingerprint {
			t.Errorf("%+v: %s, without observing proxies %s, %v", options, observing, fingerprint, err)
		}
		if other, taken := seen[fingerprint]; taken {
			t.Errorf("%+v has the fingerprint of %+v", options, other)
		}
		seen[fingerprint] = options
	}
}

// TestFingerprintRenders sees that each sample but the one that a flag forbids is rendered, so that a change of the
// rendering shows.
func TestFingerprintRenders(t *testing.T) {
	options := Options{RootNamespace: "istio-system", AllowRootNamespaceScope: true, ResolveModules: true, StoreURL: "http://store"}
	for _, plugin := range fingerprintPlugins(options.RootNamespace) {
		pairs, invalid, err := fingerprintPairs(fingerprintInput(plugin, options))
		if err != nil || invalid != nil || (len(pairs) < 3 && !isNetwork(plugin.Spec)) {
			t.Errorf("%+v: %d pairs, %v, %v", plugin.Spec, len(pairs), invalid, err)
		}
	}
}
