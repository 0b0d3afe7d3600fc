// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

const (
	// dense is the time between two polls while proxies may yet answer, sparse that while there is nothing to wait for. A
	// poll that takes long comes less often: an istiod spends at most a tenth of its time on answering.
	dense, sparse = 100 * time.Millisecond, 2 * time.Second
	// patience ends a poll that istiod doesn't answer.
	patience = 30 * time.Second
	// lookAround is the time between two looks for istiods.
	lookAround = 5 * time.Second
	// maxAsked bounds the proxies of which a poll asks what they are sent.
	maxAsked = 16
)

// Observer asks every istiod what its proxies do, once for all plugins.
type Observer struct {
	// Find says who the istiods are, Dial connects to one.
	Find Finder
	Dial func(Istiod) (Asker, error)
	// Notify is told of a plugin when there is news of it.
	Notify func(types.NamespacedName)
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time

	mutex  sync.Mutex
	tracks map[Key]*Track
	asked  map[types.NamespacedName]*question
	// reports are those that were last told of.
	told    map[Key]Report
	istiods map[string]*istiod
	looked  bool
	problem string
}

// Key is a plugin's pair, or its trial.
type Key struct {
	types.NamespacedName
	Trial bool
}

// istiod is one that is asked.
type istiod struct {
	Istiod
	cancel context.CancelFunc
	// poke makes the next poll come at once.
	poke chan struct{}
	// last is the last poll that succeeded, problem why there was none since failing; empty where there was.
	last    *Poll
	problem string
	failing time.Time
	// answering is since when it has answered without a failure.
	answering time.Time
}

// restarting is how long an istiod may be away before its proxies count as not known: it is updated, and they find another.
const restarting = 5 * time.Second

// gathering is how long after its start an istiod may have fewer proxies than are about to connect to it.
const gathering = 10 * time.Second

// trouble is why its proxies aren't known; empty where they are.
func (i *istiod) trouble(now time.Time) string {
	if i.last != nil && now.Sub(i.failing) < restarting {
		return ""
	}
	return i.problem
}

// NewObserver makes one that knows nothing yet.
func NewObserver(find Finder, dial func(Istiod) (Asker, error), notify func(types.NamespacedName)) *Observer {
	return &Observer{
		Find: find, Dial: dial, Notify: notify, Now: time.Now,
		tracks: map[Key]*Track{}, asked: map[types.NamespacedName]*question{}, told: map[Key]Report{}, istiods: map[string]*istiod{},
	}
}

// Follow returns what proxies make of an expectation. From the first time on it is followed, in the place of an earlier one
// of the same key.
func (o *Observer) Follow(key Key, expectation translate.Expectation) Report {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	track := o.tracks[key]
	if track == nil || !same(track.Expectation, expectation) {
		track = NewTrack(expectation, key.Trial)
		o.tracks[key] = track
		for _, istiod := range o.istiods {
			istiod.wake()
		}
	}
	report := o.report(track)
	o.told[key] = report
	return report
}

func same(a, b translate.Expectation) bool {
	return a.Digest == b.Digest && slices.Equal(a.Names, b.Names) && a.Reach.Equal(b.Reach)
}

// Forget follows a plugin, or its trial, no more.
func (o *Observer) Forget(key Key) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	delete(o.tracks, key)
	delete(o.told, key)
	if !key.Trial {
		delete(o.asked, key.NamespacedName)
	}
}

// question is which proxies there are for a plugin. What was known before it was asked is no answer where it says none: a
// proxy may have come since.
type question struct {
	reach    translate.Reach
	at       time.Time
	answered bool
}

// Matching returns the proxies that get a plugin's EnvoyFilters, sorted, and whether they are known. Where they aren't yet,
// the plugin is notified when they are.
func (o *Observer) Matching(plugin types.NamespacedName, reach translate.Reach) ([]string, bool) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	asked := o.asked[plugin]
	if asked == nil || !asked.reach.Equal(reach) {
		asked = &question{reach: reach, at: o.Now()}
		o.asked[plugin] = asked
	}
	var matching []string
	for _, istiod := range o.istiods {
		if istiod.last == nil {
			continue
		}
		for _, proxy := range istiod.last.Proxies {
			if Matches(reach, proxy, istiod.Revision) {
				matching = append(matching, proxy.ID)
			}
		}
	}
	slices.Sort(matching)
	known := len(o.unread()) == 0 && (len(matching) > 0 || o.gathered(asked))
	asked.answered = known
	if !known {
		for _, istiod := range o.istiods {
			istiod.wake()
		}
	}
	return slices.Compact(matching), known
}

// Unread says why proxies aren't known; it is empty where they are.
func (o *Observer) Unread() []string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.unread()
}

func (o *Observer) unread() []string {
	switch {
	case o.problem != "":
		return []string{o.problem}
	case !o.looked:
		return []string{"no istiod has been asked yet"}
	case len(o.istiods) == 0:
		return []string{"there is no istiod to ask"}
	}
	var unread []string
	for _, name := range slices.Sorted(maps.Keys(o.istiods)) {
		if problem := o.istiods[name].trouble(o.Now()); problem != "" {
			unread = append(unread, problem)
		}
	}
	return unread
}

// gathered says that proxies that aren't there aren't just about to connect, and weren't overlooked.
func (o *Observer) gathered(asked *question) bool {
	for _, istiod := range o.istiods {
		if istiod.last == nil || !istiod.last.At.After(asked.at) || o.Now().Sub(istiod.answering) < gathering {
			return false
		}
	}
	return true
}

func (o *Observer) report(track *Track) Report {
	report := track.Report(o.Now())
	report.Unread = o.unread()
	return report
}

// news returns the plugins of which something is known that wasn't told.
func (o *Observer) news() []types.NamespacedName {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	var news []types.NamespacedName
	for plugin, asked := range o.asked {
		if !asked.answered && len(o.unread()) == 0 && o.gathered(asked) {
			asked.answered = true
			news = append(news, plugin)
		}
	}
	for key, track := range o.tracks {
		report := o.report(track)
		if told := o.told[key]; !report.equal(told) {
			o.told[key] = report
			news = append(news, key.NamespacedName)
		}
	}
	return news
}

// equal says whether two reports tell the same, whenever they were made.
func (r Report) equal(other Report) bool {
	return r.Matched == other.Matched && r.Programmed == other.Programmed && r.Idle == other.Idle &&
		r.Unblocked == other.Unblocked && r.Stuck == other.Stuck && r.Uncertain == other.Uncertain &&
		(r.Age == 0) == (other.Age == 0) && slices.Equal(r.Rejections, other.Rejections) && slices.Equal(r.Blocked, other.Blocked) &&
		slices.Equal(r.Waiting, other.Waiting) && slices.Equal(r.Unread, other.Unread)
}

// pending says whether proxies may yet answer.
func (o *Observer) pending() bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, track := range o.tracks {
		if track.Report(o.Now()).Pending() {
			return true
		}
	}
	return false
}

func (i *istiod) wake() {
	select {
	case i.poke <- struct{}{}:
	default:
	}
}
