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
	ResultDeleted    = "deleted"
	ResultError      = "error"
)

var (
	// EnvoyFilterWrites counts the writes of EnvoyFilters. The label result is created, configured, deleted or
	// error.
	EnvoyFilterWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "wasmplugin_operator",
		Name:      "envoyfilter_writes_total",
		Help:      "Writes of EnvoyFilters, by result: created, configured (an existing one was changed), deleted or error.",
	}, []string{"result"})

	// StatusWrites counts the writes of WasmPlugins' statuses. The label result is configured or error.
	StatusWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "wasmplugin_operator",
		Name:      "status_writes_total",
		Help:      "Writes of the status of WasmPlugins, by result: configured or error.",
	}, []string{"result"})

	// ModuleResolutions counts what was done to resolve modules. The label result is resolved, refused (the plugin didn't
	// start) or the reason of a failure; source is oci, http or store.
	ModuleResolutions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "wasmplugin_operator",
		Name:      "module_resolutions_total",
		Help:      "Modules that were resolved, by source (oci, http, store) and result: resolved, refused, or why not.",
	}, []string{"source", "result"})

	// ModuleResolutionSeconds is how long it took, with the waiting for a turn.
	ModuleResolutionSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "wasmplugin_operator",
		Name:      "module_resolution_duration_seconds",
		Help:      "Time from the URL to a module that proxies can fetch, by source.",
		Buckets:   []float64{.01, .05, .1, .5, 1, 5, 15, 30, 60, 120, 300},
	}, []string{"source"})

	// ModuleBytes counts the bytes of modules that were read from where their authors put them.
	ModuleBytes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "wasmplugin_operator",
		Name:      "module_read_bytes_total",
		Help:      "Bytes of modules that were read, unpacked, by source (oci, http, store).",
	}, []string{"source"})

	// DryStarts counts plugins that were started on trial, by outcome: accepted, refused or inconclusive.
	DryStarts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "wasmplugin_operator",
		Name:      "dry_starts_total",
		Help:      "Plugins that were started on trial, by outcome: accepted, refused, inconclusive (delivered, since only a proxy can tell).",
	}, []string{"outcome"})

	buildInfo = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "wasmplugin_operator",
		Name:      "build_info",
		Help:      "Always 1; the labels say which build this is.",
	}, []string{"version", "go_version"})
)

// Results of resolving a module, beside the reasons of failures.
const (
	ResultResolved = "resolved"
	ResultRefused  = "refused"
)

// Outcomes of a dry start.
const (
	DryStartAccepted     = "accepted"
	DryStartRefused      = "refused"
	DryStartInconclusive = "inconclusive"
)

// Register adds the metrics to a registry.
func Register(registry prometheus.Registerer) error {
	buildInfo.WithLabelValues(version.Version, runtime.Version()).Set(1)
	for _, collector := range []prometheus.Collector{
		EnvoyFilterWrites, StatusWrites, ModuleResolutions, ModuleResolutionSeconds, ModuleBytes, DryStarts, buildInfo,
		Proxies, PluginsOnTrial, TrialSeconds, ProxyRejections, CanariesEnded, IstiodRequests, Istiods, IstiodUp,
	} {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}
