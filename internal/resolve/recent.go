// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"sync"
	"time"
)

// recentFor is how long plugins share what one of them was given.
const recentFor = 10 * time.Second

// recent are modules that were just read. Many plugins of a namespace that ask for the same, as they do when they are
// installed together, cost a registry that counts its pulls only a few.
type recent struct {
	mutex   sync.Mutex
	modules map[[2]string]recentModule
}

type recentModule struct {
	Module

	until time.Time
}

// get returns what a namespace was given for a request.
func (r *recent) get(namespace, request string) (Module, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	found, ok := r.modules[[2]string{namespace, request}]
	return found.Module, ok && time.Now().Before(found.until)
}

// add keeps a module for a while, and forgets those of before.
func (r *recent) add(namespace string, module Module) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	now := time.Now()
	for key, other := range r.modules {
		if now.After(other.until) {
			delete(r.modules, key)
		}
	}
	if r.modules == nil {
		r.modules = map[[2]string]recentModule{}
	}
	r.modules[[2]string{namespace, module.Request}] = recentModule{module, now.Add(recentFor)}
}
