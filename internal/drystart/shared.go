// SPDX-License-Identifier: Apache-2.0

package drystart

// maxStorage bounds what plugins may have the host keep.
const maxStorage = 64 << 20

// sharedState is what all VMs of one VM id share: their data and queues.
type sharedState struct {
	data   map[string]sharedValue
	queues map[string]uint32
	// queued is indexed by the queues' tokens, from 1.
	queued map[uint32][]string
	tokens uint32
	// stored are the bytes that are kept.
	stored int
	cas    uint32
}

type sharedValue struct {
	value string
	cas   uint32
}

func newSharedState() *sharedState {
	return &sharedState{data: map[string]sharedValue{}, queues: map[string]uint32{}, queued: map[uint32][]string{}}
}

// keep accounts for text that the host is about to keep; it is called before a copy is made.
func (s *sharedState) keep(sizes ...int) {
	for _, size := range sizes {
		s.stored += size
	}
	if s.stored > maxStorage {
		panic(errStorage)
	}
}

// entryOverhead is about what an entry costs beside its bytes.
const entryOverhead = 64

func (c *call) getSharedData() uint32 {
	entry, found := c.state.data[c.text(0)]
	if c.fault || !found {
		return notFound
	}
	c.give(2, []byte(entry.value))
	c.setWord(4, entry.cas)
	return ok
}

// setSharedData stores a value unless it was changed since the plugin read it. 0 stands for any state.
func (c *call) setSharedData() uint32 {
	key, value, cas := c.bytes(0), c.bytes(2), c.word(4)
	if c.fault {
		return ok
	}
	entry, found := c.state.data[string(key)]
	if found && cas != 0 && cas != entry.cas {
		return casMismatch
	}
	if !found {
		c.state.keep(len(key), entryOverhead)
	}
	c.state.keep(len(value), -len(entry.value))
	c.state.cas++
	c.state.data[string(key)] = sharedValue{value: string(value), cas: c.state.cas}
	return ok
}

func (c *call) registerQueue() uint32 {
	name := c.bytes(0)
	if c.fault {
		return ok
	}
	token, found := c.state.queues[string(name)]
	if !found {
		c.state.keep(len(name), entryOverhead)
		c.state.tokens++
		token = c.state.tokens
		c.state.queues[string(name)], c.state.queued[token] = token, nil
	}
	c.setWord(2, token)
	return ok
}

func (c *call) resolveQueue() uint32 {
	vmID, name := c.text(0), c.text(2)
	if c.fault {
		return ok
	}
	if vmID != "" && vmID != c.request.VMID {
		c.guess("proxy_resolve_shared_queue of the VM " + cut(vmID))
		return notFound
	}
	token, found := c.state.queues[name]
	if !found {
		return notFound
	}
	c.setWord(4, token)
	return ok
}

func (c *call) dequeue() uint32 {
	token := c.word(0)
	queue, found := c.state.queued[token]
	switch {
	case !found:
		return notFound
	case len(queue) == 0:
		return empty
	}
	c.state.queued[token] = queue[1:]
	c.state.keep(-len(queue[0]), -entryOverhead)
	c.give(1, []byte(queue[0]))
	return ok
}

func (c *call) enqueue() uint32 {
	token, data := c.word(0), c.bytes(1)
	queue, found := c.state.queued[token]
	if c.fault || !found {
		return notFound
	}
	c.state.keep(len(data), entryOverhead)
	c.state.queued[token] = append(queue, string(data))
	return ok
}
