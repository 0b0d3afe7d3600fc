// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestUnsaid: istiod fails to print what it sends to a proxy. That is no answer, and isn't waited for without a word.
func TestUnsaid(t *testing.T) {
	w := newWatch(t)
	expectation := ourExpectation(t)
	key := Key{NamespacedName: auth}
	w.Follow(key, expectation)
	w.asker.gateway(nonce7)
	w.asker.dumpErr = &StatusError{Code: http.StatusInternalServerError, Text: "proto: not found"}
	w.polls(3, dense)
	report := w.Follow(key, expectation)
	if len(report.Unread) != 1 || !strings.Contains(report.Unread[0], "proxy gw.shop (istiod answers 500: proto: not found)") ||
		!strings.Contains(report.Unread[0], "pluginConfig") || report.Complete() || !slices.Equal(report.Waiting, []string{"gw.shop"}) {
		t.Errorf("reports %+v", report)
	}
	if told := w.polls(3, dense); len(told) > 0 {
		t.Errorf("tells %v again", told)
	}
	w.asker.dumpErr = &StatusError{Code: http.StatusNotFound, Text: "Proxy not connected"}
	if w.polls(1, dense); len(w.Follow(key, expectation).Unread) != 1 {
		t.Errorf("a proxy that has gone has said something: %+v", w.Follow(key, expectation))
	}
	w.asker.dumpErr = nil
	told := w.polls(1+int(settling/dense)+1, dense)
	if report := w.Follow(key, expectation); !report.Complete() || len(report.Unread) > 0 || !slices.Contains(told, auth) {
		t.Errorf("in the end: %+v, tells %v", report, told)
	}
}
