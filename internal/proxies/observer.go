// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"fmt"
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
	// maxAsked bounds the proxies of which a poll asks what they are sent, askedEach those of one plugin.
	maxAsked, askedEach = 16, 2
)

// Observer asks every istiod what its proxies do, once for all plugins.
type Observer struct {
	// Find says who the istiods are, Dial connects to one.
	Find Finder
	Dial func(Istiod) (Asker, error)
	// Notify is told of a plugin when there is news of it.
	Notify func(types.NamespacedName)
	// Count reads what a canary proxy counts; nil for not at all.
	Count func(context.Context, Proxy) (Counts, error)
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
	// counted is what canary proxies count; recount has them looked at now.
	counted map[Key]map[string]Counts
	recount chan struct{}
}

// Key is a plugin's pair, its trial or its canary.
type Key struct {
	types.NamespacedName
	Trial, Canary bool
}

// istiod is one that is asked.
type istiod struct {
	Istiod
	cancel context.CancelFunc
	// found is since when it is known.
	found time.Time
	// poke makes the next poll come as soon as it may.
	poke chan struct{}
	// asked is with which poll it was asked last what it sends a proxy, of those that wait; polls counts those that succeeded.
	asked map[string]int
	polls int
	// last is the last poll that succeeded, problem why there was none since failing; empty where none failed since.
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
	switch {
	case i.last == nil && i.problem == "":
		return fmt.Sprintf("istiod %s has not answered yet", i.Name)
	case i.last != nil && now.Sub(i.failing) < restarting:
		return ""
	}
	return i.problem
}

// NewObserver makes one that knows nothing yet.
func NewObserver(find Finder, dial func(Istiod) (Asker, error), notify func(types.NamespacedName)) *Observer {
	return &Observer{
		Find: find, Dial: dial, Notify: notify, Now: time.Now,
		tracks: map[Key]*Track{}, asked: map[types.NamespacedName]*question{}, told: map[Key]Report{}, istiods: map[string]*istiod{},
		counted: map[Key]map[string]Counts{}, recount: make(chan struct{}, 1),
	}
}

// Follow returns what proxies make of an expectation. From the first time on it is followed, in the place of an earlier one
// of the same key.
func (o *Observer) Follow(key Key, expectation translate.Expectation) Report {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	track := o.tracks[key]
	if track == nil || !same(track.Expectation, expectation) {
		before := track
		track = o.newTrack(key, expectation)
		track.inherit(before)
	}
	report := o.report(track)
	o.told[key] = report
	return report
}

// newTrack begins to follow. A trial, whose names are new, is nothing that proxies have refused by then.
func (o *Observer) newTrack(key Key, expectation translate.Expectation) *Track {
	track := NewTrack(expectation, key.Trial)
	o.tracks[key] = track
	if key.Canary {
		wake(o.recount)
	}
	for _, istiod := range o.istiods {
		if key.Trial && istiod.last != nil {
			track.Observe(Poll{Istiod: istiod.last.Istiod, Revision: istiod.last.Revision, At: istiod.last.At, Proxies: istiod.last.Proxies})
		}
		wake(istiod.poke)
	}
	return track
}

// Moved takes in that what puts a plugin into the filter chains was written, since began at the earliest, whatever is
// delivered: no acknowledgement of that tells whether proxies have it.
func (o *Observer) Moved(key Key, began time.Time) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	track := o.tracks[key]
	if track == nil {
		return
	}
	listeners := map[string]string{}
	for proxy := range o.reached(track.Expectation.Reach) {
		listeners[proxy.ID] = proxy.Listeners.Sent
	}
	track.Move(listeners, began)
	for _, istiod := range o.istiods {
		wake(istiod.poke)
	}
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
	delete(o.counted, key)
	if !key.Trial && !key.Canary {
		delete(o.asked, key.NamespacedName)
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

// firstAnswer is how long one may take for its first answer before it counts that there is none.
const firstAnswer = 5 * time.Second

// Early says that it is too early to tell what proxies do: nobody has looked for istiods yet, or one that was found just now
// has neither answered nor refused to. So it is for a moment after a start, and whenever another istiod comes.
func (o *Observer) Early() bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, istiod := range o.istiods {
		if istiod.last == nil && !istiod.denied && o.Now().Sub(istiod.found) < firstAnswer {
			return true
		}
	}
	return !o.looked && o.problem == ""
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

func (o *Observer) report(track *Track) Report {
	report := track.Report(o.Now())
	track.unsaid = report.Unread
	report.Unread = slices.Concat(o.unread(), track.unsaid)
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
		if track.told && slices.Equal(slices.Concat(unread, track.unsaid), o.told[key].Unread) {
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

func wake(sleeper chan<- struct{}) {
	select {
	case sleeper <- struct{}{}:
	default:
	}
}
