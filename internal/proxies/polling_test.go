// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestLongestAgo(t *testing.T) {
	asked := map[string]int{"a": 3, "b": 1, "c": 2}
	for most, want := range map[int]string{0: "", 1: "d", 2: "db", 3: "dbc", 9: "dbca"} {
		if got := strings.Join(longestAgo([]string{"a", "b", "c", "d"}, asked, most), ""); got != want {
			t.Errorf("%d: %q, want %q", most, got, want)
		}
	}
}

// TestAllProxiesAreAsked in turn, also where istiod never says what it sends to those that come first, and whatever else is
// asked.
func TestAllProxiesAreAsked(t *testing.T) {
	const proxies = 3 * maxAsked
	w, asked := newWatch(t), map[string]bool{}
	var connections, states []string
	for i := range proxies {
		id, label := fmt.Sprintf("gw-%02d.shop", i), fmt.Sprintf("gw-%d", max(i-2, 0)) // the first plugin has three
		connections = append(connections, strings.Replace(connectionOf(id+"-1", ours), `"istio": "gateway"`, `"istio": "`+label+`"`, 1))
		states = append(states, stateOf(id, "router"))
		expected := ourExpectation(t)
		expected.Reach.Labels = map[string]string{"istio": label}
		w.Follow(Key{NamespacedName: types.NamespacedName{Namespace: "shop", Name: label}}, expected)
	}
	w.asker.says(connections, states)
	w.asker.dumpErr = &StatusError{Code: http.StatusNotFound}
	for range proxies {
		w.polls(1, dense)
		if len(w.ask) > maxAsked {
			t.Fatalf("asks of %d", len(w.ask))
		}
		for _, proxy := range w.ask {
			asked[proxy] = true
		}
	}
	if len(asked) != proxies || len(w.istiod.asked) != proxies {
		t.Errorf("asks of %d of %d, and remembers %d", len(asked), proxies, len(w.istiod.asked))
	}
}

// slow takes its time for answers that are a load.
type slow struct {
	takes time.Duration
	asked int
}

func (s *slow) Ask(ctx context.Context, resource string) ([]byte, error) {
	if !wait(ctx, nil, s.takes) {
		return nil, ctx.Err()
	}
	if resource == "syncz" {
		return []byte(list()), nil
	}
	s.asked++
	return []byte(adszOf() + strings.Repeat(" ", light)), nil
}

func (*slow) Close() error { return nil }

// TestPokesLeaveIstiodItsTime: whoever asks again and again for what isn't known yet costs a heavy istiod no more of it.
func TestPokesLeaveIstiodItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asker := &slow{takes: time.Second / 2}
		o := NewObserver(Static([]string{"10.0.0.1:15012"}, istiodName), func(Istiod) (Asker, error) { return asker, nil }, func(types.NamespacedName) {})
		o.looked = true
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o.begin(ctx, Istiod{Address: "10.0.0.1:15012", Name: "istiod-a"})
		const polls = 10
		for end := time.Now().Add(polls * 10 * 2 * asker.takes); time.Now().Before(end); <-time.After(dense) {
			for _, one := range o.istiods {
				wake(one.poke)
			}
		}
		if asker.asked < polls-1 || asker.asked > polls+1 {
			t.Errorf("polled %d times, want %d", asker.asked, polls)
		}
	})
}
