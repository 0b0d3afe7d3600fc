// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"

	"github.com/solarmesh/wasmplugin-operator/test/conformance/ads"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

// runsAsExpected works out, as Envoy does, which of a plugin's filters run on the requests of each route, and compares
// the rules that these filters are given with those of the case.
func (v *view) runsAsExpected(proxy table.Proxy) error {
	if proxy.Runs == nil {
		return nil
	}
	used := make([]bool, len(proxy.Runs))
	for _, chain := range v.config.Chains {
		if !slices.Contains(v.at[v.side.plugins[0].ID()], v.place(chain)) {
			continue
		}
		for _, host := range v.config.RouteConfiguration(chain).GetVirtualHosts() {
			for _, route := range host.GetRoutes() {
				got, err := v.rulesOn(chain, host, route)
				if err != nil {
					return err
				}
				index := v.expectedRun(proxy.Runs, host, route)
				used[index] = true
				if want := rulesOf(proxy.Runs[index]); !cmp.Equal(want, got) {
					return fmt.Errorf("%s, virtual host %s, route %s: runs with %q, expected %q",
						v.place(chain), host.GetName(), route.GetName(), got, want)
				}
			}
		}
	}
	if index := slices.Index(used, false); index >= 0 {
		return fmt.Errorf("no route is one of %+v", proxy.Runs[index])
	}
	return nil
}

// expectedRun is the index of the last entry that names a route.
func (v *view) expectedRun(runs []table.Run, host *routev3.VirtualHost, route *routev3.Route) int {
	for i, run := range slices.Backward(runs) {
		domain, name := in(v.side.namespace, run.Host), in(v.side.namespace, run.Route)
		if (domain == "" || slices.Contains(host.GetDomains(), domain)) && (name == "" || name == route.GetName()) {
			return i
		}
	}
	return 0
}

// rulesOf are the rules of an entry, as texts of one form: none, or one.
func rulesOf(run table.Run) []string {
	if run.Rules == nil {
		return nil
	}
	text, err := yaml.Marshal(run.Rules)
	if err != nil {
		panic(err)
	}
	raw, err := yaml.YAMLToJSON(text)
	if err != nil {
		panic(err)
	}
	return []string{sameValue(string(raw))}
}

// rulesOn are the rules of all filters of the plugin that run on a route's requests.
func (v *view) rulesOn(chain ads.Chain, host *routev3.VirtualHost, route *routev3.Route) ([]string, error) {
	var rules []string
	id := v.side.plugins[0].ID()
	for _, filter := range chain.Requests {
		if word := v.side.word(filter.Name); word != id && word != id+"~" {
			continue
		}
		runs := !filter.Disabled
		for _, overrides := range []map[string]*anypb.Any{host.GetTypedPerFilterConfig(), route.GetTypedPerFilterConfig()} {
			if override, ok := overrides[filter.Name]; ok {
				var err error
				if runs, err = switchedOn(override); err != nil {
					return nil, fmt.Errorf("typed_per_filter_config of %s: %w", filter.Name, err)
				}
			}
		}
		if !runs {
			continue
		}
		config, _, err := v.pluginConfig(filter)
		if err != nil {
			return nil, err
		}
		text, err := configurationOf(config)
		if err != nil {
			return nil, err
		}
		rules = append(rules, sameValue(text))
	}
	return rules, nil
}

// switchedOn reads one entry of typed_per_filter_config. Envoy knows no configuration of a Wasm filter per route; an
// empty one in a FilterConfig switches a disabled filter on, and is_optional keeps Envoy from refusing it.
func switchedOn(override *anypb.Any) (bool, error) {
	config := &routev3.FilterConfig{}
	if err := override.UnmarshalTo(config); err != nil {
		return false, err
	}
	if config.GetDisabled() {
		return false, nil
	}
	if !config.GetIsOptional() || !config.GetConfig().MessageIs(&httpwasmv3.Wasm{}) {
		return false, fmt.Errorf("Envoy would refuse %v", config)
	}
	return true, nil
}
