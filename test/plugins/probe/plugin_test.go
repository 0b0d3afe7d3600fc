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

// TestRequests runs the plugin twice: as Go code, and compiled as a proxy would load it.
func TestRequests(t *testing.T) {
	compiled := compiledPlugin(t)
	for runner, option := range map[string]func() *proxytest.EmulatorOption{
		"go":   func() *proxytest.EmulatorOption { return proxytest.NewEmulatorOption().WithVMContext(&vmContext{}) },
		"wasm": func() *proxytest.EmulatorOption { return proxytest.NewEmulatorOption().WithVMContext(compiled) },
	} {
		t.Run(runner+"/answers", func(t *testing.T) { testAnswers(t, option()) })
		t.Run(runner+"/status", func(t *testing.T) { testStatus(t, option()) })
		t.Run(runner+"/names", func(t *testing.T) { testNames(t, option()) })
		t.Run(runner+"/pause", func(t *testing.T) { testPause(t, option()) })
		t.Run(runner+"/refuse", func(t *testing.T) { testRefuse(t, option()) })
		t.Run(runner+"/trap", func(t *testing.T) { testTrap(t, option()) })
	}
}

// start returns a host that runs the plugin with a configuration.
func start(t *testing.T, option *proxytest.EmulatorOption, configuration string) proxytest.HostEmulator {
	t.Helper()
	option.WithVMConfiguration([]byte("of the VM")).WithPluginConfiguration([]byte(configuration)).
		WithProperty([]string{"plugin_root_id"}, []byte("root"))
	host, reset := proxytest.NewHostEmulator(option)
	t.Cleanup(reset)
	if host.StartVM() != types.OnVMStartStatusOK || host.StartPlugin() != types.OnPluginStartStatusOK {
		t.Fatalf("the plugin does not start: %q", host.GetCriticalLogs())
	}
	return host
}

func request(host proxytest.HostEmulator, path string) (uint32, types.Action) {
	id := host.InitializeHttpContext()
	return id, host.CallOnRequestHeaders(id, [][2]string{{":method", "POST"}, {":path", path}}, false)
}

// checkAnswer expects an answer of the plugin itself; "": none.
func checkAnswer(t *testing.T, answer *proxytest.LocalHttpResponse, status uint32, body string) {
	t.Helper()
	switch {
	case answer == nil && body == "":
	case answer == nil:
		t.Errorf("there is no answer, want %q", body)
	case answer.StatusCode != status || !strings.Contains(string(answer.Data), body) || body == "":
		t.Errorf("the answer is %d %q, want %d %q", answer.StatusCode, answer.Data, status, body)
	}
}

func testAnswers(t *testing.T, option *proxytest.EmulatorOption) {
	const configuration = `{"probe": {}, "n": 9223372036854775807, "u": "ä\u0000"} `
	host := start(t, option, configuration)
	for path, want := range map[string]string{
		"/probe/config?x":  configuration,
		"/probe/vm":        "of the VM",
		"/probe/env":       "{",
		"/probe/plugin":    `"plugin_root_id":"root"`,
		"/probe/calls":     `"proxy_set_shared_data":"done"`,
		"/probe/pause":     "",
		"/probe/trap?two":  "",
		"/probe/configure": "",
		"/":                "",
	} {
		id, _ := request(host, path)
		checkAnswer(t, host.GetSentLocalResponse(id), statusOK, want)
	}
}

func testStatus(t *testing.T, option *proxytest.EmulatorOption) {
	host := start(t, option, `{"probe": {"name": "one", "status": 418}}`)
	id, action := request(host, "/anything")
	if action != types.ActionPause {
		t.Errorf("action is %v, want ActionPause", action)
	}
	checkAnswer(t, host.GetSentLocalResponse(id), 418, "one")
	id, _ = request(host, "/probe/vm")
	checkAnswer(t, host.GetSentLocalResponse(id), statusOK, "of the VM")
}

