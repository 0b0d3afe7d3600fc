// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// builds holds what was built once for all tests of this package.
var builds sync.Map

// goModule builds a Go package as a plugin. dir is relative to this package.
func goModule(t *testing.T, dir string) []byte {
	t.Helper()
	build, _ := builds.LoadOrStore(dir, sync.OnceValues(func() ([]byte, error) {
		out := filepath.Join(t.TempDir(), "plugin.wasm")
		command := exec.Command("go", "build", "-buildmode=c-shared", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, ".")
		command.Dir = filepath.FromSlash(dir)
		command.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		command.Stderr = os.Stderr
		if err := command.Run(); err != nil {
			return nil, err
		}
		return os.ReadFile(out)
	}))
	module, err := build.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return module
}

const testPlugin = "testdata/plugin"

// check is the verdict on one configuration.
func check(t *testing.T, options Options, request Request, configuration string) Verdict {
	t.Helper()
	request.Plugins = []Plugin{{Name: "test", Configuration: configuration}}
	return New(options).Check(t.Context(), request)[0]
}

func TestGoPlugin(t *testing.T) {
	module := goModule(t, testPlugin)
	for _, row := range []struct {
		name, vmConfiguration, init, configuration string
		want                                       Verdict // Reason: what the reason contains; Logs: lines among others
	}{
		{name: "accepts", configuration: "{}", want: Verdict{Outcome: Accepted}},
		{
			name: "refuses at start", vmConfiguration: "refuse", configuration: "{}",
			want: Verdict{Outcome: Refused, Stage: StageStart, Reason: "proxy_on_vm_start returned false", Logs: []string{"error: I do not like it"}},
		},
		{
			name: "refuses its configuration", configuration: "refuse",
			want: Verdict{Outcome: Refused, Stage: StageConfigure, Reason: "proxy_on_configure returned false", Logs: []string{"error: I do not like it"}},
		},
		{
			name: "panics while it initializes", init: "panic", configuration: "{}",
			want: Verdict{Outcome: Refused, Stage: StageStart, Reason: "_initialize fails: unreachable", Logs: []string{"error: panic: I can't begin"}},
		},
		{
			name: "asks too early", init: "ask", configuration: "{}",
			want: Verdict{Outcome: Refused, Stage: StageStart, Reason: "_initialize calls proxy_get_buffer_bytes, which Envoy does not allow"},
		},
		{
			name: "exits while it initializes", init: "exit", configuration: "{}",
			want: Verdict{Outcome: Refused, Stage: StageStart, Reason: "_initialize calls proc_exit, which Envoy does not allow"},
		},
		{
			name: "panics at creation", vmConfiguration: "panic at creation", configuration: "{}",
			want: Verdict{Outcome: Refused, Stage: StageStart, Reason: "proxy_on_context_create fails: unreachable", Logs: []string{"error: panic: no plugin"}},
		},
		{
			name: "panics at start", vmConfiguration: "panic", configuration: "{}",
			want: Verdict{Outcome: Refused, Stage: StageStart, Reason: "proxy_on_vm_start fails: unreachable", Logs: []string{"error: panic: I am lost"}},
		},
		{
			name: "panics at configure", configuration: "panic",
			want: Verdict{Outcome: Refused, Stage: StageConfigure, Reason: "proxy_on_configure fails: unreachable", Logs: []string{"error: panic: I am lost"}},
		},
		{name: "exits, which Envoy ignores", configuration: "exit", want: Verdict{Outcome: Accepted}},
		{
			name: "reads a file", configuration: "read a file",
			want: Verdict{Outcome: Refused, Stage: StageConfigure, Reason: "returned false", Logs: []string{"error: open /etc/hostname: No such file or directory"}},
		},
		{name: "sleeps", configuration: "sleep", want: Verdict{Outcome: Accepted}},
		{
			name: "calls itself for ever", configuration: "recurse",
			want: Verdict{Outcome: Inconclusive, Call: "proxy_on_configure calls itself deeper than the checker can follow"},
		},
		{
			name: "asks for what a proxy knows", configuration: "ask for the node",
			want: Verdict{Outcome: Inconclusive, Call: "proxy_get_property xds.node.id"},
		},
		{
			name: "knows itself", configuration: "tell all", vmConfiguration: "settings",
			want: Verdict{Outcome: Accepted, Logs: []string{"error: name=test root=root vm=shop/test env=on vm configuration=settings"}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := check(t, Options{}, Request{
				Module: module, VMConfiguration: row.vmConfiguration, RootID: "root", VMID: "shop/test",
				Env: map[string]string{"SETTING": "on", "INIT": row.init},
			}, row.configuration)
			compare(t, got, row.want)
		})
	}
}

