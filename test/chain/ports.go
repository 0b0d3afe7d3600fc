// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// The range lies below the ports that Linux and macOS give to outgoing connections. A port that the system picks
// (":0") comes from those, so another connection could take it between the choice and the start of its server.
const (
	firstPort = 20000
	lastPort  = 31999
)

// blockSize is the number of ports that a process takes at a time. It listens on the first of them as long as it lives, so that
// two processes never give one port to two servers that have yet to start.
const blockSize = 500

// owned are the ports of this process that were not given yet. None is given twice: its first server may not have started.
var owned struct {
	sync.Mutex
	guards []net.Listener
	ports  []int
}

// takeBlock owns the ports of another block. The caller holds the lock.
func takeBlock() error {
	for _, block := range rand.Perm((lastPort - firstPort + 1) / blockSize) {
		first := firstPort + block*blockSize
		guard, err := listen(first)
		if err != nil {
			continue
		}
		owned.guards = append(owned.guards, guard)
		for _, offset := range rand.Perm(blockSize - 1) {
			owned.ports = append(owned.ports, first+1+offset)
		}
		return nil
	}
	return errors.New("every block of them is taken")
}

// listen listens on the wildcard address, which also finds servers on any single address.
func listen(port int) (net.Listener, error) { return net.Listen("tcp", fmt.Sprintf(":%d", port)) }

// reservation holds ports by listening on them, until release.
type reservation struct {
	ports     []int
	listeners []net.Listener
}

// reservePorts finds n free TCP ports and holds them.
func reservePorts(n int) (*reservation, error) {
	owned.Lock()
	defer owned.Unlock()
	r := &reservation{}
	for len(r.ports) < n {
		if len(owned.ports) == 0 {
			if err := takeBlock(); err != nil {
				r.release()
				return nil, fmt.Errorf("%d free TCP ports were asked for, but %d to %d do not hold that many: %w; "+
					"end what occupies them", n, firstPort, lastPort, err)
			}
		}
		port := owned.ports[0]
		owned.ports = owned.ports[1:]
		listener, err := listen(port)
		if err != nil {
			continue
		}
		r.ports = append(r.ports, port)
		r.listeners = append(r.listeners, listener)
	}
	return r, nil
}

// release frees the ports for the servers that are about to start. A second call does nothing.
func (r *reservation) release() {
	for _, listener := range r.listeners {
		_ = listener.Close()
	}
	r.listeners = nil
}

// FreePorts returns n TCP ports that nothing listens on, and that this process is not given again.
func FreePorts(n int) ([]int, error) {
	r, err := reservePorts(n)
	if err != nil {
		return nil, err
	}
	r.release()
	return r.ports, nil
}

// local is the address of a port on this machine.
func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
