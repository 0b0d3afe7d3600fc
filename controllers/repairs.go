// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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
	if !children.Drifted() {
		return 0, false
	}
	if told := toldBy(plugin); told.waiting || !told.isOfGeneration(plugin.Generation) {
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

// contested returns how long a repair has to wait, 0 for not at all or where none is needed, and tells the user of a war.
func (r *WasmPluginReconciler) contested(plugin *metav1.PartialObjectMetadata, children apply.Children) time.Duration {
	wait, news := r.repairs.wait(plugin, children, time.Now())
	if news {
		r.Recorder.Eventf(plugin, nil, corev1.EventTypeWarning, reasonContested, "Reconcile",
			"Somebody else changes or deletes its EnvoyFilters again and again; from now on they are repaired once in %s. See who by kubectl get envoyfilter --show-managed-fields.", repairPause)
	}
	return wait
}

// isOfGeneration says whether the status names an EnvoyFilter that completed the pair of a generation.
func (r reportedStatus) isOfGeneration(generation int64) bool {
	stamp := "-" + strconv.FormatInt(generation, 10)
	return slices.ContainsFunc(r.envoyFilters, func(child reportedEnvoyFilter) bool {
		hash, _, _ := strings.Cut(child.Hash, "+")
		return strings.HasSuffix(hash, stamp)
	})
}
