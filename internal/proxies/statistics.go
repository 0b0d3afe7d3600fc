// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
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

// typeLines go before each part of what is parsed.
const typeLines = "# TYPE " + requestsTotal + " counter\n# TYPE " + envoysTotal + " counter\n# TYPE " + envoysClasses + " counter\n"

const (
	// maxLine bounds a line; its labels are names of services, hosts and codes.
	maxLine = 64 << 10
	// maxPart bounds what is parsed at a time: parsed whole, a proxy's statistics would take many times their size.
	maxPart = 64 << 10
)

// parsing has one part parsed at a time, so that whatever proxies answer takes one core of many.
var parsing sync.Mutex

// counters add up what a proxy counts, part by part.
type counters struct {
	part          bytes.Buffer
	istio, envoys Counts
	istioCounts   bool
}

// parseCounts reads statistics up to countLimit: some of them tell nothing.
func parseCounts(answer io.Reader) (Counts, error) {
	var c counters
	text := &io.LimitedReader{R: answer, N: countLimit + 1}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := c.take(lines.Bytes()); err != nil {
			return Counts{}, err
		}
	}
	if err := lines.Err(); err != nil {
		return Counts{}, fmt.Errorf("read a proxy's statistics: %w", err)
	}
	if text.N == 0 {
		return Counts{}, fmt.Errorf("read a proxy's statistics: they are longer than %d bytes", countLimit)
	}
	if err := c.parse(); err != nil {
		return Counts{}, err
	}
	if c.istioCounts {
		return c.istio, nil
	}
	return c.envoys, nil
}

// take keeps a line that is wanted, for the next part.
func (c *counters) take(line []byte) error {
	if len(line) == 0 || line[0] == '#' {
		return nil
	}
	name := line
	if end := bytes.IndexAny(line, "{ \t"); end >= 0 {
		name = line[:end]
	}
	if !model.LegacyValidation.IsValidMetricName(string(name)) {
		return fmt.Errorf("read a proxy's statistics: %.40q is no line of them", line)
	}
	switch string(name) {
	case requestsTotal, envoysTotal, envoysClasses:
	default:
		return nil
	}
	c.part.Write(line)
	c.part.WriteByte('\n')
	if c.part.Len() < maxPart {
		return nil
	}
	return c.parse()
}

// parse adds a part up.
func (c *counters) parse() error {
	parsing.Lock()
	defer parsing.Unlock()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.MultiReader(strings.NewReader(typeLines), &c.part))
	if err != nil {
		return fmt.Errorf("read a proxy's statistics: %w", err)
	}
	c.part.Reset()
	if family := families[requestsTotal]; family != nil {
		c.istioCounts = true
		c.istio.Requests += sum(family, nil)
		c.istio.Failed += sum(family, func(labels map[string]string) bool { return strings.HasPrefix(labels["response_code"], "5") })
	}
	// Not those of the admin interface, nor of this very question.
	ofTraffic := func(labels map[string]string) bool {
		prefix := labels["http_conn_manager_prefix"]
		return strings.HasPrefix(prefix, "outbound") || strings.HasPrefix(prefix, "inbound")
	}
	c.envoys.Requests += sum(families[envoysTotal], ofTraffic)
	c.envoys.Failed += sum(families[envoysClasses], func(labels map[string]string) bool {
		return ofTraffic(labels) && labels["response_code_class"] == "5xx"
	})
	return nil
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
