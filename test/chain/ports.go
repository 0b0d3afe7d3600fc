// SPDX-License-Identifier: Apache-2.0

package chain

import (
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

// handedOut keeps a port from being given twice in one process, where its first server has not started yet.
var handedOut = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// reservation holds ports by listening on them, until release.
type reservation struct {
	ports     []int
	listeners []net.Listener
}

// reservePorts finds n free TCP ports and holds them.
func reservePorts(n int) (*reservation, error) {
	handedOut.Lock()
	defer handedOut.Unlock()
	r := &reservation{}
	for _, offset := range rand.Perm(lastPort - firstPort + 1) {
		if len(r.ports) == n {
			return r, nil
		}
		port := firstPort + offset
		if handedOut.ports[port] {
			continue
		}
		// The wildcard address also finds servers on any single address.
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		handedOut.ports[port] = true
		r.ports = append(r.ports, port)
		r.listeners = append(r.listeners, listener)
	}
	r.release()
	return nil, fmt.Errorf("%d free TCP ports were asked for, but %d to %d do not hold that many; "+
		"end what occupies them", n, firstPort, lastPort)
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
