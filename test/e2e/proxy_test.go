// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// getJSON reads from the admin interface of a proxy or from istiod.
func getJSON(ctx context.Context, url string, into any) error {
	answer, err := chain.Probe{URL: url}.Do(ctx)
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer)
	}
	return json.Unmarshal([]byte(answer.Body), into)
}

// listenerDump is what is read here of Envoy's config_dump of one listener.
type listenerDump struct {
	ActiveState struct {
		Listener struct {
			Address struct {
				SocketAddress struct {
					PortValue int `json:"port_value"`
				} `json:"socket_address"`
			}
			FilterChains []struct {
				Filters []struct {
					TypedConfig struct {
						HTTPFilters []struct{ Name string } `json:"http_filters"`
					} `json:"typed_config"`
				}
			} `json:"filter_chains"`
		}
	} `json:"active_state"`
}

// filters are the HTTP filters of a listener that is in force, in the order in which requests go through them.
func filters(ctx context.Context, proxy *chain.Proxy, port int) ([]string, error) {
	var dump struct{ Configs []listenerDump }
	if err := getJSON(ctx, proxy.AdminURL+"/config_dump?resource=dynamic_listeners", &dump); err != nil {
		return nil, err
	}
	for _, config := range dump.Configs {
		listener := config.ActiveState.Listener
		if listener.Address.SocketAddress.PortValue != port {
			continue
		}
		var names []string
		for _, chain := range listener.FilterChains {
			for _, filter := range chain.Filters {
				for _, httpFilter := range filter.TypedConfig.HTTPFilters {
					names = append(names, httpFilter.Name)
				}
			}
		}
		return names, nil
	}
	return nil, fmt.Errorf("%s has no listener on port %d that is in force", proxy.ID, port)
}

// hasFilter waits until a filter is in the chain of the gateway's first port.
func (g gateway) hasFilter(ctx context.Context, name string) []string {
	GinkgoHelper()
	var names []string
	Eventually(ctx, func(gm Gomega) {
		var err error
		names, err = filters(ctx, g.Proxy, g.Ports[0])
		gm.Expect(err).NotTo(HaveOccurred())
		gm.Expect(names).To(ContainElement(name))
	}).WithTimeout(patience).Should(Succeed())
	return names
}

// hasRules waits until Envoy has a plugin with a text in its configuration.
func (g gateway) hasRules(ctx context.Context, name, text string) {
	GinkgoHelper()
	probe := chain.Probe{URL: g.AdminURL + "/config_dump?resource=ecds_filters"}
	eventually(ctx, probe, []chain.Expect{chain.Body(name), chain.Body(text)})
}

// refuses waits until a proxy refuses a configuration in these words. What istiod knows of it (/debug/syncz) is gone with
// its next push, so Envoy's log is asked.
func refuses(ctx context.Context, proxy *chain.Proxy, words string) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	Expect(proxy.Until(ctx, func(context.Context) error {
		if !strings.Contains(proxy.Log(), words) {
			return fmt.Errorf("%s has refused nothing in the words %q", proxy.ID, words)
		}
		return nil
	})).To(Succeed())
}

// stat reads a counter or a gauge of Envoy.
func stat(ctx context.Context, proxy *chain.Proxy, name string) int {
	GinkgoHelper()
	var answer struct {
		Stats []struct {
			Name  string
			Value int
		}
	}
	Expect(getJSON(ctx, proxy.AdminURL+"/stats?format=json&filter=^"+name+"$", &answer)).To(Succeed())
	Expect(answer.Stats).To(HaveLen(1), "Envoy has no %s", name)
	return answer.Stats[0].Value
}
