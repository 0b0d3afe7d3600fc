// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
)

// wakeUps is as much of a controller's queue as jobs use.
type wakeUps struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]

	plugins chan string
}

func (w *wakeUps) Add(plugin reconcile.Request) { w.plugins <- plugin.Name }

// take returns who was woken since the last time.
func (w *wakeUps) take() []string {
	synctest.Wait()
	var woken []string
	for len(w.plugins) > 0 {
		woken = append(woken, <-w.plugins)
	}
	return woken
}

func newWakeUps() *wakeUps { return &wakeUps{plugins: make(chan string, 100)} }

// jobWorld asks jobs, by the clock of a bubble.
type jobWorld struct {
	*jobs
	*wakeUps
	t *testing.T
	// answer is what work comes to; attempts is how often it was begun.
	answer   resolve.Outcome
	attempts int
	// again is passed on.
	again time.Duration
}

func inJobWorld(t *testing.T, test func(*jobWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &jobWorld{jobs: newJobs(), wakeUps: newWakeUps(), t: t}
		if err := w.start(t.Context(), w.wakeUps); err != nil {
			t.Fatal(err)
		}
		test(w)
	})
}

func pluginNamed(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: name}
}

func (w *jobWorld) ask(id string) resolvedModule {
	return w.outcome(pluginNamed("auth"), id, w.again, func(context.Context) resolve.Outcome {
		w.attempts++
		return w.answer
	})
}

// settle asks, and once more when work has come to an end.
func (w *jobWorld) settle(id string) resolvedModule {
	w.t.Helper()
	before := w.attempts
	w.ask(id)
	synctest.Wait()
	if woken := w.take(); w.attempts != before+1 || len(woken) != 1 {
		w.t.Fatalf("%d attempts, woken %v", w.attempts-before, woken)
	}
	return w.ask(id)
}

func pass(duration time.Duration) { <-time.After(duration) }

func failure(reason module.Kind, temporary bool, after time.Duration) resolve.Outcome {
	return resolve.Outcome{Failure: &resolve.Failure{Reason: string(reason), Temporary: temporary, RetryAfter: after}}
}

// TestPauses: a failure is followed by another attempt, and each time later, up to a bound. Nothing is asked before.
func TestPauses(t *testing.T) {
	tests := map[string]struct {
		answer      resolve.Outcome
		first, last time.Duration
	}{
		"what may come by itself":  {failure(module.Unreachable, true, 0), 2 * time.Second, 2 * time.Minute},
		"what needs somebody":      {failure(module.NotFound, false, 0), 15 * time.Second, 10 * time.Minute},
		"what a server asked for":  {failure(module.Unreachable, true, time.Minute), time.Minute, 2 * time.Minute},
		"a server that asks long":  {failure(module.Unreachable, true, time.Hour), time.Hour, time.Hour},
		"a server that asks short": {failure(module.Unreachable, true, time.Millisecond), 2 * time.Second, 2 * time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inJobWorld(t, func(w *jobWorld) {
				w.answer = test.answer
				within := func(what string, pause, want time.Duration) {
					t.Helper()
					if pause < want || pause > want+want/5 {
						t.Errorf("%s pause %s, want %s and at most a fifth more", what, pause, want)
					}
				}
				found := w.settle("a")
				within("first", found.wait, test.first)
				for range 12 {
					if found.resolving || found.Failure == nil {
						t.Fatalf("got %+v", found)
					}
					pass(found.wait - time.Millisecond)
					before := w.attempts
					if early := w.ask("a"); early.wait <= 0 || w.attempts != before {
						t.Fatalf("tries early: %+v", early)
					}
					pass(time.Millisecond)
					found = w.settle("a")
				}
				within("last", found.wait, test.last)
			})
		})
	}
}

// TestPausesDiffer: plugins that failed together don't try together.
func TestPausesDiffer(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 20 {
		current := &job{attempts: 1, ended: time.Unix(0, int64(i)), outcome: failure(module.Unreachable, true, time.Minute)}
		wait, more := current.untilNext(time.Unix(0, int64(i)), 0)
		seen[wait] = true
		if again, _ := current.untilNext(time.Unix(0, int64(i)), 0); !more || again != wait {
			t.Errorf("waits %s, and then %s", wait, again)
		}
	}
	if len(seen) < 10 {
		t.Errorf("waits %v", seen)
	}
}

// TestNews: while an attempt runs anew, the outcome of the last one stands, and its end is told.
func TestNews(t *testing.T) {
	inJobWorld(t, func(w *jobWorld) {
		w.answer = failure(module.Unreachable, true, 0)
		pass(w.settle("a").wait)
		w.answer = resolve.Outcome{Module: resolve.Module{Digest: "d"}}
		if running := w.ask("a"); running.resolving || running.Failure == nil || running.wait != 0 {
			t.Errorf("while it runs: %+v", running)
		}
		if woken := w.take(); len(woken) != 1 || woken[0] != "auth" {
			t.Errorf("woken: %v", woken)
		}
		pass(time.Hour)
		if found := w.ask("a"); !found.done() || found.Module.Digest != "d" || w.attempts != 2 {
			t.Errorf("got %+v after %d attempts", found, w.attempts)
		}
	})
}

