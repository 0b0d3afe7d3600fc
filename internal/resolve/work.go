// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"cmp"
	"context"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/signature"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// work is a request on its way.
type work struct {
	*Resolver
	Request
	outcome Outcome
	// held is the outcome's module, where its bytes are at hand, reading one that was read and needn't become it.
	held, reading *module.Module
	// leave ends the turn that was taken to read.
	leave func()
}

// run goes from the URL to a module that is where proxies fetch it, and starts. Nothing is put into the store that isn't
// verified.
func (w *work) run(ctx context.Context) error {
	defer w.letGo()
	if err := w.find(ctx); err != nil {
		return err
	}
	switch err := w.deliver(ctx); {
	case err != nil && w.Restore:
		// Running proxies have it. The store will ask again.
		w.outcome.Note = "The store lost the module, and it could not be put back, so proxies that start now don't get it: " + FailureOf(err).Message
	case err != nil:
		return err
	}
	// What waits for its turn to be started is on disk, if there is room.
	w.letGo()
	return w.check(ctx)
}

// takeTurn waits until a module may be read.
func (w *work) takeTurn(ctx context.Context) (err error) {
	if w.leave == nil {
		w.leave, err = w.fetching.enter(ctx, w.Namespace)
	}
	return err
}

// letGo ends the turn, and gives back the memory.
func (w *work) letGo() {
	w.endTurn()
	w.held.Release()
	w.reading.Release()
	w.held, w.reading = nil, nil
}

func (w *work) endTurn() {
	if w.leave != nil {
		w.leave()
	}
	w.leave = nil
}

// find takes the module that is known, or reads one.
func (w *work) find(ctx context.Context) error {
	if w.Known.Request == w.ID && w.Known.Digest != "" {
		w.outcome.Module = w.Known
		if !w.Look {
			return nil
		}
		return w.lookAgain(ctx)
	}
	return w.readNew(ctx, w.Origin)
}

// lookAgain reads another module only where the tag has another meaning by now. The known one stays in effect where
// nobody can say.
func (w *work) lookAgain(ctx context.Context) error {
	origin, same, err := w.meaning(ctx)
	switch {
	case err == nil && same:
		w.outcome.Module.VerifiedBy, err = w.verify(ctx, origin, w.Known)
	case err == nil:
		err = w.readNew(ctx, origin)
	}
	if err == nil || module.KindOf(err) == module.Busy {
		return err // who had no turn has not looked
	}
	failure := FailureOf(err)
	if !origin.moves() && !failure.Temporary {
		return err
	}
	w.outcome = Outcome{Module: w.Known, Note: "Whether there is a newer module could not be found out: " + failure.Message}
	return nil
}

// readNew reads a module, verifies it, and keeps it at hand.
func (w *work) readNew(ctx context.Context, origin Origin) error {
	if err := w.takeTurn(ctx); err != nil {
		return err
	}
	if same, ok := w.recent.get(w.Namespace, w.ID); ok && !w.Look {
		w.outcome.Module = same
		return nil
	}
	// A policy that can't be meant is found out before anything is fetched.
	if _, err := w.policy(ctx); err != nil {
		return err
	}
	found, err := w.read(ctx, origin)
	if err != nil {
		return err
	}
	if found.VerifiedBy, err = w.verify(ctx, origin, found); err != nil {
		return err
	}
	found.Request = w.ID
	w.recent.add(w.Namespace, found)
	if found.Digest == w.Known.Digest && w.Known.Request == w.ID {
		// Read again, and still the same.
		w.outcome.Module, w.held, w.reading = w.Known, w.reading, nil
		return nil
	}
	w.outcome.Module, w.held, w.reading = found, w.reading, nil
	w.cache.Put(w.Namespace, found.Digest, w.held.Content)
	return nil
}

// verify returns who signed the module.
func (w *work) verify(ctx context.Context, origin Origin, found Module) (string, error) {
	policy, err := w.policy(ctx)
	if policy == nil || err != nil {
		return "", err
	}
	secret, err := w.secret(ctx)
	if err != nil {
		return "", err
	}
	digests := []string{found.Manifest}
	if found.Resolved != "" {
		digests = append(digests, found.Resolved)
	}
	attachments, err := w.fetcher.Signatures(ctx, origin.reference, digests, secret)
	if err != nil {
		return "", err
	}
	return policy.Verify(digests, attachments)
}

// policy is who must have signed the module, nil for nobody.
func (w *work) policy(ctx context.Context) (*signature.Policy, error) {
	if w.Policy == nil {
		return nil, nil //nolint:nilnil // nobody must
	}
	policy, err := w.Policy(ctx)
	if err == nil {
		err = policy.Check()
	}
	return &policy, err
}

// deliver puts the module into the store, where proxies are to fetch it there.
func (w *work) deliver(ctx context.Context) error {
	found := &w.outcome.Module
	if !w.Store || (found.Stored && !w.Restore) {
		return nil
	}
	if found.Capability == "" && (w.PullSecret != nil || w.Origin.Stored()) {
		// Where it isn't started in the end, and tried again and again, it is put into the same place each time.
		found.Capability = cmp.Or(w.Known.Capability, store.CapabilityOf(w.key, w.Namespace+"\n"+w.ID+"\n"+found.Digest))
	}
	// What many plugins lost at once is put back by a few at a time.
	if err := w.takeTurn(ctx); err != nil {
		return err
	}
	if err := w.load(ctx); err != nil {
		return err
	}
	if err := w.store.Put(ctx, found.Digest, found.Capability, w.held.Content); err != nil {
		return storeFailure(err)
	}
	found.Stored = true
	return nil
}
