// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// evictions slows down a fight over a plugin's status: each time that somebody's additions are taken out, the next time
// comes later, up to a minute. An event of their writer would otherwise be answered with a write at once, again and again.
type evictions struct {
	mutex    sync.Mutex
	byPlugin map[types.NamespacedName]eviction
}

type eviction struct {
	at    time.Time
	pause time.Duration
}

// wait returns how long to wait for the next one.
func (e *evictions) wait(plugin types.NamespacedName, now time.Time) time.Duration {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	last, fought := e.byPlugin[plugin]
	if !fought {
		return 0
	}
	return last.at.Add(last.pause).Sub(now)
}

// done says that there was one. Those of long ago are forgotten.
func (e *evictions) done(plugin types.NamespacedName, now time.Time) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for other, last := range e.byPlugin {
		if now.Sub(last.at) > 2*lastRetry {
			delete(e.byPlugin, other)
		}
	}
	pause := firstRetry
	if last, fought := e.byPlugin[plugin]; fought {
		pause = min(2*last.pause, lastRetry)
	}
	if e.byPlugin == nil {
		e.byPlugin = map[types.NamespacedName]eviction{}
	}
	e.byPlugin[plugin] = eviction{now, pause}
}
