// SPDX-License-Identifier: Apache-2.0

package author

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/scaffold"
)

func TestMissingToolchains(t *testing.T) {
	for language, want := range map[string]string{
		scaffold.Go:             "needs go, which is not in PATH; install Go 1.24 or newer from https://go.dev/dl",
		scaffold.TinyGo:         "needs tinygo, which is not in PATH; install TinyGo 0.36 or newer",
		scaffold.Rust:           "needs cargo, which is not in PATH; install Rust with rustup",
		scaffold.AssemblyScript: "needs node, which is not in PATH; install Node.js 18 or newer",
		scaffold.CPP:            "needs a C++ compiler for WebAssembly; install Zig 0.13 or newer",
	} {
		t.Run(language, func(t *testing.T) {
			plugin(t, language)
			t.Setenv("PATH", t.TempDir())
			t.Setenv("WASI_SDK_PATH", "")
			checkFails(t, want)
		})
	}
}

func checkFails(t *testing.T, want string) {
	t.Helper()
	if out, code, said := call(t.Context(), newBuild(), "demo"); code != cli.ExitFailed || out != "" || !strings.Contains(said, want) {
		t.Errorf("code %d: %s%s\nwant %s", code, out, said, want)
	}
	checkEarlier(t)
}

// programs puts shell scripts into the PATH, before all else.
func programs(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

func TestIncompleteToolchains(t *testing.T) {
	t.Run("Rust without its library", func(t *testing.T) {
		plugin(t, scaffold.Rust)
		programs(t, map[string]string{"cargo": "exit 3", "rustc": "echo /nowhere/wasm32-wasip1/lib"})
		checkFails(t, "Rust lacks its library for WebAssembly; run: rustup target add wasm32-wasip1")
	})
	t.Run("a WASI SDK that is elsewhere", func(t *testing.T) {
		plugin(t, scaffold.CPP)
		t.Setenv("WASI_SDK_PATH", "/nowhere")
		checkFails(t, "WASI_SDK_PATH is /nowhere, where there is no bin/clang++; correct it")
	})
	t.Run("no sources", func(t *testing.T) {
		plugin(t, scaffold.CPP)
		if err := os.Remove("demo/plugin.cc"); err != nil {
			t.Fatal(err)
		}
		checkFails(t, "the folder demo has no C++ sources")
	})
	t.Run("a compiler that makes nothing", func(t *testing.T) {
		plugin(t, scaffold.TinyGo)
		programs(t, map[string]string{"tinygo": "exit 0"})
		checkFails(t, "the compiler made no module")
	})
}

// TestBuildsOfNoModule: whatever a compiler makes, only a module of a plugin gets into its place.
func TestBuildsOfNoModule(t *testing.T) {
	for _, row := range []struct{ name, write, want string }{
		{"nothing", `: >"$2"`, "what was built is not a WebAssembly module"},
		{"a text", `echo hello >"$2"`, "what was built is not a WebAssembly module"},
		{"a component", `printf '\0asm\015\0\1\0' >"$2"`, "what was built is a WebAssembly component"},
		{"a module of nothing", `printf '\0asm\1\0\0\0' >"$2"`, "what was built can't run in a proxy: the module is not a proxy-wasm plugin"},
		{"a module that is cut off", `printf '\0asm\1\0\0\0\1\377' >"$2"`, "what was built can't run in a proxy: the module is damaged or cut short"},
		{"2 GB", `truncate -s 2G "$2"`, "has 2147483648 bytes; the operator takes 268435456 at most"},
	} {
		t.Run(row.name, func(t *testing.T) {
			plugin(t, scaffold.TinyGo)
			programs(t, map[string]string{"tinygo": `while [ "$1" != -o ]; do shift; done` + "\n" + row.write})
			if out, code, said := call(t.Context(), newBuild(), "demo"); code != cli.ExitRefused || out != "" || !strings.Contains(said, row.want) {
				t.Errorf("code %d: %s%s\nwant %s", code, out, said, row.want)
			}
			checkEarlier(t)
		})
	}
}

// TestBuildStopped: Ctrl-C ends the compiler too, and leaves the module of an earlier build.
func TestBuildStopped(t *testing.T) {
	plugin(t, scaffold.TinyGo)
	programs(t, map[string]string{"tinygo": "echo begun >started; exec sleep 600"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat("demo/started"); err == nil {
				cancel()
			}
			<-look.C
		}
	}()
	if _, code, said := call(ctx, newBuild(), "demo"); code != cli.ExitFailed || !strings.HasSuffix(said, "\nwasmctl: stopped\n") {
		t.Errorf("code %d: %s", code, said)
	}
	checkEarlier(t)
}

func TestCargoModule(t *testing.T) {
	const (
		dependency = `{"reason":"compiler-artifact","target":{"kind":["lib"]},"filenames":["/t/liblog.rlib"]}` + "\n"
		other      = `{"reason":"compiler-artifact","target":{"kind":["cdylib"]},"filenames":["/t/other.wasm"]}` + "\n"
		own        = `{"reason":"compiler-artifact","target":{"kind":["cdylib","rlib"]},"filenames":["/t/libplugin.rlib","/t/plugin.wasm"]}` + "\n"
		end        = `{"reason":"build-finished","success":true}` + "\n"
	)
	for _, row := range []struct{ name, output, want, fails string }{
		{"the plugin alone", own + end, "/t/plugin.wasm", ""},
		{"after dependencies", dependency + other + own + end, "/t/plugin.wasm", ""},
		{"beside other lines", "not JSON\n" + own + "\n" + end, "/t/plugin.wasm", ""},
		{"a library", dependency + end, "", `crate-type = ["cdylib"]`},
		{"nothing", "", "", `crate-type = ["cdylib"]`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := cargoModule([]byte(row.output))
			if got != row.want || (err == nil) != (row.fails == "") || (err != nil && !strings.Contains(err.Error(), row.fails)) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
