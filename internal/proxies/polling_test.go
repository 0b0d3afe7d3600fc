// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestNext(t *testing.T) {
	names := []string{"c", "a", "d", "b"}
	tests := []struct {
		last string
		most int
		want string
	}{
		{"", 2, "ab"}, {"b", 2, "cd"}, {"c", 2, "da"}, {"d", 2, "ab"}, {"bb", 2, "cd"}, {"x", 2, "ab"}, {"b", 9, "cdab"}, {"", 0, ""},
	}
	for _, test := range tests {
		if got := strings.Join(next(slices.Clone(names), test.last, test.most), ""); got != test.want {
			t.Errorf("%d after %q: %q, want %q", test.most, test.last, got, test.want)
		}
	}
	if got := next(nil, "a", 2); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}

// TestAllProxiesAreAsked in turn, also where istiod never says what it sends to those that come first.
func TestAllProxiesAreAsked(t *testing.T) {
	const proxies = 3*maxAsked + 1
	w, asked := newWatch(t), map[string]bool{}
	var connections, states []string
	for i := range proxies {
		id := fmt.Sprintf("gw-%02d.shop", i)
		connections, states = append(connections, connectionOf(id+"-1", ours)), append(states, stateOf(id, "router"))
		w.Follow(Key{NamespacedName: types.NamespacedName{Namespace: "shop", Name: id}}, ourExpectation(t))
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
	if len(asked) != proxies {
		t.Errorf("asks of %d of %d", len(asked), proxies)
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
