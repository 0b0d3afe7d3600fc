// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// namespace is where all plugins are.
const namespace = "bench"

const (
	pluginsPath      = "/apis/wasm.solarmesh.io/v1alpha1/namespaces/" + namespace + "/wasmplugins"
	envoyFiltersPath = "/apis/networking.istio.io/v1alpha3/namespaces/" + namespace + "/envoyfilters"
)

// fleet is that many plugins, whose rules have about that many bytes; with 0 they say little.
type fleet struct {
	n, rules int
}

func (f fleet) name(i int) string { return fmt.Sprintf("plugin-%05d", i) }

// rulesOf are the rules of a plugin in their v-th version.
func (f fleet) rulesOf(version int) string {
	list := []string{fmt.Sprintf(`{"prefix":"/productpage","request_methods":["GET","POST"],"credentials":["ok:test","YWRtaW4zOmFkbWluMw=="],"version":%d}`, version)}
	for size := len(list[0]); size < f.rules; size += len(list[len(list)-1]) + 1 {
		list = append(list, fmt.Sprintf(`{"prefix":"/path/%06d","request_methods":["GET"],"credentials":["user-%06d:password"]}`, size, size))
	}
	return `{"basic_auth_rules":[` + strings.Join(list, ",") + `]}`
}

// object is the i-th plugin. A gateway has one in twenty.
func (f fleet) object(i int) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"wasm.solarmesh.io/v1alpha1","kind":"WasmPlugin","metadata":{"namespace":%q,"name":%q},"spec":{`+
		`"url":"oci://registry.example.com/plugins/basic-auth:1.4","pluginName":"basic_auth","rules":%s,`+
		`"selector":{"matchLabels":{"istio":"gateway-%d"}}}}`, namespace, f.name(i), f.rulesOf(1), i%20)
}

// create creates the i-th plugin.
func (f fleet) create(ctx context.Context, admin *api, i int) (metaOf, error) {
	return admin.doMeta(ctx, request{method: http.MethodPost, path: pluginsPath, contentType: asJSON, body: f.object(i)})
}

// patch merges JSON into the i-th plugin.
func (f fleet) patch(ctx context.Context, admin *api, i int, body string) error {
	_, err := admin.do(ctx, request{method: http.MethodPatch, path: pluginsPath + "/" + f.name(i), contentType: asMergePatch, body: []byte(body)})
	return err
}

// children are the names of the i-th plugin's EnvoyFilters.
func (f fleet) children(i int) []string {
	return []string{f.name(i) + "-config", f.name(i) + "-filter"}
}

// removePlugin deletes the i-th plugin, whose EnvoyFilters are the garbage collector's.
func (f fleet) removePlugin(ctx context.Context, admin *api, i int) error {
	_, err := admin.do(ctx, request{method: http.MethodDelete, path: pluginsPath + "/" + f.name(i)})
	return err
}

// collected says whether the EnvoyFilters of the first n plugins are gone.
func (f fleet) collected(ctx context.Context, admin *api, n int) error {
	for i := range n {
		for _, child := range f.children(i) {
			_, err := admin.do(ctx, request{method: http.MethodGet, path: envoyFiltersPath + "/" + child})
			if status := (*statusError)(nil); !errors.As(err, &status) || status.code != http.StatusNotFound {
				return fmt.Errorf("%s is left: %w", child, errors.Join(err))
			}
		}
	}
	return nil
}
