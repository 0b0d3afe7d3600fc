// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"fmt"
	"io"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// load holds the module, from where it is nearest.
func (w *work) load(ctx context.Context) error {
	if w.held != nil {
		return nil
	}
	if err := w.loadKept(ctx); w.held != nil || err != nil {
		return err
	}
	if err := w.takeTurn(ctx); err != nil {
		return err
	}
	found := w.outcome.Module
	read, err := w.read(ctx, w.pinned())
	switch {
	case err != nil:
		return err
	case read.Digest != found.Digest:
		return &Failure{
			Reason:  string(module.DigestMismatch),
			Message: fmt.Sprintf("%s: the server's module is another one by now (%s, it was %s); the one in effect can't be had again", found.Source, read.Digest, found.Digest),
		}
	}
	w.held, w.reading = w.reading, nil
	w.cache.Put(w.Namespace, found.Digest, w.held.Content)
	return nil
}

// loadKept holds the module if the folder has it, or the store. Its only error is Busy.
func (w *work) loadKept(ctx context.Context) error {
	found := w.outcome.Module
	if content, ok := w.cache.Open(w.Namespace, found.Digest); ok {
		held, err := w.hold(content)
		switch {
		case module.KindOf(err) == module.Busy:
			return err
		case err == nil && held.Digest == found.Digest:
			w.held = held
			return nil
		}
		held.Release()
		w.cache.Forget(w.Namespace, found.Digest)
	}
	if !w.Store || !found.Stored || w.Restore {
		return nil
	}
	content, err := w.store.Get(ctx, found.Digest, found.Capability)
	if err != nil {
		return nil //nolint:nilerr // where it came from has it, too
	}
	held, err := w.hold(content)
	if module.KindOf(err) == module.Busy {
		return err
	}
	w.held = held
	return nil
}

// hold reads a module to its end.
func (w *work) hold(content io.ReadCloser) (*module.Module, error) {
	defer func() { _ = content.Close() }()
	return w.memory.Read(w.Namespace, content)
}
