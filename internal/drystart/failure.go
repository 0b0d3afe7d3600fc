// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

var (
	// errRestricted ends a call of a host function that Envoy does not allow yet.
	errRestricted = errors.New("restricted_callback")
	// errNoContext ends a call of a host function before there is a VM; it would take Envoy down.
	errNoContext = errors.New("no context")
	// errNoMemory ends a call that needs the memory of a module that exports none; that would, too.
	errNoMemory = errors.New("no memory")
	// errTooLate ends an answer to a request that is over, which has Envoy log the request again, without end.
	errTooLate = errors.New("too late")
	// errStorage ends a call that would have the host keep more than it is ready to.
	errStorage = errors.New("host storage")
)

// call calls an exported function. A function that is missing, or that the capability restriction leaves out, is passed
// over, as in Envoy. The result is stored in result, if the function has one and it is wanted.
func (v *vm) call(ctx context.Context, stage Stage, name string, result *uint32, args ...uint64) *Verdict {
	function := v.instance.ExportedFunction(name)
	if function == nil || strings.HasPrefix(name, "proxy_") && !v.allowed(name) {
		return nil
	}
	v.effective = nil
	results, err := function.Call(ctx, args...)
	v.logs.flush()
	if err != nil {
		v.failed = true
		return v.failure(ctx, stage, name, err)
	}
	if result != nil && len(results) > 0 {
		*result = api.DecodeU32(results[0])
	}
	return v.stopped(ctx, stage)
}

// declined is the verdict on a plugin that says no by itself.
func (v *vm) declined(stage Stage, reason string) *Verdict {
	if v.heap.denied {
		return v.outOfMemory(stage)
	}
	return refused(stage, "%s", reason)
}

// failure is the verdict on a plugin that does not return from function, or from one that a host function called.
func (v *vm) failure(ctx context.Context, stage Stage, function string, err error) *Verdict {
	function = cmp.Or(v.inner, function)
	if verdict := v.stopped(ctx, stage); verdict != nil {
		return verdict
	}
	var fault runtime.Error
	switch {
	case errors.As(err, &fault):
		return inconclusive("%s: the checker failed: %v", v.lastCall, fault)
	case v.heap.denied:
		return v.outOfMemory(stage)
	}
	if verdict := v.badCall(stage, function, err); verdict != nil {
		return verdict
	}
	reason := firstLine(err.Error())
	if _, trap, found := strings.Cut(reason, "wasm error: "); found {
		reason = trap
	}
	if reason == "stack overflow" && !v.attempt.compile {
		// Envoy's stack is several times deeper than that of the interpreter.
		return inconclusive("%s calls itself deeper than the checker can follow", function)
	}
	return refused(stage, "%s fails: %s", function, reason)
}

// badCall is the verdict on a plugin that calls what it may not call, or not now; nil for any other failure.
func (v *vm) badCall(stage Stage, function string, err error) *Verdict {
	switch {
	case errors.Is(err, errStorage):
		return exhausted(stage, "%s stores more through %s than the checker keeps (%d MiB)", function, v.lastCall, maxStorage>>20)
	case errors.Is(err, errRestricted):
		return refused(stage, "%s calls %s, which Envoy does not allow while a module initializes or allocates memory", function, v.lastCall)
	case errors.Is(err, errNoContext):
		return refused(stage, "%s calls %s, which takes Envoy down; call it in proxy_on_vm_start or later", function, v.lastCall)
	case errors.Is(err, errNoMemory):
		return refused(stage, "%s calls %s although the module exports no memory, which takes Envoy down", function, v.lastCall)
	case errors.Is(err, errTooLate):
		return refused(stage, "%s calls %s when the request is over, which takes Envoy down", function, v.lastCall)
	}
	return nil
}

func (v *vm) outOfMemory(stage Stage) *Verdict {
	return exhausted(stage, "the plugin wants more memory than the checker has for it (%d MiB)", mebibytes(v.attempt.memory))
}

// stopped is the verdict on a module whose time is over.
func (m *module) stopped(ctx context.Context, stage Stage) *Verdict {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		m.slow = true
		return exhausted(stage, "the plugin was not ready in time; it had %s at most", m.attempt.timeout)
	default:
		return inconclusive("the check was canceled")
	}
}

func (v *vm) close(ctx context.Context) {
	if v.instance != nil {
		// It ends nothing but the instance's own resources, and says nothing of use.
		_ = v.instance.Close(context.WithoutCancel(ctx))
	}
}
