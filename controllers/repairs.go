// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"github.com/solarmesh/wasmplugin-operator/internal/apply"
)

const (
	// quickRepairs of a plugin come at once. Whoever goes on changing its EnvoyFilters after that is answered once in
	// repairPause, since each repair is a push of istiod's.
	quickRepairs = 10
	repairPause  = time.Second
	// reasonContested is the reason of the event that says so, and contestedAgain the time until it says so again.
	reasonContested = "Contested"
	contestedAgain  = 10 * time.Minute
)

// repairs slows down a war over a plugin's EnvoyFilters.
type repairs struct {
	mutex    sync.Mutex
	byPlugin map[types.UID]*war
}

type war struct {
	pace *rate.Limiter
	told time.Time
}

// wait returns how long a repair has to wait, 0 for not at all or where none is needed, and whether a user should hear of it.
func (r *repairs) wait(plugin *metav1.PartialObjectMetadata, children apply.Children, now time.Time) (pause time.Duration, news bool) {
	told := toldBy(plugin)
	if !children.Drifted() || told.waiting || !told.isOfGeneration(plugin.Generation) {
		return 0, false
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	current := r.byPlugin[plugin.UID]
	if current == nil {
		r.forgetPeace(now)
		current = &war{pace: rate.NewLimiter(rate.Every(repairPause), quickRepairs)}
		r.byPlugin[plugin.UID] = current
	}
	reserved := current.pace.ReserveN(now, 1)
	pause = reserved.DelayFrom(now)
	if pause == 0 {
		return 0, false
	}
	reserved.CancelAt(now) // it is asked for again
	news = now.Sub(current.told) > contestedAgain
	if news {
		current.told = now
	}
	return pause, news
}

// forgetPeace forgets the plugins that nobody has changed for a while.
func (r *repairs) forgetPeace(now time.Time) {
	for uid, war := range r.byPlugin {
		if war.pace.TokensAt(now) >= quickRepairs && now.Sub(war.told) > contestedAgain {
			delete(r.byPlugin, uid)
		}
	}
	if r.byPlugin == nil {
		r.byPlugin = map[types.UID]*war{}
	}
}

// tellOf says who is to look.
func tellOf(recorder events.EventRecorder, plugin *metav1.PartialObjectMetadata) {
	recorder.Eventf(plugin, nil, corev1.EventTypeWarning, reasonContested, "Reconcile",
		"Somebody else changes or deletes its EnvoyFilters again and again; from now on they are repaired once in %s. See who by kubectl get envoyfilter --show-managed-fields.", repairPause)
}

// isOfGeneration says whether the status names an EnvoyFilter that completed the pair of a generation.
func (r reportedStatus) isOfGeneration(generation int64) bool {
	want := strconv.FormatInt(generation, 10)
	for _, child := range r.envoyFilters {
		hash, _, _ := strings.Cut(child.Hash, "+")
		if _, stamp, stamped := strings.Cut(hash, "-"); stamped {
			if of, _, _ := strings.Cut(stamp, "-"); of == want {
				return true
			}
		}
	}
	return false
}
