// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// writesOf is how many writes it takes to create a plugin: two EnvoyFilters and a status.
const writesOf = 3

// create creates all plugins while the operator works on them, until all are written.
func (w *world) create(ctx context.Context, o *operator, f fleet) (cost, error) {
	return w.measure(ctx, o.meter, o, func(ctx context.Context) (time.Time, error) {
		err := each(ctx, f.n, func(ctx context.Context, i int) error {
			_, err := f.create(ctx, w.admin, i)
			return err
		})
		if err != nil {
			return time.Time{}, err
		}
		done, err := o.wait(ctx, writesOf*f.n)
		return done, errors.Join(err, o.rest(ctx))
	})
}

// raw writes what the operator wrote for these plugins: the same requests, through a meter as well. The operator must not run.
func (w *world) raw(ctx context.Context, f fleet) (cost, error) {
	client := plainAPI(w.raws.URL)
	defer client.client.CloseIdleConnections()
	return w.measure(ctx, w.raws, nil, func(ctx context.Context) (time.Time, error) {
		err := each(ctx, f.n, func(ctx context.Context, i int) error {
			plugin, err := f.create(ctx, w.admin, i)
			if err != nil {
				return err
			}
			return w.replay(ctx, client, f, i, plugin)
		})
		return time.Now(), err
	})
}

// replay sends what was recorded for the i-th plugin, as if it were of this one.
func (w *world) replay(ctx context.Context, client *api, f fleet, i int, plugin metaOf) error {
	status := pluginsPath + "/" + f.name(i) + "/status"
	body := string(w.ours.recorded[status].body)
	uid, version := valueOf(body, "uid"), valueOf(body, "resourceVersion")
	if uid == "" {
		return fmt.Errorf("no status of %s was recorded", f.name(i))
	}
	adapted := strings.NewReplacer(uid, plugin.UID, `"resourceVersion":"`+version+`"`, `"resourceVersion":"`+plugin.Version+`"`)
	for _, path := range []string{envoyFiltersPath + "/" + f.children(i)[0], envoyFiltersPath + "/" + f.children(i)[1], status} {
		r := w.ours.recorded[path]
		if r.path == "" {
			return fmt.Errorf("no write of %s was recorded", path)
		}
		r.body = []byte(adapted.Replace(string(r.body)))
		if _, err := client.do(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// valueOf is the first value of a key in JSON as encoding/json writes it, where it is a string without escapes.
func valueOf(body, key string) string {
	_, rest, _ := strings.Cut(body, `"`+key+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// remove deletes everything, without the operator.
func (w *world) remove(ctx context.Context) error {
	for _, path := range []string{pluginsPath, envoyFiltersPath} {
		// The API server gives up after a minute, and what it has deleted until then stays deleted.
		err := chain.Until(ctx, func(ctx context.Context) error {
			_, err := w.admin.do(ctx, request{method: http.MethodDelete, path: path, accept: asMetadataList})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// change gives each plugin other rules.
func (w *world) change(ctx context.Context, o *operator, f fleet, version int) (cost, error) {
	body := `{"spec":{"rules":` + f.rulesOf(version) + `}}`
	return w.measure(ctx, o.meter, o, func(ctx context.Context) (time.Time, error) {
		if err := each(ctx, f.n, func(ctx context.Context, i int) error { return f.patch(ctx, w.admin, i, body) }); err != nil {
			return time.Time{}, err
		}
		done, err := o.wait(ctx, 2*f.n)
		return done, errors.Join(err, o.rest(ctx))
	})
}

// touch gives each plugin a label that says nothing to the operator, until it has looked at each.
func (w *world) touch(ctx context.Context, o *operator, f fleet, value string) (cost, error) {
	before, err := o.metric(ctx, "controller_runtime_reconcile_total")
	if err != nil {
		return cost{}, err
	}
	return w.measure(ctx, o.meter, o, func(ctx context.Context) (time.Time, error) {
		body := fmt.Sprintf(`{"metadata":{"labels":{"team":%q}}}`, value)
		if err := each(ctx, f.n, func(ctx context.Context, i int) error { return f.patch(ctx, w.admin, i, body) }); err != nil {
			return time.Time{}, err
		}
		return o.looked(ctx, int(before)+f.n)
	})
}

// restart stops the operator and starts it, until it has looked at each plugin.
func (w *world) restart(ctx context.Context, o *operator, f fleet, whilst ...func()) (cost, error) {
	if err := o.Stop(ctx); err != nil {
		return cost{}, err
	}
	var used float64
	c, err := w.measure(ctx, o.meter, nil, func(ctx context.Context) (time.Time, error) {
		if err := o.restart(ctx); err != nil {
			return time.Time{}, err
		}
		for _, do := range whilst {
			go do()
		}
		done, err := o.looked(ctx, f.n)
		if err != nil {
			return done, err
		}
		cpu, err := cpuOf(o.PID())
		used = cpu.Seconds()
		return done, err
	})
	c.OperatorCPU = used
	return c, err
}
