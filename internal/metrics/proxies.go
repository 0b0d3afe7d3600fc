// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// Results of a trial.
const (
	TrialAccepted = "accepted"
	TrialRefused  = "refused"
	TrialTimedOut = "timed_out"
)

// CanaryPromoted is the result of a canary that brought its content to all; the others are those of rollout.Ended.
const CanaryPromoted = "promoted"

// What proxies do, as istiod tells. No label names a plugin or a proxy: their number has no bound.
var (
	// Proxies counts, over all plugins, the proxies that match. The label state is programmed, waiting, rejected or blocked.
	Proxies = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "wasmplugin_operator",
		Name:      "proxies",
		Help:      "Proxies of each plugin, summed up, by state: programmed, waiting, rejected, blocked (by another plugin).",
	}, []string{"state"})

	// PluginsOnTrial counts the trials that stand.
	PluginsOnTrial = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "wasmplugin_operator",
		Name:      "plugins_on_trial",
		Help:      "Plugins of which a change is on trial.",
	})

	// TrialSeconds is how long trials took. The label result is accepted, refused or timed_out.
	TrialSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "wasmplugin_operator",
		Name:      "trial_duration_seconds",
		Help:      "Time from the beginning of a trial to its end, by result: accepted, refused, timed_out.",
		Buckets:   []float64{.25, .5, 1, 2, 5, 15, 30, 60, 120, 300},
	}, []string{"result"})

	// ProxyRejections counts refusals of proxies.
	ProxyRejections = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "wasmplugin_operator",
		Name:      "proxy_rejections_total",
		Help:      "Refusals of plugins by proxies, on trial and in force.",
	})

	// CanariesEnded counts canaries. The label result is promoted, refused, failing or aborted.
	CanariesEnded = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "wasmplugin_operator",
		Name:      "canaries_ended_total",
		Help:      "Canaries that have ended, by result: promoted, refused, failing, aborted.",
	}, []string{"result"})

	// IstiodRequests counts polls of istiods. The label result is ok or why not.
	IstiodRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "wasmplugin_operator",
		Name:      "istiod_requests_total",
		Help:      "Polls of istiods, by result: ok, unreachable, denied, bad_certificate, timed_out, garbage, too_large.",
	}, []string{"result"})

	// Istiods counts those that are known, IstiodUp those that answer.
	Istiods = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "wasmplugin_operator",
		Name:      "istiods",
		Help:      "Istiods that are known.",
	})
	IstiodUp = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "wasmplugin_operator",
		Name:      "istiod_up",
		Help:      "Istiods of which it can be read what their proxies do.",
	})
)
