// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// mountScript runs in a mount namespace of its own. It puts the folder $1 in the place of the agent's module cache and
// runs the rest of its arguments. Where the place does not exist it cannot be made without leaving it behind (or at
// all), so /var/lib is then replaced by $2, a folder with the same entries and the place.
const mountScript = `set -e
cache=$1 lib=$2
shift 2
if [ -d ` + agentCache + ` ]; then
  mount -o bind "$cache" ` + agentCache + `
else
  for entry in /var/lib/*; do
    name=${entry##*/}
    case $name in istio | '*') continue ;; esac
    if [ -d "$entry" ]; then mkdir -p "$lib/$name"; else : > "$lib/$name"; fi
    mount -o rbind "$entry" "$lib/$name"
  done
  mkdir -p "$lib/istio/data"
  mount -o bind "$cache" "$lib/istio/data"
  mount -o rbind "$lib" /var/lib
fi
exec "$@"`

// mountModuleCache makes a command run with its own module cache, by a mount namespace: directly as root, inside a user
// namespace otherwise. It tries each before, and returns why neither works.
func mountModuleCache(dir, cache string, command *Command) error {
	lib := filepath.Join(dir, "var-lib")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		return err
	}
	wrap := func(path string, args ...string) []string {
		return append([]string{"-c", mountScript, "mount", cache, lib, path}, args...)
	}
	var reasons []error
	for _, namespaces := range []func(*syscall.SysProcAttr){mountNamespace, userAndMountNamespace} {
		trial := exec.Command("/bin/sh", wrap("true")...)
		trial.SysProcAttr = &syscall.SysProcAttr{}
		namespaces(trial.SysProcAttr)
		output, err := trial.CombinedOutput()
		if err == nil {
			command.Path, command.Args = "/bin/sh", wrap(command.Path, command.Args...)
			command.adjust = namespaces
			return nil
		}
		reasons = append(reasons, fmt.Errorf("%w %s", err, strings.TrimSpace(string(output))))
	}
	return errors.Join(reasons...)
}

// Unshareflags rather than Cloneflags: with these, Go also stops mounts from spreading to other namespaces.
func mountNamespace(attr *syscall.SysProcAttr) { attr.Unshareflags = syscall.CLONE_NEWNS }

func userAndMountNamespace(attr *syscall.SysProcAttr) {
	attr.Unshareflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
}
