// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// failover is how long nobody writes, in seconds, from the end of a leader to the first write of the next one.
type failover struct {
	Killed    float64 `json:"killed"`
	Stopped   float64 `json:"stopped"`
	SpecReads int     `json:"specReads"`
	// Writes are those of the new leader beside what was new.
	Writes int `json:"writes"`
}

const leasePath = "/apis/coordination.k8s.io/v1/namespaces/wasmplugin-system/leases/wasmplugin-operator.solarmesh.io"

// failOver runs two replicas, while all plugins stand. It creates two more.
func (w *world) failOver(ctx context.Context, f fleet) (found failover, err error) {
	elect := []string{"--leader-elect", "--leader-election-namespace=wasmplugin-system"}
	first, err := w.startOperator(ctx, "replica-1", w.ours, elect...)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, first.Kill(ctx)) }()
	if err := errors.Join(w.held(ctx), first.ready(ctx, f.n)); err != nil {
		return found, err
	}
	second, err := w.startOperator(ctx, "replica-2", w.raws, elect...)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, second.Kill(ctx)) }()
	if found.Killed, err = w.takeOver(ctx, f, f.n, first, second, first.Kill); err != nil {
		return found, fmt.Errorf("a leader that was killed: %w", err)
	}
	first.Reset() // what it watched in its first life doesn't count
	if err := first.restart(ctx); err != nil {
		return found, err
	}
	if found.Stopped, err = w.takeOver(ctx, f, f.n+1, second, first, second.Stop); err != nil {
		return found, fmt.Errorf("a leader that was stopped: %w", err)
	}
	t := first.traffic()
	found.SpecReads, found.Writes = t.SpecReads-1, t.Writes-writesOf
	return found, first.Stop(ctx) // it gives the lease back
}

// takeOver ends a leader, creates the i-th plugin, and returns the seconds until the next leader has written for it.
func (w *world) takeOver(ctx context.Context, f fleet, i int, leader, next *operator, end func(context.Context) error) (float64, error) {
	// A replica that waits lists and watches, and then is as ready as it can be.
	err := chain.Until(ctx, func(context.Context) error {
		if seen := next.traffic().Requests; seen["WATCH envoyfilters"] == 0 || seen["WATCH wasmplugins"] == 0 {
			return errors.New("the replica that waits doesn't watch")
		}
		return nil
	})
	if err := errors.Join(err, leader.rest(ctx)); err != nil {
		return 0, err
	}
	next.Reset()
	start := time.Now()
	if err := end(ctx); err != nil {
		return 0, err
	}
	if _, err := f.create(ctx, w.admin, i); err != nil {
		return 0, err
	}
	at, err := next.wait(ctx, 1)
	if err != nil {
		return 0, err
	}
	_, err = next.wait(ctx, writesOf)
	return at.Sub(start).Seconds(), errors.Join(err, next.rest(ctx))
}

// held waits until somebody holds the lease.
func (w *world) held(ctx context.Context) error {
	return untilNil(ctx, time.Minute, func(ctx context.Context) error {
		body, err := w.admin.do(ctx, request{method: http.MethodGet, path: leasePath})
		if err != nil {
			return err
		}
		var lease struct {
			Spec struct {
				Holder string `json:"holderIdentity"`
			} `json:"spec"`
		}
		if err := json.Unmarshal(body, &lease); err != nil {
			return err
		}
		if lease.Spec.Holder == "" {
			return errors.New("nobody holds the lease")
		}
		return nil
	})
}
