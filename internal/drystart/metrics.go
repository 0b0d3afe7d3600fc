// SPDX-License-Identifier: Apache-2.0

package drystart

import "math"

// The kinds of metrics. An id of a metric holds its kind in the lowest two bits.
const (
	counter = iota
	gauge
	histogram
	maxMetric = histogram

	metricStep = 4
	metricKind = metricStep - 1
)

// metrics are those that a VM has defined. Two definitions of one name and kind have two ids and one value.
type metrics struct {
	next   [maxMetric + 1]uint32
	values map[uint32]*uint64
	byName map[metricName]*uint64
}

type metricName struct {
	kind uint32
	name string
}

func newMetrics() metrics {
	return metrics{
		next:   [...]uint32{counter + metricStep, gauge + metricStep, histogram + metricStep},
		values: map[uint32]*uint64{}, byName: map[metricName]*uint64{},
	}
}

func (c *call) defineMetric() uint32 {
	kind, name := c.word(0), c.bytes(1)
	if c.fault || kind > maxMetric {
		return badArgument
	}
	c.state.keep(len(name), entryOverhead)
	key := metricName{kind: kind, name: string(name)}
	value, found := c.metrics.byName[key]
	if !found {
		value = new(uint64)
		c.metrics.byName[key] = value
	}
	id := c.metrics.next[kind]
	c.metrics.next[kind] += metricStep
	c.metrics.values[id] = value
	c.setWord(3, id)
	return ok
}

func (c *call) incrementMetric() uint32 {
	id, offset := c.word(0), c.long(1)
	value, found := c.metrics.values[id]
	switch kind := id & metricKind; {
	case kind != counter && kind != gauge:
		return badArgument
	case !found:
		return notFound
	case kind == counter && (offset == 0 || offset > math.MaxInt64):
		// Counters only grow. The offset is signed, so what is greater stands for a negative one.
		return badArgument
	}
	*value += offset
	return ok
}

func (c *call) recordMetric() uint32 {
	id, amount := c.word(0), c.long(1)
	value, found := c.metrics.values[id]
	if !found {
		return notFound
	}
	if id&metricKind == counter {
		amount += *value
	}
	*value = amount
	return ok
}

func (c *call) getMetric() uint32 {
	id := c.word(0)
	value, found := c.metrics.values[id]
	switch kind := id & metricKind; {
	case kind != counter && kind != gauge:
		return badArgument
	case !found:
		return notFound
	}
	c.setLong(1, *value)
	return ok
}
