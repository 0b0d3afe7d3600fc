// SPDX-License-Identifier: Apache-2.0

package author

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	rustTarget = "wasm32-wasip1"
	zigTarget  = "wasm32-wasi"
)

// find looks for a program. advice says how to get it.
func find(program, advice string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("building this plugin needs %s, which is not in PATH; %s", program, advice)
	}
	return path, nil
}

func planGo(_ context.Context, _, output string) ([]step, error) {
	program, err := find("go", "install Go 1.24 or newer from https://go.dev/dl")
	if err != nil {
		return nil, err
	}
	return []step{{
		program: program,
		args:    []string{"build", "-buildmode=c-shared", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", output, "."},
		env:     []string{"GOOS=wasip1", "GOARCH=wasm"},
	}}, nil
}

func planTinyGo(_ context.Context, _, output string) ([]step, error) {
	program, err := find("tinygo", "install TinyGo 0.36 or newer, see https://tinygo.org/getting-started/install; or set language to go in runtime-config.json, "+
		"which builds the same sources by Go alone")
	if err != nil {
		return nil, err
	}
	return []step{{
		program: program,
		args:    []string{"build", "-target=wasip1", "-buildmode=c-shared", "-no-debug", "-o", output, "."},
	}}, nil
}

func planRust(ctx context.Context, dir, _ string) ([]step, error) {
	const rustup = "install Rust with rustup, see https://rustup.rs"
	cargo, err := find("cargo", rustup)
	if err != nil {
		return nil, err
	}
	rustc, err := find("rustc", rustup)
	if err != nil {
		return nil, err
	}
	// In the plugin's folder, since a file rust-toolchain.toml in it picks another release.
	command := exec.CommandContext(ctx, rustc, "--print", "target-libdir", "--target", rustTarget) //nolint:gosec // it was found in PATH
	command.Dir = dir
	libraries, err := command.Output()
	if err == nil {
		_, err = os.Stat(strings.TrimSpace(string(libraries)))
	}
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("Rust lacks its library for WebAssembly; run: rustup target add %s", rustTarget) //nolint:staticcheck // a name
	}
	return []step{{
		program: cargo,
		args:    []string{"build", "--release", "--target", rustTarget, "--message-format", "json-render-diagnostics"},
		found:   cargoModule,
	}}, ctx.Err()
}

// cargoModule finds the module in what cargo writes, a line of JSON for each thing that it has made.
func cargoModule(output []byte) (string, error) {
	module := ""
	for line := range bytes.Lines(output) {
		var made struct {
			Reason    string   `json:"reason"`
			Filenames []string `json:"filenames"`
			Target    struct {
				Kind []string `json:"kind"`
			} `json:"target"`
		}
		// Build scripts may write lines of their own.
		if json.Unmarshal(line, &made) != nil || made.Reason != "compiler-artifact" || !slices.Contains(made.Target.Kind, "cdylib") {
			continue
		}
		// Dependencies come first: the last one is the plugin's own.
		for _, name := range made.Filenames {
			if filepath.Ext(name) == ".wasm" {
				module = name
			}
		}
	}
	if module == "" {
		return "", errors.New(`cargo made no module; Cargo.toml needs crate-type = ["cdylib"] in [lib]`)
	}
	return module, nil
}

func planAssemblyScript(_ context.Context, dir, output string) ([]step, error) {
	node, err := find("node", "install Node.js 18 or newer from https://nodejs.org")
	if err != nil {
		return nil, err
	}
	var steps []step
	compiler := assemblyScriptCompiler(dir)
	if compiler == "" {
		npm, err := find("npm", "install Node.js 18 or newer from https://nodejs.org, which brings it")
		if err != nil {
			return nil, err
		}
		install := "ci"
		if _, err := os.Stat(filepath.Join(dir, "package-lock.json")); err != nil {
			install = "install"
		}
		steps = append(steps, step{program: npm, args: []string{install, "--ignore-scripts", "--no-audit", "--no-fund"}})
		compiler = asc[0]
	}
	return append(steps, step{
		program: node,
		args: []string{
			filepath.FromSlash(compiler), "assembly/index.ts", "--optimize", "--use", "abort=abort_proc_exit", "--noColors", "-o", output,
		},
	}), nil
}

// asc is where the compiler is within a plugin's folder.
var asc = []string{"node_modules/assemblyscript/bin/asc", "node_modules/assemblyscript/bin/asc.js"}

func assemblyScriptCompiler(dir string) string {
	for _, path := range asc {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(path))); err == nil {
			return path
		}
	}
	return ""
}

func planCPP(ctx context.Context, dir, output string) ([]step, error) {
	sources, err := cppSources(dir)
	if err != nil {
		return nil, err
	}
	compiler, err := cppCompiler(ctx)
	if err != nil {
		return nil, err
	}
	flags := []string{"-mexec-model=reactor", "-std=c++20", "-O2", "-fno-exceptions", "-Wall", "-Wextra", "-s", "-o", output}
	return []step{{program: compiler[0], args: slices.Concat(compiler[1:], flags, sources)}}, nil
}

// cppCompiler is the WASI SDK where the user says that there is one, otherwise Zig.
func cppCompiler(ctx context.Context) ([]string, error) {
	if sdk := os.Getenv("WASI_SDK_PATH"); sdk != "" {
		program, err := exec.LookPath(filepath.Join(sdk, "bin", "clang++"))
		if err != nil {
			return nil, fmt.Errorf("WASI_SDK_PATH is %s, where there is no bin/clang++; correct it, or unset it to build with Zig", sdk)
		}
		return []string{program, "--target=" + rustTarget}, nil
	}
	if zig, err := exec.LookPath("zig"); err == nil {
		return []string{zig, "c++", "-target", zigTarget}, nil
	}
	if python, err := exec.LookPath("python3"); err == nil {
		if exec.CommandContext(ctx, python, "-c", "import ziglang").Run() == nil { //nolint:gosec // it was found in PATH
			return []string{python, "-m", "ziglang", "c++", "-target", zigTarget}, nil
		}
	}
	return nil, errors.New("building this plugin needs a C++ compiler for WebAssembly; install Zig 0.13 or newer (pip install ziglang, " +
		"or https://ziglang.org/download), or the WASI SDK (https://github.com/WebAssembly/wasi-sdk) with its folder in WASI_SDK_PATH")
}

func cppSources(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for sources: %w", err)
	}
	var sources []string
	for _, entry := range entries {
		if slices.Contains([]string{".cc", ".cpp", ".cxx"}, filepath.Ext(entry.Name())) && !entry.IsDir() {
			sources = append(sources, "."+string(filepath.Separator)+entry.Name())
		}
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("the folder %s has no C++ sources: files that end in .cc, .cpp or .cxx", dir)
	}
	return sources, nil
}
