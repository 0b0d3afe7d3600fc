// SPDX-License-Identifier: Apache-2.0

// Package metrics holds the names and labels of the operator's own metrics. controller-runtime adds its own.
package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/solarmesh/wasmplugin-operator/internal/version"
)

// Results of a write.
const (
	ResultCreated    = "created"
	ResultConfigured = "configured"
	ResultError      = "error"
)

var (
	// EnvoyFilterWrites counts the writes of EnvoyFilters. The label result is created, configured or error.
	EnvoyFilterWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "wasmplugin_operator",
		Name:      "envoyfilter_writes_total",
		Help:      "Writes of EnvoyFilters, by result: created, configured (an existing one was changed) or error.",
	}, []string{"result"})

	// StatusWrites counts the writes of WasmPlugins' statuses. The label result is configured or error.
	StatusWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "wasmplugin_operator",
		Name:      "status_writes_total",
		Help:      "Writes of the status of WasmPlugins, by result: configured or error.",
	}, []string{"result"})

	buildInfo = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "wasmplugin_operator",
		Name:      "build_info",
		Help:      "Always 1; the labels say which build this is.",
	}, []string{"version", "go_version"})
)

// Register adds the metrics to a registry.
func Register(registry prometheus.Registerer) error {
	buildInfo.WithLabelValues(version.Version, runtime.Version()).Set(1)
	for _, collector := range []prometheus.Collector{EnvoyFilterWrites, StatusWrites, buildInfo} {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}
