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
	// dense is the time between two polls while proxies may yet answer, sparse that while there is nothing to wait for.
	dense, sparse = 100 * time.Millisecond, 2 * time.Second
	// light is how many bytes an answer may have to be no load. Heavier ones are asked for less often: an istiod spends at
	// most a tenth of its time on them.
	light = 256 << 10
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
	// denied says that it refuses to answer.
	denied bool
	// said is what it said last, as it said it.
	said said
	// answering is since when it has answered without a failure.
	answering time.Time
}

// said tells one poll from another that says the same. What adsz lists is in no order.
type said struct {
	syncz string
	adsz  int
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
		track = o.newTrack(key, expectation)
	}
	report := o.report(track)
	o.told[key] = report
	return report
}

// newTrack begins to follow. A trial, whose names are new, is nothing that proxies have refused by then.
func (o *Observer) newTrack(key Key, expectation translate.Expectation) *Track {
	track := NewTrack(expectation, key.Trial)
	o.tracks[key] = track
	for _, istiod := range o.istiods {
		if key.Trial && istiod.last != nil {
			track.Observe(Poll{Istiod: istiod.last.Istiod, Revision: istiod.last.Revision, At: istiod.last.At, Proxies: istiod.last.Proxies})
		}
		istiod.wake()
	}
	return track
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
	// empty is since when no proxy matches; zero where some do.
	empty time.Time
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
	matching := o.matching(reach)
	slices.Sort(matching)
	known := len(o.unread()) == 0 && (len(matching) > 0 || o.gathered(asked))
	asked.answered = known
	asked.empty = o.emptySince(asked)
	if !known {
		for _, istiod := range o.istiods {
			istiod.wake()
		}
	}
	return slices.Compact(matching), known
}

func (o *Observer) matching(reach translate.Reach) []string {
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
	return matching
}

func (o *Observer) emptySince(asked *question) time.Time {
	switch {
	case len(o.matching(asked.reach)) > 0:
		return time.Time{}
	case asked.empty.IsZero():
		return o.Now()
	default:
		return asked.empty
	}
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

// Refused says that istiods can be asked and none of them ever answered: the installation has no right to.
func (o *Observer) Refused() bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, istiod := range o.istiods {
		if !istiod.denied || istiod.last != nil {
			return false
		}
	}
	return len(o.istiods) > 0
}

// absent is how long no proxy must have matched until it counts that there is none.
const absent = 2 * time.Second

// gathered says that proxies that aren't there aren't just about to connect, and weren't overlooked.
func (o *Observer) gathered(asked *question) bool {
	if asked.empty.IsZero() || o.Now().Sub(asked.empty) < absent {
		return false
	}
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
		if !asked.answered && len(o.unread()) == 0 && (asked.empty.IsZero() || o.gathered(asked)) {
			asked.answered = true
			news = append(news, plugin)
		}
	}
	unread := o.unread()
	for key, track := range o.tracks {
		if track.told && slices.Equal(unread, o.told[key].Unread) {
			continue
		}
		track.told = true
		report := o.report(track)
		if told := o.told[key]; !report.equal(told) {
			o.told[key] = report
			news = append(news, key.NamespacedName)
		}
	}
	return news
}

func (i *istiod) wake() {
	select {
	case i.poke <- struct{}{}:
	default:
	}
}
