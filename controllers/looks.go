// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// looks say when a module that is known is to be looked at again: a tag that is followed, from time to time; a module that
// the store lost, at once.
type looks struct {
	interval time.Duration

	mutex  sync.Mutex
	next   map[types.NamespacedName]time.Time
	wishes map[types.NamespacedName]wish
	count  int
}

// wish is what is to be done about a module that is known.
type wish struct {
	look, restore bool
	// number tells it from others, 0 for none.
	number int
}

// overdue says that it takes so long that somebody would notice.
func (w wish) overdue(found resolvedModule) bool {
	return w.number != 0 && found.resolving && !found.quiet
}

func newLooks(interval time.Duration) *looks {
	return &looks{interval: interval, next: map[types.NamespacedName]time.Time{}, wishes: map[types.NamespacedName]wish{}}
}

// until returns the time until the next look, 0 for never, and whether something is to be done now. The looks of plugins
// that are seen for the first time, as all are after a restart, are spread over the interval.
func (l *looks) until(plugin types.NamespacedName, followed bool) (time.Duration, bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.wishes[plugin].number != 0 {
		return 0, true
	}
	if !followed {
		delete(l.next, plugin)
		return 0, false
	}
	next, known := l.next[plugin]
	if !known {
		next = time.Now().Add(rand.N(l.interval))
		l.next[plugin] = next
	}
	if wait := time.Until(next); wait > 0 {
		return wait, false
	}
	l.add(plugin, wish{look: true})
	return 0, true
}

// restore says that the store lost a plugin's module.
func (l *looks) restore(plugin types.NamespacedName) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if !l.wishes[plugin].restore {
		l.add(plugin, wish{look: l.wishes[plugin].look, restore: true})
	}
}

func (l *looks) add(plugin types.NamespacedName, added wish) {
	l.count++
	added.number = l.count
	l.wishes[plugin] = added
}

// wish returns what is to be done.
func (l *looks) wish(plugin types.NamespacedName) wish {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.wishes[plugin]
}

// looked says whether a tag that is followed was looked at since the start.
func (l *looks) looked(plugin types.NamespacedName) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, known := l.next[plugin]
	return known
}

// done says that a wish was fulfilled. Another one may have come meanwhile.
func (l *looks) done(plugin types.NamespacedName, fulfilled wish, followed bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.wishes[plugin].number == fulfilled.number {
		delete(l.wishes, plugin)
	}
	if _, known := l.next[plugin]; followed && (fulfilled.number != 0 || !known) {
		l.next[plugin] = time.Now().Add(l.interval - l.interval/10 + rand.N(l.interval/5))
	}
}

// forget ends what is done for a plugin that is gone.
func (l *looks) forget(plugin types.NamespacedName) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.next, plugin)
	delete(l.wishes, plugin)
}
