// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/solarmesh/wasmplugin-operator/test/conformance/ads"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

// view is what istiod sends to one proxy, in the words of the case.
type view struct {
	side   side
	proxy  ads.Proxy
	config *ads.Config
	// at are the places of each plugin's filter, chains the filters of every chain of a place.
	at     map[string][]string
	chains map[string][]placed
	// filters are those of the plugins, but for the ones of overrides.
	filters map[string]ads.Filter
}

// placed are the filters of one chain by the names that the case gives them, of connections and of requests.
type placed struct{ network, requests []string }

// with are the filters among which a plugin stands.
func (p placed) with(plugin string) []string {
	if slices.Contains(p.network, plugin) {
		return p.network
	}
	return p.requests
}

func newView(s side, proxy ads.Proxy, config *ads.Config) (*view, error) {
	v := &view{
		side: s, proxy: proxy, config: config,
		at: map[string][]string{}, chains: map[string][]placed{}, filters: map[string]ads.Filter{},
	}
	for _, chain := range config.Chains {
		place := v.place(chain)
		v.chains[place] = append(v.chains[place], placed{s.words(chain.Network), s.words(chain.Requests)})
		for _, filter := range chain.Filters {
			v.filters[s.word(filter.Name)] = filter
		}
	}
	for _, plugin := range s.plugins {
		id := plugin.ID()
		for place, chains := range v.chains {
			in, err := chainsWith(id, chains)
			if err != nil {
				return nil, fmt.Errorf("%s of %s: %w", place, proxy, err)
			}
			switch in {
			case 0:
			case len(chains):
				v.at[id] = append(v.at[id], place)
			default:
				v.at[id] = append(v.at[id], fmt.Sprintf("%s (%d of %d chains)", place, in, len(chains)))
			}
		}
		slices.Sort(v.at[id])
	}
	return v, nil
}

// chainsWith counts the chains of a place that have a filter. None may have it twice.
func chainsWith(id string, chains []placed) (int, error) {
	count := 0
	for _, chain := range chains {
		filters := slices.Concat(chain.network, chain.requests)
		first := slices.Index(filters, id)
		if first < 0 {
			continue
		}
		count++
		if slices.Contains(filters[first+1:], id) {
			return 0, fmt.Errorf("%s is there twice: %q", id, filters)
		}
	}
	return count, nil
}

func (s side) words(filters []ads.Filter) []string {
	var words []string
	for _, filter := range filters {
		words = append(words, s.word(filter.Name))
	}
	return words
}

// word names a filter as the case does: those of the side's plugins by their IDs, those of their overrides by ID and "~",
// others of Istio's own kind by "native:NAME".
func (s side) word(filter string) string {
	name, override, ok := s.kind.plugin(filter)
	for _, plugin := range s.plugins {
		if !ok || name != s.namespaceOf(plugin.In)+"."+s.objectName(plugin) {
			continue
		}
		if override {
			return plugin.ID() + "~"
		}
		return plugin.ID()
	}
	if name, _, ok := native.plugin(filter); ok {
		_, object, _ := strings.Cut(name, ".")
		return "native:" + object
	}
	return filter
}

var virtualIP = regexp.MustCompile(`^[1-9][0-9.]+_`)

// place names a filter chain so that it is the same in both worlds: LISTENER, or LISTENER/CHAIN where the chain has a
// name. A Service's address is VIP.
func (v *view) place(chain ads.Chain) string {
	place := virtualIP.ReplaceAllString(chain.Listener, "VIP_")
	if chain.Name != "" {
		place += "/" + chain.Name
	}
	return strings.ReplaceAll(place, v.proxy.Namespace, "NAMESPACE")
}

// asExpected compares with what the case says of ours.
func (v *view) asExpected(proxy table.Proxy) error {
	for _, plugin := range v.side.plugins {
		id := plugin.ID()
		if difference := cmp.Diff(proxy.Each[id], v.at[id], cmpopts.EquateEmpty()); difference != "" {
			return fmt.Errorf("%s stands in other places (-expected +seen):\n%s", id, difference)
		}
		if err := v.sameChains(v.at[id], id, proxy.Chain); err != nil {
			return err
		}
		if len(v.at[id]) == 0 {
			continue
		}
		if err := v.pluginAsExpected(plugin); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	if err := v.separateVMs(); err != nil {
		return err
	}
	return v.runsAsExpected(proxy)
}

// asNativeExpected compares with what the case says of Istio's own.
func (v *view) asNativeExpected(proxy table.Proxy) error {
	chain := proxy.Chain
	if proxy.NativeChain != nil {
		chain = proxy.NativeChain
	}
	for _, plugin := range v.side.plugins {
		id := plugin.ID()
		want := proxy.Each[id]
		if proxy.NativeAt != nil {
			want = *proxy.NativeAt
		}
		if difference := cmp.Diff(want, v.at[id], cmpopts.EquateEmpty()); difference != "" {
			return fmt.Errorf("%s stands in other places (-expected +seen):\n%s", id, difference)
		}
		if err := v.sameChains(v.at[id], id, chain); err != nil {
			return err
		}
	}
	return nil
}

// sameChains compares every chain of some places with an expected one, if there is one.
func (v *view) sameChains(places []string, id string, want []string) error {
	if want == nil {
		return nil
	}
	for _, place := range places {
		for _, chain := range v.chains[place] {
			if difference := cmp.Diff(want, chain.with(id)); difference != "" {
				return fmt.Errorf("the filters of %s stand otherwise (-expected +seen):\n%s", place, difference)
			}
		}
	}
	return nil
}
