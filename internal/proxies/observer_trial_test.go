// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"strings"
	"testing"
)

// TestTrialAfterARefusal: istiod still tells the refusal that ended the trial before, which names nothing, when the next one
// is first seen, and that one is sent already.
func TestTrialAfterARefusal(t *testing.T) {
	const words = "filter config has type URL x.RBAC but expect x.Wasm."
	w, expected, key := newWatch(t), ourExpectation(t), Key{NamespacedName: auth, Trial: true}
	state := strings.Replace(stateOf("gw.shop", "router"), "Unable to create Wasm plugin x", words, 1)
	w.asker.says([]string{connectionOf("gw.shop-1")}, []string{state})
	w.polls(1, sparse)
	w.Follow(key, expected)
	w.asker.says([]string{connectionOf("gw.shop-1", ours)}, []string{state})
	w.polls(3, dense)
	if report := w.Follow(key, expected); len(report.Rejections) > 0 || len(report.Waiting) != 1 {
		t.Errorf("got %+v", report)
	}
	w.asker.gateway(strings.Replace(nonce7, "/7", "/8", 1))
	w.polls(pollsToSettle, dense)
	if report := w.Follow(key, expected); !report.Complete() || report.Programmed != 1 {
		t.Errorf("in the end %+v", report)
	}
}
