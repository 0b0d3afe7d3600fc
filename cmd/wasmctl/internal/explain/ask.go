// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/istiod"
	"github.com/solarmesh/wasmplugin-operator/internal/explain"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
)

// ask fills in what the istiods say. It fails where none of them can be read.
func (o *explainOptions) ask(ctx context.Context, found []istiod.Istiod, in *explain.Input) error {
	var failures []error
	for _, one := range found {
		said := explain.Istiod{Name: one.Name, Revision: one.Revision, Dumps: map[string]explain.Dump{}}
		known, err := proxiesOf(ctx, one)
		if err != nil {
			failures = append(failures, err)
			said.Problem = problemOf(err)
		}
		said.Proxies = known
		in.Istiods = append(in.Istiods, said)
	}
	if len(failures) == len(found) {
		return cmp.Or(ctx.Err(), failures[0])
	}
	in.RootNamespace = cmp.Or(o.rootNamespace, rootNamespace(ctx, found), o.Options.Namespace)
	left := o.most
	for i, one := range found {
		for _, proxy := range in.Matched(in.Istiods[i]) {
			if left == 0 {
				return ctx.Err()
			}
			left--
			dumped, err := dumpOf(ctx, one, proxy.Connection)
			if status, gone := errors.AsType[*proxies.StatusError](err); gone && status.Code < 500 {
				continue // it has gone in the meantime
			}
			if err != nil {
				return err
			}
			in.Istiods[i].Dumps[proxy.Connection] = dumped
		}
	}
	return ctx.Err()
}

func problemOf(err error) string {
	if known, ok := errors.AsType[*proxies.Error](err); ok {
		return known.Text
	}
	return err.Error()
}

// question asks for one thing.
func question(ctx context.Context, one istiod.Istiod, resource string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, istiodPatience)
	defer cancel()
	return one.Ask(ctx, resource)
}

func proxiesOf(ctx context.Context, one istiod.Istiod) ([]proxies.Proxy, error) {
	syncz, err := question(ctx, one, "syncz")
	if err != nil {
		return nil, err
	}
	adsz, err := question(ctx, one, "adsz")
	if err != nil {
		return nil, err
	}
	known, err := proxies.DecodeProxies(adsz, syncz)
	if err != nil {
		return nil, &proxies.Error{Istiod: one.Name, Reason: proxies.Garbage, Text: err.Error()}
	}
	return known, nil
}

// rootNamespace is what one of the istiods has in its mesh config; empty where none says.
func rootNamespace(ctx context.Context, found []istiod.Istiod) string {
	for _, one := range found {
		content, err := question(ctx, one, "mesh")
		var mesh struct {
			RootNamespace string `json:"rootNamespace"`
		}
		if err == nil && json.Unmarshal(content, &mesh) == nil && mesh.RootNamespace != "" {
			return mesh.RootNamespace
		}
	}
	return ""
}

// dumpOf asks by the connection: istiod takes the first proxy that has these words in its id.
//
// istiod (1.31 at least) answers 500 to a question for extensions where one of them is a WasmPlugin of Istio's without a
// pluginConfig: it gives that an empty Any, which its own writer of JSON has no type for.
func dumpOf(ctx context.Context, one istiod.Istiod, connection string) (explain.Dump, error) {
	proxy := "&proxyID=" + url.QueryEscape(connection)
	content, err := question(ctx, one, "config_dump?types=lds,rds,ecds"+proxy)
	status, refused := errors.AsType[*proxies.StatusError](err)
	if !refused || status.Code < 500 {
		return explain.Dump{Content: content}, err
	}
	content, err = question(ctx, one, "config_dump?types=lds,rds"+proxy)
	return explain.Dump{
		Content:      content,
		NoExtensions: status.Error() + " when it is asked for them, as it does where a WasmPlugin of Istio's without pluginConfig is among them",
	}, err
}
