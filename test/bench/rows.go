// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
)

// The targets. Those of time and memory are about 1,000 plugins, and go with their number.
const (
	maxRatio           = 1.3
	maxRestartSeconds  = 0.5
	maxRestartRequests = 10
	maxHeap            = 6.0 // MB for 1,000 plugins
	maxCreateP50       = 12.0
	maxCreateP99       = 40.0
	maxRepairP50       = 10.0
	maxRepairP99       = 25.0
)

const megabyte = 1e6

// when leaves out what wasn't measured.
func when(measured bool, rows ...row) []row {
	if !measured {
		return nil
	}
	return rows
}

// counts are exact, whatever the machine does.
func (s sized) counts() []row {
	reads := func(c cost) float64 { return writes(c) + specReads(c) }
	return slices.Concat(
		[]row{
			exactly("writes to create a plugin", s.per(s.Create, writes), 3).beside(fmt.Sprintf("%.4g", s.per(s.Raw, writes))),
			exactly("writes to change its rules", s.per(s.Change, writes), 2),
			exactly("writes and reads of specs when a label changes", s.per(s.Touch, reads), 0),
			exactly("writes and reads of specs at a restart", worst(s.Restart, reads), 0),
			bounded("requests at a restart", worst(s.Restart, total), maxRestartRequests, "%.0f"),
		},
		when(s.Edit.Times > 0,
			exactly("writes to repair an edited EnvoyFilter", s.Edit.Writes, 1),
			exactly("writes to repair a deleted EnvoyFilter", s.Delete.Writes, 1),
			exactly("requests a minute while nothing happens, without the lease", s.Quiet, 0),
		),
		when(s.RemovedPlugins > 0,
			exactly("requests when a plugin is deleted", ratio(float64(s.Removed.Total), float64(s.RemovedPlugins)), 0),
			exactly("writes and reads of specs of a new leader, but for what is new", float64(s.Failover.SpecReads+s.Failover.Writes), 0),
		),
	)
}

// times depend on the machine.
func (s sized) times() []row {
	thousands := float64(max(s.Plugins, 1000)) / 1000
	created, raw := median(s.Create, seconds), median(s.Raw, seconds)
	return append([]row{
		bounded(fmt.Sprintf("time to create all ÷ raw client, median of %d", len(s.Create)), ratio(created, raw), maxRatio, "%.2f").beside("1"),
		told("time to create all", fmt.Sprintf("%.1f s", created)).beside(fmt.Sprintf("%.1f s", raw)),
		told("time to change all", fmt.Sprintf("%.1f s", median(s.Change, seconds))),
		bounded(fmt.Sprintf("restart, until each plugin was looked at, median of %d", len(s.Restart)), median(s.Restart, seconds), maxRestartSeconds*thousands, "%.2f s"),
		told("of that, until its first request: the start of the process", fmt.Sprintf("%.2f s", median(s.Restart, begun))),
	}, when(s.Edit.Times > 0,
		bounded("create → both EnvoyFilters visible, p50", s.Idle.P50, maxCreateP50, "%.1f ms").beside(s.Idle.request()),
		bounded("the same, p99", s.Idle.P99, maxCreateP99, "%.1f ms"),
		bounded("EnvoyFilter edited by hand → repaired, p50", s.Edit.P50, maxRepairP50, "%.1f ms").beside(s.Edit.request()),
		bounded("the same, p99", s.Edit.P99, maxRepairP99, "%.1f ms"),
		bounded("EnvoyFilter deleted by hand → repaired, p50", s.Delete.P50, maxRepairP50, "%.1f ms").beside(s.Delete.request()),
		bounded("the same, p99", s.Delete.P99, maxRepairP99, "%.1f ms"),
		told(fmt.Sprintf("create → both visible while all others are rendered anew (%d were left), p50 / longest", s.BacklogLeft),
			fmt.Sprintf("%.1f / %.1f ms", s.Backlog.P50, s.Backlog.P99)),
		told("leader killed → first write of the next one", fmt.Sprintf("%.1f s", s.Failover.Killed)),
		told("leader stopped → first write of the next one", fmt.Sprintf("%.2f s", s.Failover.Stopped)),
	)...)
}

// request is what the request that begins it takes.
func (l latency) request() string { return fmt.Sprintf("%.1f ms for one write", l.Request) }

// costs are of 1,000 plugins.
func (s sized) costs() []row {
	ms := func(costs []cost, of func(cost) float64) string {
		return fmt.Sprintf("%.2f s", 1000*s.per(costs, of))
	}
	return []row{
		told("bytes on the wire for a created plugin, watches included", fmt.Sprintf("%.0f", s.per(s.Create, wire))).
			beside(fmt.Sprintf("%.0f", s.per(s.Raw, wire))),
		told("the same for a change of its rules", fmt.Sprintf("%.0f", s.per(s.Change, wire))),
		told("operator's CPU for 1,000 created", ms(s.Create, operatorCPU)),
		told("the same for 1,000 changed", ms(s.Change, operatorCPU)),
		told("the same for 1,000 whose label changes", ms(s.Touch, operatorCPU)),
		told("the same for a restart, with its start", fmt.Sprintf("%.2f s", median(s.Restart, operatorCPU))),
		told("API server's CPU for 1,000 created", ms(s.Create, serverCPU)).beside(ms(s.Raw, serverCPU)),
	}
}

// memories are of the manager's process, without the checker.
func (s sized) memories() []row {
	grown := func(empty, full memory, plugins int) float64 {
		return ratio(float64(full.Heap-empty.Heap), float64(plugins)) * 1000 / megabyte
	}
	resident := func(m memory) string {
		return fmt.Sprintf("%.0f / %.0f MB", float64(m.Resident)/megabyte, float64(m.Peak)/megabyte)
	}
	return slices.Concat([]row{
		bounded("heap for 1,000 plugins, after creating them", grown(s.Empty, s.Full, s.Plugins), maxHeap, "%.1f MB"),
		bounded("the same, after a restart", grown(s.Empty, s.Started, s.Plugins), maxHeap, "%.1f MB"),
	}, when(s.BigPlugins > 0,
		bounded(fmt.Sprintf("the same with rules of 64 KiB each (%d plugins)", s.BigPlugins), grown(s.BigEmpty, s.BigFull, s.BigPlugins), maxHeap, "%.1f MB"),
		told("resident / peak with them", resident(s.BigFull)),
	), []row{
		told("heap without plugins", fmt.Sprintf("%.1f MB", float64(s.Empty.Heap)/megabyte)),
		told("resident / peak, after creating them", resident(s.Full)),
		told("the same, after a restart", resident(s.Started)),
	})
}
