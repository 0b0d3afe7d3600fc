// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func TestResponseHeaders(t *testing.T) {
	plugins := map[string]*proxytest.EmulatorOption{
		"go":   proxytest.NewEmulatorOption().WithHttpContext(newHTTPContext),
		"wasm": proxytest.NewEmulatorOption().WithVMContext(compiledPlugin(t)),
	}
	responses := map[string]struct{ from, want [][2]string }{
		"added": {
			from: [][2]string{{":status", "200"}, {"server", "x"}},
			want: [][2]string{{":status", "200"}, {"server", "x"}, {"hello", "world"}},
		},
		"replaced": {
			from: [][2]string{{":status", "404"}, {"hello", "moon"}, {"server", "x"}},
			want: [][2]string{{":status", "404"}, {"hello", "world"}, {"server", "x"}},
		},
	}
	for name, option := range plugins {
		for what, response := range responses {
			t.Run(name+"/"+what, func(t *testing.T) {
				host, reset := proxytest.NewHostEmulator(option)
				defer reset()
				if host.StartVM() != types.OnVMStartStatusOK || host.StartPlugin() != types.OnPluginStartStatusOK {
					t.Fatal("the plugin does not start")
				}
				id := host.InitializeHttpContext()
				if action := host.CallOnResponseHeaders(id, response.from, true); action != types.ActionContinue {
					t.Errorf("action is %v, want ActionContinue", action)
				}
				if got := host.GetCurrentResponseHeaders(id); !slices.Equal(got, response.want) {
					t.Errorf("headers are %v, want %v", got, response.want)
				}
				host.CompleteHttpContext(id)
			})
		}
	}
}

// compiledPlugin builds the module that a proxy would load, and starts it.
func compiledPlugin(t *testing.T) proxytest.WasmVMContext {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plugin.wasm")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-ldflags", "-s -w", "-o", file, ".")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	module, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := proxytest.NewWasmVMContext(module)
	if err != nil {
		t.Fatalf("starting the plugin: %v", err)
	}
	t.Cleanup(func() {
		if err := vm.Close(); err != nil {
			t.Errorf("closing the plugin: %v", err)
		}
	})
	return vm
}
