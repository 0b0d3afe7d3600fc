// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

const statistics = `# TYPE istio_requests_total counter
istio_requests_total{reporter="source",response_code="200",response_flags="-"} 90
istio_requests_total{reporter="source",response_code="503",response_flags="-"} 7
istio_requests_total{reporter="source",response_code="500",response_flags="NFCF"} 2
istio_requests_total{reporter="source",response_code="0",response_flags="DC"} 1
# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{response_code="503"} 1000
`

const ofEnvoy = `# TYPE envoy_http_downstream_rq_total counter
envoy_http_downstream_rq_total{http_conn_manager_prefix="admin"} 900
envoy_http_downstream_rq_total{http_conn_manager_prefix="outbound_0.0.0.0_8080"} 60
envoy_http_downstream_rq_total{http_conn_manager_prefix="inbound_0.0.0.0_80"} 10
# TYPE envoy_http_downstream_rq counter
envoy_http_downstream_rq{response_code_class="2xx",http_conn_manager_prefix="outbound_0.0.0.0_8080"} 56
envoy_http_downstream_rq{response_code_class="5xx",http_conn_manager_prefix="outbound_0.0.0.0_8080"} 4
envoy_http_downstream_rq{response_code_class="5xx",http_conn_manager_prefix="admin"} 9
`

func TestCountOver(t *testing.T) {
	answer, status := statistics, http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/stats/prometheus" || r.URL.Query().Get("filter") != wantedCounters {
			t.Errorf("asks for %s", r.URL)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	count := CountOver(server.Client())
	proxy := Proxy{ID: "a.shop", Statistics: strings.TrimPrefix(server.URL, "http://")}
	if got, err := count(t.Context(), proxy); err != nil || got != (Counts{Requests: 100, Failed: 9}) {
		t.Errorf("got %+v, %v", got, err)
	}
	answer = ofEnvoy
	if got, err := count(t.Context(), proxy); err != nil || got != (Counts{Requests: 70, Failed: 4}) {
		t.Errorf("Envoy's own: got %+v, %v", got, err)
	}
	answer = "" // no request has passed
	if got, err := count(t.Context(), proxy); err != nil || got != (Counts{}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, bad := range map[string]func(){
		"garbage":       func() { answer = "<html>" },
		"a page":        func() { answer = "<p>no such page\n{\"code\": 404}" },
		"too much":      func() { answer = strings.Repeat("other_total{a=\"b\"} 1\n", countLimit/20) },
		"not found":     func() { status = http.StatusNotFound },
		"nobody":        server.Close,
		"no address":    func() { proxy.Statistics = "" },
		"a bad address": func() { proxy.Statistics = "%" },
	} {
		bad()
		if got, err := count(t.Context(), proxy); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestStatisticsAddress(t *testing.T) {
	tests := map[string]struct {
		own, peer string
		port      int
		want      string
	}{
		"as a pod":          {"10.0.0.1,fe80::1", "10.0.0.1:41234", 0, "10.0.0.1:15090"},
		"another port":      {"10.0.0.1", "10.0.0.1:41234", 16000, "10.0.0.1:16000"},
		"IPv6":              {"10.0.0.1,fd00::1", "[fd00::1]:41234", 0, "[fd00::1]:15090"},
		"through a gateway": {"10.0.0.1", "10.9.9.9:41234", 0, ""},
		"unknown":           {"", "", 0, ""},
	}
	for name, test := range tests {
		if got := (nodeMetadata{InstanceIPs: test.own, PrometheusPort: test.port}).statistics(test.peer); got != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestCountsOfMany: a proxy's statistics are read in parts, of which none is kept. Parsed whole, they took many times their
// size.
func TestCountsOfMany(t *testing.T) {
	const series = 60_000
	var text strings.Builder
	for i := range series {
		fmt.Fprintf(&text, "istio_requests_total{response_code=\"%d\",destination_service=\"s%d.shop.svc.cluster.local\"} 2\n", 200+i%2*300, i)
	}
	text.WriteString(ofEnvoy)
	before := heap()
	reader := &measuring{Reader: strings.NewReader(text.String())}
	got, err := parseCounts(reader)
	if err != nil || got != (Counts{Requests: 2 * series, Failed: series}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if reader.most > before+(2<<20) {
		t.Errorf("held %d bytes for %d", reader.most-before, text.Len())
	}
	if _, err := parseCounts(strings.NewReader(strings.Repeat("x", maxLine) + " 1")); err == nil {
		t.Error("takes a line without an end")
	}
}

// measuring is a reader that measures the heap now and then.
type measuring struct {
	io.Reader
	read int
	most uint64
}

func (m *measuring) Read(buffer []byte) (int, error) {
	const often = 1 << 20
	n, err := m.Reader.Read(buffer)
	if m.read/often != (m.read+n)/often {
		m.most = max(m.most, heap())
	}
	m.read += n
	return n, err
}

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// TestCounted: canary proxies are looked at, and the plugin hears of failures.
func TestCounted(t *testing.T) {
	w, key := newWatch(t), Key{NamespacedName: auth, Canary: true}
	counts, err := Counts{}, error(nil)
	w.Count = func(context.Context, Proxy) (Counts, error) { return counts, err }
	w.asker.gateway(nonce7)
	w.polls(1, sparse)
	look := func(what string, news bool, want map[string]Counts) {
		t.Helper()
		w.told = nil
		w.countOnce(t.Context())
		got, _ := w.Counted(key)
		if (len(w.told) > 0) != news || len(got) != len(want) || got["gw.shop"] != want["gw.shop"] {
			t.Errorf("%s: tells %v, %+v", what, w.told, got)
		}
	}
	w.Follow(Key{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "other"}}, ourExpectation(t))
	look("no canary", false, nil)
	w.Follow(key, ourExpectation(t))
	look("at first", true, map[string]Counts{"gw.shop": {}})
	counts = Counts{Requests: 5}
	look("the first requests", true, map[string]Counts{"gw.shop": {Requests: 5}})
	counts = Counts{Requests: 7}
	look("well", false, map[string]Counts{"gw.shop": {Requests: 7}})
	counts = Counts{Requests: 8, Failed: 1}
	look("failing", true, map[string]Counts{"gw.shop": {Requests: 8, Failed: 1}})
	err = errors.New("x")
	look("unreadable", true, nil)
	w.Forget(key)
	look("forgotten", false, nil)
}
