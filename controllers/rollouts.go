// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// ProxyObserver knows what proxies do. It is a proxies.Observer.
type ProxyObserver interface {
	Follow(key proxies.Key, expectation translate.Expectation) proxies.Report
	Forget(key proxies.Key)
	Moved(key proxies.Key, began time.Time)
	Matching(plugin types.NamespacedName, reach translate.Reach) ([]string, bool)
	Counted(key proxies.Key) (counts map[string]proxies.Counts, asked bool)
	Unread() []string
	Early() bool
	Refused() bool
}

// Rollouts brings changes into force by what proxies say of them.
type Rollouts struct {
	// Proxies knows what they say.
	Proxies ProxyObserver

	mutex sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	turns turns
	// contents are those of pairs that stood, for when both halves are deleted.
	contents map[types.NamespacedName]string
}

// start makes what proxies say a source of the controller.
func (r *Rollouts) start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.queue = queue
	return nil
}

// Notify has a plugin looked at.
func (r *Rollouts) Notify(plugin types.NamespacedName) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.queue != nil {
		r.queue.Add(reconcile.Request{NamespacedName: plugin})
	}
}

// forget ends what is done for a plugin that is gone.
func (r *Rollouts) forget(plugin types.NamespacedName) {
	if r == nil {
		return
	}
	r.Proxies.Forget(proxies.Key{NamespacedName: plugin})
	r.Proxies.Forget(proxies.Key{NamespacedName: plugin, Canary: true})
	r.endTrial(plugin)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.contents, plugin)
}

// endTrial follows a trial no more, and lets those go on that waited for it.
func (r *Rollouts) endTrial(plugin types.NamespacedName) {
	r.Proxies.Forget(proxies.Key{NamespacedName: plugin, Trial: true})
	r.endTurn(plugin)
}

// refused says whether istiod refuses to say what its proxies do, so that nothing can be tried.
func (r *Rollouts) refused() bool { return r != nil && r.Proxies.Refused() }

// moved tells the observer where the half that puts a plugin into the filter chains was written, and whether it was.
func (r *Rollouts) moved(key proxies.Key, before, after *metav1.PartialObjectMetadata, began time.Time) bool {
	if r == nil || after == nil || (before != nil && before.UID == after.UID && before.Generation == after.Generation) {
		return false
	}
	r.Proxies.Moved(key, began)
	return true
}

// endTurn lets those go on that waited for a plugin, and has it wait for none.
func (r *Rollouts) endTurn(plugin types.NamespacedName) {
	if r == nil {
		return
	}
	r.mutex.Lock()
	next := r.turns.release(plugin)
	r.mutex.Unlock()
	for _, waiting := range next {
		r.Notify(waiting)
	}
}

// takeTurn says whether a plugin may be on trial in some proxies now.
func (r *Rollouts) takeTurn(plugin types.NamespacedName, where []string, force bool) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.turns.take(plugin, where, force)
}

// content is that of a plugin's pair that is in force, or was until it was deleted.
func (r *Rollouts) content(plugin types.NamespacedName, children apply.Children, pair translate.Pair) string {
	content := children.Content()
	if content == "" && children.Is(pair) {
		content = pair.Content
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if content == "" && len(children.Of(translate.Roles)) == 0 {
		return r.contents[plugin]
	}
	return content
}

func (r *Rollouts) remember(plugin types.NamespacedName, content string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.contents == nil {
		r.contents = map[types.NamespacedName]string{}
	}
	r.contents[plugin] = content
}

// grace is how long proxies may take to answer before the status says that they are waited for: most have by then. It also
// covers the time after a restart of the operator, when all of them are asked anew.
const grace = 2 * time.Second

// anyReport stands for whatever the status says of the proxies.
const anyReport = "?"

// settled says, by metadata alone, whether nothing is to be done about a pair that stands, and in short what the status
// must say of its proxies. It returns the time after which to look again, 0 for never.
func (r *Rollouts) settled(plugin types.NamespacedName, children apply.Children) (settled bool, report string, wait time.Duration) {
	if r == nil {
		return true, "", 0
	}
	expectation, known := children.Expectation(translate.Roles[0])
	if !known || len(children.Of(translate.TrialRoles))+len(children.Of(translate.CanaryRoles)) > 0 {
		return false, "", 0
	}
	r.remember(plugin, children.Content())
	early := r.early() // asked first: an answer may come in between
	found := r.Proxies.Follow(proxies.Key{NamespacedName: plugin}, expectation)
	if early || quiet(found) || maybeIdle(found) {
		return true, anyReport, grace
	}
	return true, shortReport(found), 0
}

// early says that it is too early to tell what proxies do.
func (r *Rollouts) early() bool { return r != nil && r.Proxies.Early() }

// quiet says that they will have answered soon.
func quiet(report proxies.Report) bool {
	return report.Pending() && len(report.Unread) == 0 && len(report.Rejections) == 0 && report.Waited < grace
}

// maybeIdle says that all who are waited for may have no listener for the plugin. It takes a while until that is sure, also
// after a restart of the operator, when the status may say it already.
func maybeIdle(report proxies.Report) bool {
	return report.Unasked > 0 && report.Unasked == len(report.Waiting) && len(report.Unread)+len(report.Rejections)+len(report.Blocked) == 0
}

// shortReport tells one state of the proxies from another.
func shortReport(report proxies.Report) string {
	if len(report.Unread) > 0 {
		return "unread"
	}
	// Whether a trial has proven the content isn't told by metadata, so what is uncertain counts as programmed here.
	report.Programmed += report.Uncertain
	return proxyCounts(report)
}
