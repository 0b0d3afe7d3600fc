// SPDX-License-Identifier: Apache-2.0

package server

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	metricsNamespace = "wasmplugin_operator"
	metricsSubsystem = "store"
)

// metrics are the store's own. No label names a module.
type metrics struct {
	requests  *prometheus.CounterVec
	served    prometheus.Counter
	objects   prometheus.Gauge
	missing   prometheus.Gauge
	collected prometheus.Counter
	ready     prometheus.Gauge

	lastMissing atomic.Int64
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "requests_total",
			Help: "Requests to the store, by kind (module, private, upload, fetch, references, tag or other) and status code.",
		}, []string{"kind", "code"}),
		served: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "served_bytes_total",
			Help: "Bytes of modules that were sent to proxies.",
		}),
		objects: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "modules",
			Help: "Modules that this replica holds for proxies.",
		}),
		missing: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "missing_modules",
			Help: "Modules that are in use and that no replica has.",
		}),
		collected: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "collected_total",
			Help: "Objects that were deleted since nothing had named them for longer than the grace.",
		}),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "ready",
			Help: "1 when this replica has asked the others for all that it lacks, and is not shutting down.",
		}),
	}
	for _, collector := range []prometheus.Collector{m.requests, m.served, m.objects, m.missing, m.collected, m.ready} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) count(kind string, code int) {
	m.requests.WithLabelValues(kind, strconv.Itoa(code)).Inc()
}

// setMissing returns the number before.
func (m *metrics) setMissing(count int) int {
	m.missing.Set(float64(count))
	return int(m.lastMissing.Swap(int64(count)))
}

func (m *metrics) setReady(ready bool) {
	value := 0.0
	if ready {
		value = 1
	}
	m.ready.Set(value)
}
