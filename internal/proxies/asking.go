// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
)

// take lets the tracks observe a poll, and returns the proxies of which the next one asks what they are sent.
func (o *Observer) take(ctx context.Context, i *istiod, poll *Poll, err error) []string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	metrics.IstiodRequests.WithLabelValues(resultOf(err)).Inc()
	i.denied = resultOf(err) == Denied.Label()
	if err != nil {
		o.failed(ctx, i, err)
		return nil
	}
	if i.last == nil || i.problem != "" {
		i.answering = poll.At
	}
	nothingNew := i.said == poll.said
	i.last, i.problem, i.failing, i.said = poll, "", time.Time{}, poll.said
	for _, asked := range o.asked {
		if !asked.answered {
			asked.empty = o.emptySince(asked)
		}
	}
	return i.next(o.observe(*poll, nothingNew))
}

// observe lets the tracks observe a poll. It returns the proxies, for each track, of which they have to know what they are sent.
func (o *Observer) observe(poll Poll, nothingNew bool) [][]string {
	var asked [][]string
	for _, track := range o.tracks {
		if !nothingNew || track.pending(poll.At, math.MaxInt64) {
			asked = append(asked, track.Observe(poll))
		}
	}
	return asked
}

// next are the proxies of which the next poll asks what they are sent, of those that tracks wait for. Of a few for each is
// enough: pushes are numbered, so what one has taken tells of the others.
func (i *istiod) next(asked [][]string) []string {
	waiting, wanted := map[string]int{}, map[string]bool{}
	for _, proxies := range asked {
		for _, proxy := range proxies {
			waiting[proxy] = i.asked[proxy]
		}
		for _, proxy := range longestAgo(proxies, i.asked, askedEach) {
			wanted[proxy] = true
		}
	}
	ask := longestAgo(slices.Collect(maps.Keys(wanted)), i.asked, maxAsked)
	i.polls++
	for _, proxy := range ask {
		waiting[proxy] = i.polls
	}
	i.asked = waiting
	return ask
}

// longestAgo are so many proxies at the most, those first that were never asked, or longest ago.
func longestAgo(proxies []string, asked map[string]int, most int) []string {
	slices.SortFunc(proxies, func(a, b string) int {
		return cmp.Or(cmp.Compare(asked[a], asked[b]), cmp.Compare(a, b))
	})
	return proxies[:min(len(proxies), most)]
}
