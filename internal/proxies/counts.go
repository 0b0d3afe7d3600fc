// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	// counting is the time between two looks at what canary proxies count.
	counting = 5 * time.Second
	// countPatience and countLimit bound one proxy's answer.
	countPatience, countLimit = 3 * time.Second, 8 << 20
	// maxCounted bounds the proxies that are looked at, for each plugin.
	maxCounted = 64
	// prometheusPort is that of Envoy's statistics where a proxy doesn't say another (ENVOY_PROMETHEUS_PORT).
	prometheusPort = 15090
)

// Counts are requests since a proxy's start, and those that were answered with a status of 500 to 599.
type Counts struct{ Requests, Failed uint64 }

// What is read: requestsTotal of Istio's proxies, where meshConfig.defaultProviders or a Telemetry has them count (the filter
// istio.stats), or else Envoy's own requests by class, where proxyStatsMatcher includes those (the statistics
// http.PREFIX.downstream_rq_*; their labels are those of Istio's bootstrap).
const (
	requestsTotal  = "istio_requests_total"
	envoysTotal    = "envoy_http_downstream_rq_total"
	envoysClasses  = "envoy_http_downstream_rq"
	wantedCounters = "requests_total|downstream_rq"
)

// CountOver reads the statistics of proxies at their own addresses, as Prometheus does.
func CountOver(client *http.Client) func(context.Context, Proxy) (Counts, error) {
	return func(ctx context.Context, proxy Proxy) (Counts, error) {
		if proxy.Statistics == "" {
			return Counts{}, fmt.Errorf("proxy %s doesn't say its address", proxy.ID)
		}
		address := "http://" + proxy.Statistics + "/stats/prometheus?usedonly&filter=" + url.QueryEscape(wantedCounters)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return Counts{}, err
		}
		response, err := client.Do(request)
		if err != nil {
			return Counts{}, err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return Counts{}, fmt.Errorf("proxy %s answers %s", proxy.ID, response.Status)
		}
		return parseCounts(io.LimitReader(response.Body, countLimit))
	}
}

func parseCounts(text io.Reader) (Counts, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return Counts{}, fmt.Errorf("read a proxy's statistics: %w", err)
	}
	if families[requestsTotal] != nil {
		return Counts{
			Requests: sum(families[requestsTotal], nil),
			Failed:   sum(families[requestsTotal], func(labels map[string]string) bool { return strings.HasPrefix(labels["response_code"], "5") }),
		}, nil
	}
	// Not those of the admin interface, nor of this very question.
	ofTraffic := func(labels map[string]string) bool {
		prefix := labels["http_conn_manager_prefix"]
		return strings.HasPrefix(prefix, "outbound") || strings.HasPrefix(prefix, "inbound")
	}
	return Counts{
		Requests: sum(families[envoysTotal], ofTraffic),
		Failed: sum(families[envoysClasses], func(labels map[string]string) bool {
			return ofTraffic(labels) && labels["response_code_class"] == "5xx"
		}),
	}, nil
}

// sum adds up the counters of a family whose labels are wanted; nil wants all.
func sum(family *dto.MetricFamily, wanted func(labels map[string]string) bool) uint64 {
	total := uint64(0)
	for _, metric := range family.GetMetric() {
		labels := map[string]string{}
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		if wanted == nil || wanted(labels) {
			total += uint64(max(metric.GetCounter().GetValue(), 0))
		}
	}
	return total
}

// statistics is the address of a proxy's statistics; empty where it isn't known. It is the one by which the proxy came to
// istiod, if it calls that its own: whoever comes through a gateway doesn't, and none can have another asked in its stead.
func (n nodeMetadata) statistics(peer string) string {
	address, _, err := net.SplitHostPort(peer)
	if err != nil || !slices.Contains(strings.Split(n.InstanceIPs, ","), address) {
		return ""
	}
	port := n.PrometheusPort
	if port == 0 {
		port = prometheusPort
	}
	return net.JoinHostPort(address, strconv.Itoa(port))
}

// Counted returns what the proxies of a canary count, by id, nil where that can't be read, and whether they were asked.
func (o *Observer) Counted(key Key) (counts map[string]Counts, asked bool) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	counts, asked = o.counted[key]
	return maps.Clone(counts), asked || o.Count == nil
}

// countAll looks at canary proxies until the context ends.
func (o *Observer) countAll(ctx context.Context) {
	ticker := time.NewTicker(counting)
	defer ticker.Stop()
	for o.Count != nil {
		for key, some := range o.canaryProxies() {
			o.counts(key, o.countOnce(ctx, some))
		}
		select {
		case <-ctx.Done():
			return
		case <-o.recount:
		case <-ticker.C:
		}
	}
}

// canaryProxies are those that match, by canary.
func (o *Observer) canaryProxies() map[Key][]Proxy {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	found := map[Key][]Proxy{}
	for key, track := range o.tracks {
		if !key.Canary {
			continue
		}
		for proxy := range o.reached(track.Expectation.Reach) {
			if len(found[key]) == maxCounted {
				break
			}
			found[key] = append(found[key], *proxy)
		}
	}
	return found
}

func (o *Observer) countOnce(ctx context.Context, some []Proxy) map[string]Counts {
	ctx, cancel := context.WithTimeout(ctx, countPatience)
	defer cancel()
	var (
		counted = map[string]Counts{}
		mutex   sync.Mutex
		group   sync.WaitGroup
	)
	for _, proxy := range some {
		group.Go(func() {
			counts, err := o.Count(ctx, proxy)
			if err != nil {
				return // then its acknowledgement alone counts
			}
			mutex.Lock()
			defer mutex.Unlock()
			counted[proxy.ID] = counts
		})
	}
	group.Wait()
	return counted
}

// counts keeps what was counted, and tells the plugin of failures, and of the first requests.
func (o *Observer) counts(key Key, counted map[string]Counts) {
	o.mutex.Lock()
	before := o.counted[key]
	news := (len(before) == 0) != (len(counted) == 0)
	for proxy, now := range counted {
		news = news || now.Failed != before[proxy].Failed || (now.Requests == 0) != (before[proxy].Requests == 0)
	}
	if len(counted) == 0 {
		counted = nil
	}
	if o.tracks[key] != nil {
		o.counted[key] = counted
	}
	o.mutex.Unlock()
	if news {
		o.Notify(key.NamespacedName)
	}
}