// compare asserts all but the texts literally: the reason contains the wanted one, and the wanted lines are in the logs.
func compare(t *testing.T, got, want Verdict) {
	t.Helper()
	same := got.Outcome == want.Outcome && got.Stage == want.Stage && got.Exhausted == want.Exhausted &&
		strings.Contains(got.Reason, want.Reason) && strings.Contains(got.Call, want.Call)
	logs := "\n" + strings.Join(got.Logs, "\n") + "\n"
	for _, line := range want.Logs {
		same = same && strings.Contains(logs, "\n"+line+"\n")
	}
	if !same {
		t.Errorf("verdict is %+v\nwant %+v", got, want)
	}
}

func TestMemoryForOne(t *testing.T) {
	got := check(t, Options{Memory: 64 << 20}, Request{Module: goModule(t, testPlugin)}, "hog")
	compare(t, got, Verdict{
		Outcome: Refused, Stage: StageConfigure, Exhausted: true, Reason: "more memory than the checker has for it (64 MiB)",
	})
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request := Request{Module: goModule(t, testPlugin), Plugins: []Plugin{{Configuration: "loop"}}}
	compare(t, New(Options{}).Check(ctx, request)[0], Verdict{Outcome: Inconclusive, Call: "the check was canceled"})
}

// broken is a context that fails whoever asks it for anything.
type broken struct{ context.Context }

func (broken) Value(any) any { panic("out of order") }

// TestFault: what goes wrong in the checker is no refusal.
func TestFault(t *testing.T) {
	request := Request{Module: wasm{}.bytes(), Plugins: []Plugin{{}}}
	compare(t, New(Options{}).Check(broken{t.Context()}, request)[0], Verdict{Outcome: Inconclusive, Call: "the checker failed: out of order"})
}

// TestSecrets: no part of a secret is repeated, whatever the plugin says of it.
func TestSecrets(t *testing.T) {
	secrets := []string{"hunter2", "-----BEGIN KEY-----\nc2VjcmV0\n-----END KEY-----", `quo"ted`, ""}
	for _, said := range []string{
		"password=hunter2, again hunter2", "line c2VjcmV0 of a key", `{"password":"quo\"ted"}`, secrets[1],
		strings.Repeat("x", maxMessageBytes-3) + "hunter2", strings.Repeat("hunter2", maxMessageBytes/4),
		strings.Repeat("x", maxLineBytes-3) + "hunter2",
	} {
		got := check(t, Options{}, Request{Module: goModule(t, testPlugin), Secrets: secrets}, "say: "+said)
		if len(got.Logs) == 0 {
			t.Errorf("nothing was said of %.40q", said)
		}
		for _, part := range []string{"hunt", "c2Vj", "quo", "BEGIN"} {
			if logs := strings.Join(got.Logs, "\n"); strings.Contains(logs, part) {
				t.Errorf("%q is in the logs: %.200q", part, logs)
			}
		}
	}
}

func TestExamples(t *testing.T) {
	for _, row := range []struct {
		name          string
		options       Options
		configuration string
		want          Verdict
	}{
		{"hello-world", Options{}, "", Verdict{Outcome: Accepted}},
		{"hello-world", Options{}, "anything", Verdict{Outcome: Accepted}},
		{
			"basic-auth",
			Options{},
			`{"basic_auth_rules": [{"prefix": "/productpage", "request_methods": ["GET"], "credentials": ["ok:test"]}]}`,
			Verdict{Outcome: Accepted, Logs: []string{"info: basic-auth starts; number of rules: 1"}},
		},
		{"basic-auth", Options{Interpret: -1}, `{"basic_auth_rules": {}}`, refusal("critical: basic-auth does not start: basic_auth_rules must be a list.")},
		{
			"basic-auth",
			Options{},
			"",
			refusal("critical: basic-auth does not start: the configuration is empty; it needs the field basic_auth_rules, a list of rules."),
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			compare(t, check(t, row.options, Request{Module: goModule(t, "../../examples/"+row.name)}, row.configuration), row.want)
		})
	}
}

// refusal is the verdict on a plugin that refuses its configuration with these words.
func refusal(logs ...string) Verdict {
	return Verdict{Outcome: Refused, Stage: StageConfigure, Reason: "proxy_on_configure returned false", Logs: logs}
}

// TestOverrides: the base and the rules of overrides of a Go plugin, some good and some not, in one request.
func TestOverrides(t *testing.T) {
	good, bad := `{"basic_auth_rules": []}`, `{"basic_auth_rules": null}`
	request := Request{
		Module:  goModule(t, "../../examples/basic-auth"),
		Plugins: []Plugin{{Name: "base", Configuration: good}, {Name: "a", Configuration: bad}, {Name: "b", Configuration: good}, {Name: "c", Configuration: bad}},
	}
	got := New(Options{}).Check(t.Context(), request)
	refused := refusal("critical: basic-auth does not start: basic_auth_rules must be a list.")
	for i, want := range []Verdict{{Outcome: Accepted}, refused, {Outcome: Accepted}, refused} {
		compare(t, got[i], want)
	}
}
