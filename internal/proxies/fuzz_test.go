// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"testing"
)

// FuzzDecode reads what an istiod may say: an error or proxies that can be told apart, never a panic.
func FuzzDecode(f *testing.F) {
	adsz, syncz := adszOf(connectionOf("gw.shop-1", ours), connectionOf("gw.shop-2")), list(stateOf("gw.shop", "router"), stateOf("a.shop", "sidecar"))
	f.Add([]byte(adsz), []byte(syncz), []byte(dump))
	f.Add([]byte(adsz), []byte(`[{"proxy": "gw.shop", "proxy_type": "router", "resources": null}]`), []byte(`{"configs": [null, {"@type": ""}]}`))
	f.Add([]byte(`{"clients": [{"connectionId": "-1"}, {"connectionId": "a-18446744073709551616"}, {}]}`), []byte(`[{}]`), []byte(`{"configs": null}`))
	f.Add([]byte(`null`), []byte(`null`), []byte(`null`))
	f.Add([]byte(`{"statusCode":"404"}Proxy not connected`), []byte(nonce7), []byte(nonce9))
	f.Fuzz(func(t *testing.T, adsz, syncz, dump []byte) {
		proxies, err := DecodeProxies(adsz, syncz)
		if err != nil && proxies != nil {
			t.Errorf("both %v and %v", proxies, err)
		}
		seen := map[string]bool{}
		for _, proxy := range proxies {
			if proxy.ID == "" || seen[proxy.ID] || !isProxy(proxy.Type) || proxy.Watches == nil {
				t.Errorf("got %+v", proxy)
			}
			seen[proxy.ID] = true
		}
		extensions, err := DecodeExtensions(dump)
		if err != nil && extensions != nil {
			t.Errorf("both %v and %v", extensions, err)
		}
		for name, message := range extensions {
			if message == nil {
				t.Errorf("%q is nothing", name)
			}
		}
		if start, _, ok := PushVersion(string(syncz)); ok && start == "" {
			t.Errorf("%q has no start", syncz)
		}
		if body, err := withoutStatus(adsz); (err == nil) == (body == nil) {
			t.Errorf("got %q, %v", body, err)
		}
	})
}
