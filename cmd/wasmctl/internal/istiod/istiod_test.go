// SPDX-License-Identifier: Apache-2.0

package istiod

import (
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	options := Options{Namespace: "istio-system", URLs: []string{"http://127.0.0.1:1", "http://localhost:2"}}
	found, err := options.Find(t.Context(), nil)
	if err != nil || len(found) != 2 || found[1].Name != "http://localhost:2" {
		t.Errorf("found %v, %v", found, err)
	}
	for _, url := range []string{"http://istiod.example.com:15014", "https://127.0.0.1:1", "127.0.0.1:1", "", "http://127.0.0.1:1/debug"} {
		bad := Options{Namespace: "istio-system", URLs: []string{url}}
		if err := bad.Complete(); err == nil || !strings.Contains(err.Error(), "--istiod-url") {
			t.Errorf("%q: error %v", url, err)
		}
	}
	if err := (&Options{}).Complete(); err == nil {
		t.Error("an empty namespace passes")
	}
}
