// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// counting is the time between two looks at what canary proxies count.
	counting = 5 * time.Second
	// countPatience and countLimit bound one proxy's answer.
	countPatience, countLimit = 3 * time.Second, 8 << 20
	// maxCounted bounds the proxies that are looked at, for each plugin.
	maxCounted = 64
	// countedAtOnce bounds those that are asked at a time, for all plugins.
	countedAtOnce = 64
	// prometheusPort is that of Envoy's statistics where a proxy doesn't say another (ENVOY_PROMETHEUS_PORT).
	prometheusPort = 15090
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
		return parseCounts(response.Body)
	}
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
		o.countOnce(ctx)
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

// countOnce looks at each canary proxy once, for all canaries.
func (o *Observer) countOnce(ctx context.Context) {
	canaries := o.canaryProxies()
	var (
		counted = map[string]Counts{}
		asked   = map[string]bool{}
		mutex   sync.Mutex
		group   errgroup.Group
	)
	group.SetLimit(countedAtOnce)
	for _, some := range canaries {
		for _, proxy := range some {
			if asked[proxy.ID] {
				continue
			}
			asked[proxy.ID] = true
			group.Go(func() error {
				ctx, cancel := context.WithTimeout(ctx, countPatience)
				defer cancel()
				if counts, err := o.Count(ctx, proxy); err == nil { // otherwise its acknowledgement alone counts
					mutex.Lock()
					defer mutex.Unlock()
					counted[proxy.ID] = counts
				}
				return nil
			})
		}
	}
	_ = group.Wait()
	for key, some := range canaries {
		own := map[string]Counts{}
		for _, proxy := range some {
			if counts, known := counted[proxy.ID]; known {
				own[proxy.ID] = counts
			}
		}
		o.counts(key, own)
	}
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
