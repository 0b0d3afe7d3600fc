// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// settling is for how long a module that was brought counts as in use without being in the manager's set: it waits for its turn
// to be started, and only then a pair names it.
const settling = 5 * time.Minute

// inUse is what the manager said last about the modules that are in use, and since when others are not.
type inUse struct {
	// Revision orders the sets, also those that reached different replicas.
	Revision int64 `json:"revision"`
	// Received is when the manager sent the set.
	Received   time.Time         `json:"received"`
	References []store.Reference `json:"references"`
	// Brought are the keys of modules that came lately and that the manager has not named yet, and when they came.
	Brought map[string]time.Time `json:"brought,omitempty"`
	// Unused are the keys of modules that no set has named since a time.
	Unused map[string]time.Time `json:"unused,omitempty"`
}

// references keeps the newest set, in memory and in the storage.
type references struct {
	storage *storage
	now     func() time.Time

	// change lets one change follow another.
	change sync.Mutex
	mutex  sync.RWMutex
	known  inUse
}

// get is the set as it is now. It is not to be changed.
func (r *references) get() inUse {
	r.mutex.RLock()
	defer r.mutex.RUnlock()
	return r.known
}

// load takes over what the storage holds, if that is newer: what stood there at the start, or what another replica wrote
// into a storage that is shared.
func (r *references) load(ctx context.Context) error {
	content, err := r.storage.read(ctx, referencesKey)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	var stored inUse
	if json.Unmarshal(content, &stored) != nil {
		return nil // a set that can't be read is none: the manager sends the next one within a minute
	}
	r.change.Lock()
	defer r.change.Unlock()
	if stored.Revision > r.get().Revision {
		r.set(stored)
	}
	return nil
}

// replace makes the manager's set the one that counts. It may have been made before a pair named what came lately.
func (r *references) replace(ctx context.Context, named []store.Reference) error {
	if err := r.load(ctx); err != nil {
		return err
	}
	r.change.Lock()
	defer r.change.Unlock()
	now, known := r.now(), r.get()
	brought, names := known.brought(now), keysOf(named)
	maps.DeleteFunc(brought, func(key string, _ time.Time) bool {
		_, settled := names[key]
		return settled
	})
	// A clock that was wrong, here or in another replica, must not make an old set win for ever.
	revision := max(now.UnixNano(), known.Revision+1)
	return r.accept(ctx, inUse{
		Revision: revision, Received: now, References: slices.Concat(named, known.late(brought, names)), Brought: brought,
	})
}

// add counts a module that was just brought, until the manager's sets name it, which they do as soon as a pair does: a replica
// that starts meanwhile is not ready without it. Before the first set of all there is nothing to add it to.
func (r *references) add(ctx context.Context, ref store.Reference) error {
	r.change.Lock()
	defer r.change.Unlock()
	now, known := r.now(), r.get()
	if known.Received.IsZero() {
		return nil
	}
	brought, named := known.brought(now), known.References
	if slices.Contains(named, ref) {
		if _, unnamed := brought[moduleKey(ref)]; !unnamed {
			return nil
		}
	} else {
		named = append(slices.Clone(named), ref)
	}
	brought[moduleKey(ref)] = now
	return r.accept(ctx, inUse{Revision: known.Revision + 1, Received: known.Received, References: named, Brought: brought})
}

// adopt takes another replica's set over, if it is newer. What came lately and isn't in it makes it a newer one.
func (r *references) adopt(ctx context.Context, set store.ReferenceSet) error {
	r.change.Lock()
	defer r.change.Unlock()
	now, known := r.now(), r.get()
	if set.Revision <= known.Revision {
		return nil
	}
	brought := known.brought(now)
	late := known.late(brought, keysOf(set.References))
	if len(late) > 0 {
		set.Revision++
	}
	return r.accept(ctx, inUse{
		Revision: set.Revision, Received: now.Add(-set.Age()), References: slices.Concat(set.References, late), Brought: brought,
	})
}

// brought are the modules that came less than settling ago.
func (u inUse) brought(now time.Time) map[string]time.Time {
	lately := map[string]time.Time{}
	for key, at := range u.Brought {
		if now.Sub(at) < settling {
			lately[key] = at
		}
	}
	return lately
}

// late are the modules that count as brought, and that another set doesn't name.
func (u inUse) late(brought map[string]time.Time, names map[string]store.Reference) []store.Reference {
	var late []store.Reference
	for _, ref := range u.References {
		key := moduleKey(ref)
		_, came := brought[key]
		if _, named := names[key]; came && !named {
			late = append(late, ref)
		}
	}
	return late
}

// accept notes since when the other modules are not in use, and keeps all that.
func (r *references) accept(ctx context.Context, next inUse) error {
	stored, err := r.storage.list(ctx, modulesPrefix)
	if err != nil {
		return err
	}
	next.Unused = unusedSince(r.get().Unused, stored, keysOf(next.References), next.Received)
	content, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := r.storage.write(ctx, referencesKey, content); err != nil {
		return err
	}
	r.set(next)
	return nil
}

func (r *references) set(next inUse) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.known = next
}

// unusedSince is since when each module is in no set. One that was used until now begins now.
func unusedSince(before map[string]time.Time, stored map[string]object, used map[string]store.Reference, now time.Time) map[string]time.Time {
	since := map[string]time.Time{}
	for key := range stored {
		if _, inUse := used[key]; inUse || !strings.HasSuffix(key, extension) {
			continue
		}
		since[key] = now
		if earlier, known := before[key]; known {
			since[key] = earlier
		}
	}
	return since
}

func keysOf(named []store.Reference) map[string]store.Reference {
	keys := make(map[string]store.Reference, len(named))
	for _, ref := range named {
		keys[moduleKey(ref)] = ref
	}
	return keys
}

// lacking are the modules of the set that are not among what is stored.
func (r *references) lacking(stored map[string]object) map[string]store.Reference {
	wanted := keysOf(r.get().References)
	maps.DeleteFunc(wanted, func(key string, _ store.Reference) bool {
		_, here := stored[key]
		return here
	})
	return wanted
}
