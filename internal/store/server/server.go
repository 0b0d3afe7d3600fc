// SPDX-License-Identifier: Apache-2.0

// Package server is the store: it keeps modules under their digests, gives them to proxies, and takes them from the
// manager and, where its storage is durable, from tenants.
package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const (
	// MinGrace is longer than Istio's agents keep a module: one that is fetched again by then must still be there.
	MinGrace = 24 * time.Hour

	defaultGrace  = 48 * time.Hour
	peerInterval  = 10 * time.Second
	sweepInterval = 10 * time.Minute
	// roundBound keeps a hanging peer from holding up the rounds for ever.
	roundBound = 30 * time.Second
	// startBound and startAttempts are for how long replicas that don't answer hold up a start.
	startBound    = time.Minute
	startAttempts = 5
	startRetry    = 2 * time.Second
	namedInLog    = 10
)

// Options are what a store is made of.
type Options struct {
	// Bucket is the storage's URL: file:///FOLDER, or another in a build that has its driver.
	Bucket string
	// Durable says that uploads by tenants are taken, since the storage outlives the pods and is one for all replicas.
	Durable bool
	// Grace is for how long a module that nobody names any more is kept. Default: 48 hours, at least MinGrace.
	Grace time.Duration
	// Quota bounds the bytes that the uploads of one namespace take. 0: no bound.
	Quota int64
	// MaxModule bounds one module. Default: 256 MiB.
	MaxModule int64
	// Peers finds the other replicas of a store with a folder each. None where the storage is one for all.
	Peers Peers
	// PeerClient says how peers are spoken to; their addresses are filled in.
	PeerClient store.ClientOptions
	// Access decides who may use the upload port.
	Access Access
	// Registry takes the store's metrics.
	Registry prometheus.Registerer
	// Log takes what an operator of the store should know.
	Log logr.Logger
	// Now is the clock. Default: the system's.
	Now func() time.Time
}

// Server is a replica of the store.
type Server struct {
	options    Options
	storage    *storage
	references *references
	peers      *peers
	metrics    *metrics
	log        logr.Logger
	ready      atomic.Bool
	// pushes keep one push of a namespace from spending the quota that another has just been promised.
	pushes sync.Map // namespace → *sync.Mutex
	spools chan struct{}
	// retry is how long a start waits for replicas that don't answer.
	retry time.Duration
}

// New opens the storage.
func New(ctx context.Context, options Options) (*Server, error) {
	if options.Grace == 0 {
		options.Grace = defaultGrace
	}
	if options.MaxModule == 0 {
		options.MaxModule = store.MaxModule
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if err := options.check(); err != nil {
		return nil, err
	}
	storage, err := openStorage(ctx, options.Bucket, options.MaxModule)
	if err != nil {
		return nil, err
	}
	metrics, err := newMetrics(options.Registry)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return &Server{
		options: options, storage: storage, metrics: metrics, log: options.Log,
		references: &references{storage: storage, now: options.Now},
		peers:      newPeers(options.Peers, options.PeerClient, storage),
		spools:     make(chan struct{}, spoolsAtOnce),
		retry:      startRetry,
	}, nil
}

func (o Options) check() error {
	switch {
	case o.Access == nil || o.Registry == nil:
		return errors.New("a store needs to know who may use it, and where its metrics go")
	case o.Grace < MinGrace:
		return fmt.Errorf("the grace must be %s or more: for so long the proxies' agents may fetch a module again", MinGrace)
	case o.MaxModule < 0 || o.Quota < 0:
		return errors.New("sizes can't be negative")
	case o.Durable && o.Peers != nil:
		// Each replica would have tags of its own, and two writers of one tag could both win.
		return errors.New("uploads need one storage that all replicas share, so a durable store has no peers: give it a shared volume, a bucket, or a single replica")
	default:
		return nil
	}
}

func (s *Server) now() time.Time {
	return s.options.Now()
}

// Start catches up with the other replicas, for a bounded time, and makes the store ready. It fails only when the
// storage does.
func (s *Server) Start(ctx context.Context) error {
	if err := s.references.load(ctx); err != nil {
		return fmt.Errorf("read which modules are in use: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := s.catchUp(bounded)
		if err == nil {
			break
		}
		if attempt == startAttempts || !pause(bounded, s.retry) {
			s.log.Error(err, "Not everything could be had from the other replicas; starting with what is here")
			break
		}
	}
	s.setReady(ctx.Err() == nil)
	return nil
}

// catchUp learns which modules are in use, and fetches those that it lacks from the other replicas. Its error says that some of
// it could not be done.
func (s *Server) catchUp(ctx context.Context) error {
	err := s.peers.learn(ctx, s.references)
	absent, listed := s.absent(ctx)
	if listed != nil {
		return errors.Join(err, listed)
	}
	nobody, unsure := s.peers.fetchAll(ctx, absent)
	s.missing(nobody)
	if len(unsure) > 0 {
		err = errors.Join(err, fmt.Errorf("%d modules that a replica may have could not be fetched", len(unsure)))
	}
	return err
}

// absent are the modules that are in use and not here.
func (s *Server) absent(ctx context.Context) (map[string]store.Reference, error) {
	stored, err := s.storage.list(ctx, modulesPrefix)
	if err != nil {
		return nil, err
	}
	s.metrics.objects.Set(float64(len(stored)))
	return s.references.lacking(stored), nil
}

// missing reports modules that neither this replica nor another has.
func (s *Server) missing(nobody []store.Reference) {
	if before := s.metrics.setMissing(len(nobody)); before == len(nobody) || len(nobody) == 0 {
		return
	}
	digests := make([]string, 0, namedInLog)
	for _, ref := range nobody[:min(len(nobody), namedInLog)] {
		digests = append(digests, ref.Digest)
	}
	slices.Sort(digests)
	s.log.Info("Modules are in use that no replica has; the manager will bring them", "count", len(nobody), "some", strings.Join(digests, " "))
}

// Run keeps up with the other replicas and deletes what nobody needs, until the context ends.
func (s *Server) Run(ctx context.Context) {
	peers, sweeps := time.NewTicker(peerInterval), time.NewTicker(sweepInterval)
	defer peers.Stop()
	defer sweeps.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-peers.C:
			s.keepUp(ctx)
		case <-sweeps.C:
			if err := s.sweep(ctx); err != nil {
				s.log.Error(err, "Not all that is unused could be deleted")
			}
		}
	}
}

// keepUp is one round of what replicas do for one another.
func (s *Server) keepUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, roundBound)
	defer cancel()
	if s.options.Peers == nil {
		// Others write into the same storage.
		if err := s.references.load(ctx); err != nil {
			s.log.Error(err, "Which modules are in use could not be read")
		}
	}
	if err := s.catchUp(ctx); err != nil {
		s.log.V(1).Info("Not everything could be had from the other replicas", "reason", err.Error())
	}
}

func (s *Server) setReady(ready bool) {
	s.ready.Store(ready)
	s.metrics.setReady(ready)
}

// pause waits, unless the context ends.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
