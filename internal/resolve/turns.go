// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	mostFetches = 64
	// mostOfNamespace keeps the servers of one namespace, which may hang, from holding up the others. It is twice what is
	// fetched from one server at a time, so that one that hangs holds up nobody.
	mostOfNamespace = 16
)

// turns bound how many modules are read at a time: of all namespaces, and of each.
type turns struct {
	all *semaphore.Weighted

	mutex       sync.Mutex
	byNamespace map[string]*namespaceTurns
}

type namespaceTurns struct {
	*semaphore.Weighted

	users int
}

func newTurns() *turns {
	return &turns{all: semaphore.NewWeighted(mostFetches), byNamespace: map[string]*namespaceTurns{}}
}

// enter waits for a turn. Whoever waits for one of its namespace takes none of the others'.
func (t *turns) enter(ctx context.Context, namespace string) (leave func(), err error) {
	own := t.of(namespace)
	if err := own.Acquire(ctx, 1); err != nil {
		t.forget(namespace, own)
		return nil, err
	}
	if err := t.all.Acquire(ctx, 1); err != nil {
		own.Release(1)
		t.forget(namespace, own)
		return nil, err
	}
	return func() {
		t.all.Release(1)
		own.Release(1)
		t.forget(namespace, own)
	}, nil
}

func (t *turns) of(namespace string) *namespaceTurns {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	own := t.byNamespace[namespace]
	if own == nil {
		own = &namespaceTurns{Weighted: semaphore.NewWeighted(mostOfNamespace)}
		t.byNamespace[namespace] = own
	}
	own.users++
	return own
}

func (t *turns) forget(namespace string, own *namespaceTurns) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if own.users--; own.users == 0 {
		delete(t.byNamespace, namespace)
	}
}