// TestRefusalIsFinal, unless the tag is followed: it may lead to a better module one day.
func TestRefusalIsFinal(t *testing.T) {
	for name, test := range map[string]struct {
		again time.Duration
		want  int
	}{"a tag that is not followed": {0, 1}, "a tag that is followed": {10 * time.Minute, 2}} {
		t.Run(name, func(t *testing.T) {
			inJobWorld(t, func(w *jobWorld) {
				w.again, w.answer = test.again, resolve.Outcome{Refusal: &resolve.Refusal{}}
				if found := w.settle("a"); (found.wait >= test.again && test.again > 0) != (test.again > 0) {
					t.Errorf("waits %s", found.wait)
				}
				pass(9 * time.Minute)
				if w.ask("a"); w.attempts != 1 {
					t.Error("tries early")
				}
				pass(4 * time.Minute)
				w.ask("a")
				if w.take(); w.attempts != test.want {
					t.Errorf("%d attempts, want %d", w.attempts, test.want)
				}
			})
		})
	}
}

// TestAnotherID ends work that nobody asks for any more. What it comes to counts for nothing.
func TestAnotherID(t *testing.T) {
	inJobWorld(t, func(w *jobWorld) {
		stopped := false
		first := w.outcome(pluginNamed("auth"), "a", 0, func(ctx context.Context) resolve.Outcome {
			<-ctx.Done()
			stopped = true
			return resolve.Outcome{Module: resolve.Module{Digest: "old"}}
		})
		if !first.resolving || first.wait != patience {
			t.Errorf("at first %+v", first)
		}
		w.answer = resolve.Outcome{Module: resolve.Module{Digest: "new"}}
		if found := w.settle("b"); !found.done() || found.Module.Digest != "new" || !stopped {
			t.Errorf("got %+v, stopped %t", found, stopped)
		}
		pass(time.Hour)
		if woken := w.take(); woken != nil {
			t.Errorf("woken: %v", woken)
		}
	})
}

// TestPatience: for a second nothing needs to be told, then that it takes long, and nothing further until it ends.
func TestPatience(t *testing.T) {
	inJobWorld(t, func(w *jobWorld) {
		hang := make(chan struct{})
		ask := func() resolvedModule {
			return w.outcome(pluginNamed("auth"), "a", 0, func(context.Context) resolve.Outcome {
				<-hang
				return resolve.Outcome{Module: resolve.Module{Digest: "d"}}
			})
		}
		ask()
		pass(patience / 4)
		if found := ask(); !found.resolving || found.wait != 3*patience/4 {
			t.Errorf("early: %+v", found)
		}
		pass(patience)
		if found := ask(); !found.resolving || found.wait != 0 {
			t.Errorf("late: %+v", found)
		}
		close(hang)
		if woken := w.take(); len(woken) != 1 {
			t.Errorf("woken: %v", woken)
		}
		if found := ask(); !found.done() || found.Module.Digest != "d" {
			t.Errorf("in the end: %+v", found)
		}
	})
}

// TestHangingJob holds up no other plugin, and ends at its time.
func TestHangingJob(t *testing.T) {
	inJobWorld(t, func(w *jobWorld) {
		began := time.Now()
		var ended time.Duration
		hanging := func(ctx context.Context) resolve.Outcome {
			<-ctx.Done()
			ended = time.Since(began)
			return failure(module.TimedOut, true, 0)
		}
		w.outcome(pluginNamed("hangs"), "a", 0, hanging)
		if found := w.settle("a"); !found.done() {
			t.Errorf("got %+v", found)
		}
		pass(jobTimeout)
		if w.take(); ended != jobTimeout {
			t.Errorf("ended after %s", ended)
		}
		if found := w.outcome(pluginNamed("hangs"), "a", 0, hanging); found.Failure == nil || found.wait <= 0 {
			t.Errorf("then %+v", found)
		}
	})
}

// TestPanickingJob: what a module does to the operator's own code stops neither the operator nor any other plugin.
func TestPanickingJob(t *testing.T) {
	inJobWorld(t, func(w *jobWorld) {
		bad := func(context.Context) resolve.Outcome { panic("index out of range, hunter2") }
		w.outcome(pluginNamed("bad"), "a", 0, bad)
		if woken := w.take(); len(woken) != 1 {
			t.Fatalf("woken: %v", woken)
		}
		found := w.outcome(pluginNamed("bad"), "a", 0, bad)
		if found.Failure == nil || found.wait <= 0 || found.Failure.Message == "" {
			t.Errorf("got %+v", found)
		}
	})
}

// TestForgotten: of a plugin that is gone nothing goes on, and nothing is left.
func TestForgotten(t *testing.T) {
	inJobWorld(t, func(w *jobWorld) {
		stopped := false
		w.outcome(pluginNamed("auth"), "a", 0, func(ctx context.Context) resolve.Outcome {
			<-ctx.Done()
			stopped = true
			return resolve.Outcome{}
		})
		w.forget(pluginNamed("auth"))
		w.forget(pluginNamed("nobody"))
		if woken := w.take(); woken != nil || !stopped || len(w.byPlugin) != 0 {
			t.Errorf("woken %v, stopped %t, left %v", woken, stopped, w.byPlugin)
		}
	})
}