func testNames(t *testing.T, option *proxytest.EmulatorOption) {
	host := start(t, option, `{"probe": {"name": "two"}}`)
	id := host.InitializeHttpContext()
	if action := host.CallOnRequestHeaders(id, [][2]string{{":path", "/"}, {requestNames, "one"}}, true); action != types.ActionContinue {
		t.Errorf("action is %v, want ActionContinue", action)
	}
	if got := host.GetCurrentRequestHeaders(id); !slices.Contains(got, [2]string{requestNames, "one,two"}) {
		t.Errorf("the request's headers are %q", got)
	}
	for told, headers := range map[string][][2]string{
		"one,two":       {{":status", "200"}, {responseNames, "three"}},
		"one,two,three": {{":status", "200"}, {responseNames, "three"}, {requestNames, "one,two,three"}},
	} {
		host.CallOnResponseHeaders(id, headers, true)
		got := host.GetCurrentResponseHeaders(id)
		if !slices.Contains(got, [2]string{responseNames, "three,two"}) || !slices.Contains(got, [2]string{requestNames, told}) {
			t.Errorf("the answer's headers are %q, want %s in %s", got, told, requestNames)
		}
	}
}

func testPause(t *testing.T, option *proxytest.EmulatorOption) {
	host := start(t, option, `{"probe": {"pauseMilliseconds": 7}}`)
	if period := host.GetTickPeriod(); period != 7 {
		t.Errorf("it ticks every %d ms, want 7", period)
	}
	withBody, action := request(host, "/probe/pause")
	if action != types.ActionPause || host.GetSentLocalResponse(withBody) != nil {
		t.Errorf("action is %v, want ActionPause without an answer", action)
	}
	host.CallOnRequestBody(withBody, []byte("abc"), true)
	checkAnswer(t, host.GetSentLocalResponse(withBody), statusOK, "this body came: abc")
	without, _ := request(host, "/probe/pause")
	gone, _ := request(host, "/probe/pause")
	host.CompleteHttpContext(gone)
	host.Tick()
	checkAnswer(t, host.GetSentLocalResponse(without), statusOK, "")
	host.Tick()
	checkAnswer(t, host.GetSentLocalResponse(without), statusOK, "no body came")
}

func testRefuse(t *testing.T, option *proxytest.EmulatorOption) {
	const configuration = `{"probe": {"refuse": true}}`
	host, reset := proxytest.NewHostEmulator(option.WithPluginConfiguration([]byte(configuration)))
	t.Cleanup(reset)
	if host.StartVM() != types.OnVMStartStatusOK || host.StartPlugin() != types.OnPluginStartStatusFailed {
		t.Error("the plugin starts")
	}
	if logs := host.GetWarnLogs(); len(logs) != 1 || !strings.Contains(logs[0], configuration) {
		t.Errorf("the plugin logged %q", logs)
	}
}

func testTrap(t *testing.T, option *proxytest.EmulatorOption) {
	host := start(t, option, "no JSON")
	defer func() {
		if recover() == nil {
			t.Error("the VM did not trap")
		}
	}()
	request(host, "/probe/trap")
}

// TestConnections runs Go code only: the emulator knows no connections of compiled plugins, and no changes of their data.
func TestConnections(t *testing.T) {
	for name, row := range map[string]struct {
		configuration string
		action        types.Action
		traps         bool
	}{
		"greeting": {`{"probe": {"connections": {"greeting": "hi "}}}`, types.ActionContinue, false},
		"close":    {`{"probe": {"connections": {"close": true}}}`, types.ActionPause, false},
		"trap":     {`{"probe": {"connections": {"trap": true}}}`, types.ActionContinue, true},
	} {
		t.Run(name, func(t *testing.T) {
			host := start(t, proxytest.NewEmulatorOption().WithVMContext(&vmContext{}), row.configuration)
			defer func() {
				if trapped := recover() != nil; trapped != row.traps {
					t.Errorf("it traps: %v, want %v", trapped, row.traps)
				}
			}()
			_, action := host.InitializeConnection()
			if action != row.action {
				t.Errorf("action is %v, want %v", action, row.action)
			}
		})
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
