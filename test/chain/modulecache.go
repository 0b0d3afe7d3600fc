// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// agentCache is where the agent keeps modules. It cannot be changed; without it, every module fails to load.
const agentCache = "/var/lib/istio/data"

// isolateModuleCache gives a proxy a module cache of its own where the system can do that, and otherwise lets it use
// the fixed folder. It returns the folder that the modules end up in.
func isolateModuleCache(dir string, command *Command) (string, error) {
	cache := filepath.Join(dir, "modules")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	reason := mountModuleCache(dir, cache, command)
	if reason == nil {
		return cache, nil
	}
	// Shared, but still no proxy sees a module of another: an agent uses only the files it has written itself.
	if err := checkWritable(agentCache); err != nil {
		return "", fmt.Errorf("the agent keeps modules in %s, which cannot be used (%w), and this user cannot mount "+
			"a folder in its place (%w); run as root, or allow user namespaces, or make the folder: "+
			"sudo install -d -o $USER %s", agentCache, err, reason, agentCache)
	}
	return agentCache, nil
}

func checkWritable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "writable-")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
