// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// settling is for how long a module that was brought counts as in use without being in the manager's set. It waits for its turn to
// be started, 10 minutes at most, before a pair names it, and the manager makes a set each minute.
const settling = 15 * time.Minute

// inUse is what the manager said last about the modules that are in use, what came since, and since when others are not.
type inUse struct {
	// Revision orders the sets, also those that reached different replicas.
	Revision int64 `json:"revision"`
	// Received is when the manager sent the set.
	Received   time.Time         `json:"received"`
	References []store.Reference `json:"references"`
	// Brought are modules that came lately and that the manager has not named since, by key.
	Brought map[string]brought `json:"brought,omitempty"`
	// Unused are the keys of modules that no set has named since a time.
	Unused map[string]time.Time `json:"unused,omitempty"`
}

// brought is a module that came.
type brought struct {
	Reference store.Reference `json:"reference"`
	At        time.Time       `json:"at"`
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
	r.change.Lock()
	defer r.change.Unlock()
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
	if stored.Revision >= r.get().Revision {
		r.set(stored)
	}
	return nil
}

// replace makes the manager's set the one that counts. What came lately and isn't in it goes on to count: the set may have been
// made before its pair.
func (r *references) replace(ctx context.Context, named []store.Reference) error {
	if err := r.load(ctx); err != nil {
		return err
	}
	r.change.Lock()
	defer r.change.Unlock()
	now, known := r.now(), r.get()
	// A clock that was wrong, here or in another replica, must not make an old set win for ever.
	revision := max(now.UnixNano(), known.Revision+1)
	return r.accept(ctx, inUse{Revision: revision, Received: now, References: named, Brought: known.lately(now)})
}

// add counts a module that was just brought, until a set of the manager names it, which it does as soon as a pair does: a replica
// that starts meanwhile is not ready without it.
func (r *references) add(ctx context.Context, ref store.Reference) error {
	r.change.Lock()
	defer r.change.Unlock()
	now, next := r.now(), r.get()
	next.Brought = next.lately(now)
	next.Brought[moduleKey(ref)] = brought{ref, now}
	return r.keep(ctx, next)
}

// adopt takes over what another replica knows: its set, if that is newer, and what was brought to it.
func (r *references) adopt(ctx context.Context, set store.ReferenceSet) error {
	r.change.Lock()
	defer r.change.Unlock()
	now, next := r.now(), r.get()
	newer := set.Revision > next.Revision
	next.Brought = next.lately(now)
	if newer {
		next.Revision, next.Received, next.References = set.Revision, now.Add(-set.Age()), set.References
	}
	before := len(next.Brought)
	next.take(set.Brought, now)
	switch {
	case newer:
		return r.accept(ctx, next)
	case len(next.Brought) > before:
		return r.keep(ctx, next)
	}
	return nil
}

// take adds what another replica was brought, unless the set names it.
func (u *inUse) take(others []store.BroughtModule, now time.Time) {
	names := keysOf(u.References)
	for _, other := range others {
		key := moduleKey(other.Reference)
		_, here := u.Brought[key]
		if _, named := names[key]; !named && !here && other.Age() < settling {
			u.Brought[key] = brought{other.Reference, now.Add(-other.Age())}
		}
	}
}

// accept takes a new set: what it names need not be known as brought. It notes since when the other modules are not in use.
func (r *references) accept(ctx context.Context, next inUse) error {
	stored, err := r.storage.list(ctx, modulesPrefix)
	if err != nil {
		return err
	}
	for key := range keysOf(next.References) {
		delete(next.Brought, key)
	}
	next.Unused = unusedSince(r.get().Unused, stored, next.counted(), next.Received)
	return r.keep(ctx, next)
}

// keep stores all that, and makes it what counts.
func (r *references) keep(ctx context.Context, next inUse) error {
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

// lately are the modules that were brought less than settling ago, for the caller to change. A time that is far ahead is of a
// clock that was wrong.
func (u inUse) lately(now time.Time) map[string]brought {
	lately := map[string]brought{}
	for key, module := range u.Brought {
		if now.Sub(module.At).Abs() < settling {
			lately[key] = module
		}
	}
	return lately
}

// counted are the modules in use, by key.
func (u inUse) counted() map[string]store.Reference {
	keys := keysOf(u.References)
	for key, module := range u.Brought {
		keys[key] = module.Reference
	}
	return keys
}

// tell is what other replicas are told.
func (u inUse) tell(now time.Time) store.ReferenceSet {
	set := store.ReferenceSet{References: u.References, Revision: u.Revision, AgeSeconds: age(now, u.Received)}
	for _, module := range u.lately(now) {
		// A second more: nothing grows younger on its way.
		set.Brought = append(set.Brought, store.BroughtModule{Reference: module.Reference, AgeSeconds: age(now, module.At) + 1})
	}
	return set
}

func age(now, then time.Time) int64 { return int64(max(now.Sub(then), 0) / time.Second) }

// version tells what is known from what a replica knows that was told something else.
func (u inUse) version(now time.Time) string {
	version := strconv.FormatInt(u.Revision, 10)
	if lately := u.lately(now); len(lately) > 0 {
		sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(maps.Keys(lately)), "\n")))
		version += "-" + hex.EncodeToString(sum[:8])
	}
	return version
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

// lacking are the modules in use that are not among what is stored.
func (r *references) lacking(stored map[string]object) map[string]store.Reference {
	wanted := r.get().counted()
	maps.DeleteFunc(wanted, func(key string, _ store.Reference) bool {
		_, here := stored[key]
		return here
	})
	return wanted
}
