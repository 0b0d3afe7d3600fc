// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

const productpage = `{"basic_auth_rules": [
	{"prefix": "/productpage", "request_methods": ["GET", "POST"], "credentials": ["ok:test", "YWRtaW4zOmFkbWluMw=="]}
]}`

// TestPlugin runs the plugin twice: as Go code, and compiled as a proxy would load it.
func TestPlugin(t *testing.T) {
	compiled := compiledPlugin(t)
	for runner, option := range map[string]func() *proxytest.EmulatorOption{
		"go": func() *proxytest.EmulatorOption {
			return proxytest.NewEmulatorOption().WithPluginContext(newPluginContext)
		},
		"wasm": func() *proxytest.EmulatorOption {
			return proxytest.NewEmulatorOption().WithVMContext(compiled)
		},
	} {
		t.Run(runner+"/start", func(t *testing.T) { testStart(t, option) })
		t.Run(runner+"/requests", func(t *testing.T) { testRequests(t, option) })
	}
}

func testRequests(t *testing.T, option func() *proxytest.EmulatorOption) {
	for _, row := range []struct {
		name, configuration, method, path, authorization string
		challenge                                        string // "": the request passes
	}{
		{"no credentials", productpage, "GET", "/productpage?u=normal", "", `Basic realm="istio"`},
		{"wrong password", productpage, "POST", "/productpage", basic("ok:tset"), `Basic realm="istio"`},
		{"no base64", productpage, "GET", "/productpage", "Basic ?", `Basic realm="istio"`},
		{"first credentials", productpage, "GET", "/productpage", basic("ok:test"), ""},
		{"second credentials", productpage, "GET", "/productpage", basic("admin3:admin3"), ""},
		{"head", productpage, "HEAD", "/productpage", "", `Basic realm="istio"`},
		{"other method", productpage, "DELETE", "/productpage", "", ""},
		{"other path", productpage, "GET", "/reviews", "", ""},
		{"written otherwise", productpage, "GET", "//x/%2e%2e/product%70age", "", `Basic realm="istio"`},
		{
			"no path", `{"basic_auth_rules": [{"prefix": "/", "request_methods": ["CONNECT"], "credentials": ["a:b"]}]}`,
			"CONNECT", "", "", `Basic realm="istio"`,
		},
		{
			"realm", `{"realm": "the shop", "basic_auth_rules": [{"exact": "/", "request_methods": ["GET"], "credentials": ["a:b"]}]}`,
			"GET", "/", "", `Basic realm="the shop"`,
		},
		{"no rules", `{"basic_auth_rules": []}`, "GET", "/productpage", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			host, reset := proxytest.NewHostEmulator(option().WithPluginConfiguration([]byte(row.configuration)))
			defer reset()
			if host.StartPlugin() != types.OnPluginStartStatusOK {
				t.Fatalf("the plugin does not start: %q", host.GetCriticalLogs())
			}
			id := host.InitializeHttpContext()
			headers := [][2]string{{":method", row.method}, {":path", row.path}, {"authorization", row.authorization}}
			action := host.CallOnRequestHeaders(id, headers, true)
			checkAnswer(t, action, host.GetSentLocalResponse(id), row.challenge)
			host.CompleteHttpContext(id)
		})
	}
}

func checkAnswer(t *testing.T, action types.Action, answer *proxytest.LocalHttpResponse, challenge string) {
	t.Helper()
	if challenge == "" {
		if action != types.ActionContinue || answer != nil {
			t.Errorf("action is %v and the answer %+v, want the request to pass", action, answer)
		}
		return
	}
	if action != types.ActionPause || answer == nil {
		t.Fatalf("action is %v and the answer %+v, want 401", action, answer)
	}
	if answer.StatusCode != statusUnauthorized || string(answer.Data) != "Unauthorized\n" || answer.GRPCStatus != noGRPCStatus {
		t.Errorf("answer is %d %q, gRPC status %d", answer.StatusCode, answer.Data, answer.GRPCStatus)
	}
	if want := [][2]string{{"www-authenticate", challenge}}; !slices.Equal(answer.Headers, want) {
		t.Errorf("answer has the headers %q, want %q", answer.Headers, want)
	}
}

func testStart(t *testing.T, option func() *proxytest.EmulatorOption) {
	for _, row := range []struct{ name, configuration, want string }{
		{"empty", "", "basic-auth does not start: the configuration is empty; it needs the field basic_auth_rules, a list of rules."},
		{
			"unknown field", strings.Replace(productpage, "prefix", "path", 1),
			`basic-auth does not start: basic_auth_rules[0] has the unknown field "path"; ` +
				"its fields are prefix, suffix, exact, request_methods, credentials.",
		},
		{
			"bad credential", strings.Replace(productpage, "ok:test", "hunter2", 1),
			"basic-auth does not start: basic_auth_rules[0].credentials[0] must be user:password, or the base64 encoding of it.",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			host, reset := proxytest.NewHostEmulator(option().WithPluginConfiguration([]byte(row.configuration)))
			defer reset()
			if host.StartPlugin() != types.OnPluginStartStatusFailed {
				t.Error("the plugin starts")
			}
			if got := host.GetCriticalLogs(); !slices.Equal(got, []string{row.want}) {
				t.Errorf("the log is\n  %q\nwant\n  %q", got, row.want)
			}
		})
	}
	t.Run("good", func(t *testing.T) {
		host, reset := proxytest.NewHostEmulator(option().WithPluginConfiguration([]byte(productpage)))
		defer reset()
		if host.StartPlugin() != types.OnPluginStartStatusOK {
			t.Error("the plugin does not start")
		}
		if got, want := host.GetInfoLogs(), []string{"basic-auth starts; number of rules: 1"}; !slices.Equal(got, want) {
			t.Errorf("the log is %q, want %q", got, want)
		}
	})
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
