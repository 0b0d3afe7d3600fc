// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
)

// memory is what an operator has in memory, in bytes.
type memory struct {
	// Heap is what is alive, without garbage.
	Heap     int64 `json:"heap"`
	Resident int64 `json:"resident"`
	// Peak is the most that was resident since the start.
	Peak int64 `json:"peak"`
}

func (o *operator) memory(ctx context.Context) (memory, error) {
	var m memory
	var err error
	if m.Resident, err = o.Memory("VmRSS"); err != nil {
		return m, err
	}
	if m.Peak, err = o.Memory("VmHWM"); err != nil {
		return m, err
	}
	// The heap last: to ask for it makes garbage, and then collects it.
	m.Heap, err = o.heap(ctx)
	return m, err
}

// ready waits until it has done what it does at its start.
func (o *operator) ready(ctx context.Context, plugins int) error {
	_, err := o.looked(ctx, plugins)
	return err
}

// rest waits until it is idle.
func (o *operator) rest(ctx context.Context) error {
	_, err := o.idle(ctx)
	return err
}

// big is how many bytes large rules have.
const big = 64 << 10

// withBigRules starts an operator, has it create plugins with large rules, and returns what that did to its memory. None
// may stand before, and none does after.
func (w *world) withBigRules(ctx context.Context, n int) (before, after memory, err error) {
	o, err := w.startOperator(ctx, "big-rules", w.ours)
	if err != nil {
		return before, after, err
	}
	defer func() { err = errors.Join(err, o.Kill(ctx)) }()
	if err := o.ready(ctx, 0); err != nil {
		return before, after, err
	}
	if before, err = o.memory(ctx); err != nil {
		return before, after, err
	}
	f := fleet{n: n, rules: big}
	if _, err := w.create(ctx, o, f); err != nil {
		return before, after, err
	}
	if after, err = o.memory(ctx); err != nil {
		return before, after, err
	}
	return before, after, errors.Join(o.Stop(ctx), w.remove(ctx))
}
