// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

// control is a namespace with every world and no plugin: what reaches its proxies was meant for none of them.
var control = side{namespace: "control", kind: ours}

// controlCase has all worlds that have proxies, and those proxies.
var controlCase = table.Case{
	Worlds:  []string{"gateway", "sidecar", "gatewayapi", "waypoint"},
	Proxies: []table.Proxy{{Kind: "gateway"}, {Kind: "sidecar"}, {Kind: "gatewayapi"}, {Kind: "waypoint"}},
}

// expectControlUntouched asks for a proxy of each kind of the case's that no plugin selects.
func expectControlUntouched(ctx context.Context, c table.Case) {
	var kinds []string
	for _, proxy := range c.Proxies {
		if !slices.Contains(kinds, proxy.Kind) && !everyWaypoint(c) {
			kinds = append(kinds, proxy.Kind)
		}
	}
	for _, kind := range kinds {
		Eventually(ctx, func() error { return untouched(ctx, kind) }).Should(Succeed())
	}
}

// everyWaypoint says whether a plugin of the case is for all waypoints of the mesh.
func everyWaypoint(c table.Case) bool {
	return slices.ContainsFunc(c.Plugins, func(p table.Plugin) bool { return p.In == table.Root && p.Spec["targetRefs"] != nil })
}

func untouched(ctx context.Context, kind string) error {
	seen, err := look(ctx, control, table.Proxy{Kind: kind})
	if err != nil {
		return err
	}
	if len(seen.config.Chains) < 2 {
		return errors.New("the control proxy has no listeners")
	}
	for _, chain := range seen.config.Chains {
		for _, filter := range chain.Filters {
			_, _, our := ours.plugin(filter.Name)
			_, _, its := native.plugin(filter.Name)
			if our || its {
				return fmt.Errorf("%s, which no plugin selects, has %s in %s", seen.proxy, filter.Name, seen.place(chain))
			}
		}
	}
	return nil
}
