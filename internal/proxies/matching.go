// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"iter"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

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
			wake(istiod.poke)
		}
	}
	return slices.Compact(matching), known
}

func (o *Observer) matching(reach translate.Reach) []string {
	var matching []string
	for proxy := range o.reached(reach) {
		matching = append(matching, proxy.ID)
	}
	return matching
}

// reached are the proxies that were there at the last poll of each istiod.
func (o *Observer) reached(reach translate.Reach) iter.Seq[*Proxy] {
	return func(yield func(*Proxy) bool) {
		for _, istiod := range o.istiods {
			if istiod.last == nil {
				continue
			}
			for i := range istiod.last.Proxies {
				proxy := &istiod.last.Proxies[i]
				if Matches(reach, *proxy, istiod.Revision) && !yield(proxy) {
					return
				}
			}
		}
	}
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
