// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
)

const (
	// firstAttempt and lastAttempt bound the time between two attempts at a module that may come by itself, the other two
	// that at one that needs somebody's help, such as a tag that doesn't exist.
	firstAttempt, lastAttempt     = 2 * time.Second, 2 * time.Minute
	firstLookAgain, lastLookAgain = 15 * time.Second, 10 * time.Minute
	// exhaustedAgain is when a plugin is tried again that took too much of the checker.
	exhaustedAgain = time.Hour
	// jobTimeout ends a job whatever it waits for.
	jobTimeout = 10 * time.Minute
)

// jobs resolve modules in the background, one at a time for each plugin.
type jobs struct {
	mutex    sync.Mutex
	byPlugin map[types.NamespacedName]*job
	// ctx ends with the controller; queue is its.
	ctx   context.Context //nolint:containedctx // jobs outlive the reconciles that begin them
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// job is what a plugin's module was last asked for.
type job struct {
	id     string
	cancel context.CancelFunc
	// first is when it was asked for. ended is zero while it runs.
	first, ended time.Time
	attempts     int
	// known says that outcome is that of the last attempt that came to an end.
	known   bool
	outcome resolve.Outcome
}

func newJobs() *jobs {
	return &jobs{byPlugin: map[types.NamespacedName]*job{}}
}

// start makes jobs a source of the controller: a plugin whose job ends is put into its queue.
func (j *jobs) start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.ctx, j.queue = ctx, queue
	return nil
}

// outcome returns what came of the work that an id stands for, and begins it where nobody has, or where it is time to try
// once more. A plugin that was refused is tried again after a while, 0 for never.
func (j *jobs) outcome(plugin types.NamespacedName, id string, again time.Duration, work func(context.Context) resolve.Outcome) resolvedModule {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	current := j.byPlugin[plugin]
	if current == nil || current.id != id {
		if current != nil {
			current.cancel()
		}
		current = &job{id: id, first: time.Now()}
		j.byPlugin[plugin] = current
		j.begin(plugin, current, work)
	}
	wait, more := current.untilNext(time.Now(), again)
	if more && wait == 0 {
		j.begin(plugin, current, work)
	}
	found := resolvedModule{Outcome: current.outcome, resolving: !current.known, wait: wait}
	if left := patience - time.Since(current.first); found.resolving && left > 0 {
		found.quiet, found.wait = true, sooner(wait, left)
	}
	return found
}

func (j *jobs) begin(plugin types.NamespacedName, current *job, work func(context.Context) resolve.Outcome) {
	ctx, cancel := context.WithTimeout(j.ctx, jobTimeout)
	current.cancel, current.ended = cancel, time.Time{}
	go func() {
		defer cancel()
		outcome := guarded(ctx, plugin, work)
		j.mutex.Lock()
		defer j.mutex.Unlock()
		if j.byPlugin[plugin] != current {
			return // nobody asks for it any more
		}
		current.ended = time.Now()
		if !outcome.Busy() {
			current.outcome, current.known = outcome, true
			current.attempts++
		}
		j.queue.Add(reconcile.Request{NamespacedName: plugin})
	}()
}

// guarded keeps a fault that a module brings to light, of whatever reads it, from ending the operator for all plugins.
func guarded(ctx context.Context, plugin types.NamespacedName, work func(context.Context) resolve.Outcome) (outcome resolve.Outcome) {
	defer func() {
		if fault := recover(); fault != nil {
			ctrl.Log.Error(fmt.Errorf("%v", fault), "Panic over a module", "plugin", plugin, "stack", string(debug.Stack()))
			outcome = resolve.Outcome{Failure: &resolve.Failure{
				Reason:  string(module.Unsupported),
				Message: "the operator itself failed over this module, which is a mistake of the operator; please report it with what its log says",
			}}
		}
	}()
	return work(ctx)
}

// wake has a plugin looked at.
func (j *jobs) wake(plugin reconcile.Request) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if j.queue != nil {
		j.queue.Add(plugin)
	}
}

// forget ends what is done for a plugin that is gone, or that has all it needs.
func (j *jobs) forget(plugin types.NamespacedName) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if current := j.byPlugin[plugin]; current != nil {
		current.cancel()
		delete(j.byPlugin, plugin)
	}
}

// untilNext is the time until a job that came to an end is done once more, and whether it is at all.
func (j *job) untilNext(now time.Time, again time.Duration) (time.Duration, bool) {
	var pause time.Duration
	switch {
	case j.ended.IsZero():
		return 0, false
	case !j.known:
		pause = firstAttempt // it waits its turn
	case j.outcome.Failure != nil:
		pause = j.pause()
	case j.outcome.Refusal != nil && again > 0:
		pause = again
	case j.outcome.Refusal != nil && j.outcome.Refusal.Exhausted:
		pause = exhaustedAgain
	default:
		return 0, false
	}
	// Those that failed together don't try together.
	return max(0, j.ended.Add(pause+j.jitter(pause)).Sub(now)), true
}

// pause is that after a failure.
func (j *job) pause() time.Duration {
	pause, longest := firstLookAgain, lastLookAgain
	if j.outcome.Failure.Temporary {
		pause, longest = firstAttempt, lastAttempt
	}
	for attempt := 1; attempt < j.attempts && pause < longest; attempt++ {
		pause = min(2*pause, longest)
	}
	return max(pause, j.outcome.Failure.RetryAfter)
}

// jitter is the same for all that ask about one attempt.
func (j *job) jitter(pause time.Duration) time.Duration {
	source := rand.New(rand.NewPCG(uint64(j.ended.UnixNano()), uint64(j.attempts))) //nolint:gosec // any numbers will do
	return time.Duration(source.Int64N(int64(pause)/5 + 1))
}
