// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const (
	// fetchTimeout bounds one attempt to get one module from the peers.
	fetchTimeout = 2 * time.Minute
	// fetchesAtOnce bounds what strangers can make the replicas ask one another, since anybody can ask for any digest.
	fetchesAtOnce = 8
	// spreadBound is how long the manager waits for the other replicas to have a module, too.
	spreadBound = 30 * time.Second
	// asksAtOnce bounds the modules that a replica fetches on its own account.
	asksAtOnce = 4
)

// errUnsure is of a module that the peers that answered don't have, when not all did.
var errUnsure = errors.New("not every replica of the store could be asked")

// Peers finds the addresses, HOST:PORT, of the upload ports of the other replicas.
type Peers func(ctx context.Context) ([]string, error)

// ServicePeers are the endpoints of a headless Service, without those on this machine's own addresses, and the name that
// their certificates have. Where there is no such Service, they are listed: the IP:PORT of each other replica, with commas.
func ServicePeers(address string) (Peers, string, error) {
	if listed := listedPeers(address); listed != nil {
		return func(context.Context) ([]string, error) { return listed, nil }, "", nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" || strings.Contains(port, ",") {
		return nil, "", errors.New("the peers must read HOST:PORT, with the name of a headless Service, or be a list of IP:PORT with commas")
	}
	find := func(ctx context.Context) ([]string, error) {
		others, err := otherAddresses(ctx, host)
		for i := range others {
			others[i] = net.JoinHostPort(others[i], port)
		}
		return others, err
	}
	return find, host, nil
}

// otherAddresses are those of a name that are not this machine's own.
func otherAddresses(ctx context.Context, host string) ([]string, error) {
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if unknown, ok := errors.AsType[*net.DNSError](err); ok && unknown.IsNotFound {
		return nil, nil // no replica is there yet
	}
	if err != nil {
		return nil, fmt.Errorf("look up the other replicas: %w", err)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list this replica's own addresses: %w", err)
	}
	return slices.DeleteFunc(addresses, func(address string) bool {
		return slices.ContainsFunc(own, func(mine net.Addr) bool { return isAddress(mine, address) })
	}), nil
}

// listedPeers are the addresses of a list, nil if it is none.
func listedPeers(list string) []string {
	var listed []string
	for address := range strings.SplitSeq(list, ",") {
		if _, err := netip.ParseAddrPort(address); err != nil {
			return nil
		}
		listed = append(listed, address)
	}
	return listed
}

func isAddress(mine net.Addr, address string) bool {
	network, ok := mine.(*net.IPNet)
	return ok && network.IP.Equal(net.ParseIP(address))
}

// peers fetches from other replicas what this one lacks.
type peers struct {
	find    Peers
	options store.ClientOptions
	storage *storage

	mutex   sync.Mutex
	clients map[string]*store.Client
	fetches singleflight.Group
	slots   chan struct{}
}

func newPeers(find Peers, options store.ClientOptions, storage *storage) *peers {
	return &peers{find: find, options: options, storage: storage, clients: map[string]*store.Client{}, slots: make(chan struct{}, fetchesAtOnce)}
}

// all are clients of the other replicas.
func (p *peers) all(ctx context.Context) ([]*store.Client, error) {
	if p.find == nil {
		return nil, nil
	}
	addresses, err := p.find(ctx)
	if err != nil {
		return nil, err
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	current := make(map[string]*store.Client, len(addresses))
	for _, address := range addresses {
		client := p.clients[address]
		if client == nil {
			options := p.options
			options.URL = "https://" + address
			if client, err = store.NewClient(options); err != nil {
				return nil, err
			}
		}
		current[address] = client
	}
	for address, client := range p.clients {
		if current[address] == nil {
			client.CloseIdleConnections()
		}
	}
	p.clients = current
	clients := make([]*store.Client, 0, len(addresses))
	for _, address := range addresses {
		clients = append(clients, current[address])
	}
	return clients, nil
}

// fetch gets a module from the first peer that has it. Whoever asks for the same at the same time waits for the same
// fetch, which goes on when one of them leaves. Nil means that the storage has it now.
func (p *peers) fetch(ctx context.Context, ref store.Reference) error {
	if p.find == nil {
		return errAbsent
	}
	key := moduleKey(ref)
	done := p.fetches.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return nil, p.fetchOnce(ctx, key, ref)
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *peers) fetchOnce(ctx context.Context, key string, ref store.Reference) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, err := p.storage.stat(ctx, key); err == nil {
		return nil // an earlier fetch ended after this one was asked for
	}
	clients, err := p.all(ctx)
	if err != nil {
		return errors.Join(errUnsure, err)
	}
	outcome := errAbsent
	for _, client := range clients {
		switch err := p.take(ctx, client, key, ref); {
		case err == nil:
			return nil
		case store.KindOf(err) != store.NotFound:
			outcome = errors.Join(errUnsure, err)
		}
	}
	return outcome
}

// take copies a module from one peer. What isn't of that digest is not kept.
func (p *peers) take(ctx context.Context, client *store.Client, key string, ref store.Reference) error {
	content, err := client.OpenLocal(ctx, ref)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	_, err = p.storage.put(ctx, key, hexOf(ref.Digest), content)
	return err
}

// spread makes the other replicas have a module that was just brought to this one, so that nothing is lost with one disk.
// One that can't be asked gets it later, by its own rounds.
func (p *peers) spread(ctx context.Context, ref store.Reference) error {
	clients, err := p.all(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, spreadBound)
	defer cancel()
	failed := make([]error, len(clients))
	var group sync.WaitGroup
	for i, client := range clients {
		group.Go(func() { failed[i] = client.Have(ctx, ref) })
	}
	group.Wait()
	return errors.Join(failed...)
}

// learn takes over what the peers know of the modules in use.
func (p *peers) learn(ctx context.Context, known *references) error {
	clients, err := p.all(ctx)
	if err != nil {
		return err
	}
	for _, client := range clients {
		set, changed, failed := client.Set(ctx, known.get().version(known.now()))
		if failed == nil && changed {
			failed = checkSet(set)
		}
		if failed == nil && changed {
			failed = known.adopt(ctx, set)
		}
		err = errors.Join(err, failed)
	}
	return err
}

// fetchAll fetches what the peers have of some modules, until the context ends. It returns those that nobody has, and those of
// which that is not sure.
func (p *peers) fetchAll(ctx context.Context, wanted map[string]store.Reference) (nobody, unsure []store.Reference) {
	var (
		mutex sync.Mutex
		group errgroup.Group
	)
	group.SetLimit(asksAtOnce)
	for _, ref := range wanted {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			err := p.fetch(ctx, ref)
			mutex.Lock()
			defer mutex.Unlock()
			switch {
			case err == nil, ctx.Err() != nil:
				// it is here, or on its way
			case errors.Is(err, errAbsent):
				nobody = append(nobody, ref)
			default:
				unsure = append(unsure, ref)
			}
			return nil
		})
	}
	_ = group.Wait()
	return nobody, unsure
}
