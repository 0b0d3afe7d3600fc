// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"io"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/signature"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// Fetcher reads modules from where their authors put them; module.Fetcher does.
type Fetcher interface {
	Fetch(ctx context.Context, ref module.Reference, pullSecret []byte) (*module.Module, error)
	Resolve(ctx context.Context, ref module.Reference, pullSecret []byte) (string, error)
	Signatures(ctx context.Context, ref module.Reference, digests []string, pullSecret []byte) ([]module.Attachment, error)
}

// Checker starts plugins without a proxy; checker.Client does.
type Checker interface {
	Check(ctx context.Context, request drystart.Request) ([]drystart.Verdict, error)
}

// Store keeps what proxies fetch; store.Client is one.
type Store interface {
	Put(ctx context.Context, digest, capability string, content []byte) error
	Get(ctx context.Context, digest, capability string) (io.ReadCloser, error)
	Tag(ctx context.Context, namespace, name, tag string) (digest string, size int64, err error)
	Tagged(ctx context.Context, namespace, name, digest string) (io.ReadCloser, error)
}

// Resolver resolves modules. It may be used by many at once.
type Resolver struct {
	fetcher Fetcher
	memory  *module.Memory
	checker Checker
	store   Store
	cache   *Cache
	recent  recent
	// key, which nobody can guess, makes the capabilities of modules that no pair names yet.
	key []byte
	// fetching and checking bound what is done at a time, as memory bounds what is held.
	fetching *turns
	checking *semaphore.Weighted
}

// Parts are what a Resolver works with.
type Parts struct {
	Fetcher Fetcher
	// Memory is what all modules take that are held, the Fetcher's among them.
	Memory *module.Memory
	// Checker is nil where nothing is started on trial, Store where there is none.
	Checker Checker
	Store   Store
	Cache   *Cache
}

// mostChecks is as many as the checker runs at a time.
const mostChecks = 2

// New makes a Resolver.
func New(parts Parts) *Resolver {
	return &Resolver{
		fetcher: parts.Fetcher, memory: parts.Memory, checker: parts.Checker, store: parts.Store, cache: parts.Cache,
		key: []byte(store.NewCapability()), fetching: newTurns(), checking: semaphore.NewWeighted(mostChecks),
	}
}

// Request is what is asked for.
type Request struct {
	// Origin is where the module is.
	Origin Origin
	// Namespace is the plugin's. What one namespace was given is never given to another without its own credentials.
	Namespace string
	// ID tells this request from others that may lead to another module, or to it in another way.
	ID string
	// Known is what the pair remembers.
	Known Module
	// Look asks what a tag means now, also where that is known. Restore puts a module into the store that lost it.
	Look, Restore bool
	// PullSecret reads the credentials; nil for none.
	PullSecret func(ctx context.Context) ([]byte, error)
	// Policy reads who must have signed the module; nil for nobody.
	Policy func(ctx context.Context) (signature.Policy, error)
	// Store says that proxies fetch it from the store.
	Store bool
	// Start is what a proxy would start the module with; nil for no dry start.
	Start func(Module) (drystart.Request, error)
	// Mask takes out of a plugin's words what may be a credential.
	Mask func(string) string
}

// Standing returns the known module where nothing is to be asked or tried, by what is known alone.
func (r *Resolver) Standing(request Request) (Outcome, bool, error) {
	known := request.Known
	if known.Digest == "" || known.Request != request.ID || request.Look || request.Restore || (request.Store && !known.Stored) {
		return Outcome{}, false, nil
	}
	if request.Start == nil || r.checker == nil {
		return Outcome{Module: known}, true, nil
	}
	start, err := request.Start(known)
	if err != nil {
		return Outcome{}, false, err
	}
	id, err := CheckID(known.Digest, start)
	return Outcome{Module: known}, known.Check == id, err
}

// Outcome is what came of a request.
type Outcome struct {
	// Module is set where the module is there, and delivered.
	Module Module
	// Note is a sentence about what could not be done and need not be for the moment.
	Note string
	// Refusal is set where the plugin doesn't start; Module then is the one that was tried.
	Refusal *Refusal
	// Failure is set where there is no module.
	Failure *Failure
}

// Refusal is why a plugin doesn't start.
type Refusal struct {
	// OfRules: the plugin starts, but not with these rules, of the field.
	OfRules bool   `json:"ofRules,omitempty"`
	Field   string `json:"field"`
	// Reason is the operator's word for it, Said the plugin's own.
	Reason string `json:"reason"`
	Said   string `json:"said,omitempty"`
	// Exhausted: for the time or memory that it took, which another checker may have.
	Exhausted bool `json:"-"`
}

// Words are a sentence, with the plugin's own words.
func (r Refusal) Words() string { return drystart.Words(r.Reason, r.Said) }

// Resolve does all that a request asks for.
func (r *Resolver) Resolve(ctx context.Context, request Request) Outcome {
	began := time.Now()
	w := &work{Resolver: r, Request: request}
	if err := w.run(ctx); err != nil {
		w.outcome = Outcome{Failure: FailureOf(err)}
	}
	if ctx.Err() == nil {
		source := request.Origin.kind()
		metrics.ModuleResolutions.WithLabelValues(source, w.outcome.result()).Inc()
		metrics.ModuleResolutionSeconds.WithLabelValues(source).Observe(time.Since(began).Seconds())
	}
	return w.outcome
}

// Busy says that nothing was found out, since too much is being fetched: the same is to be asked again soon.
func (o Outcome) Busy() bool {
	return o.Failure != nil && o.Failure.Reason == string(module.Busy)
}

// result is a word for what came of it.
func (o Outcome) result() string {
	switch {
	case o.Failure != nil:
		return o.Failure.Reason
	case o.Refusal != nil:
		return metrics.ResultRefused
	default:
		return metrics.ResultResolved
	}
}
