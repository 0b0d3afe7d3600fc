//go:build long

// SPDX-License-Identifier: Apache-2.0

package author

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/scaffold"
	"github.com/solarmesh/wasmplugin-operator/test/compilers"
)

// TestTemplates: what init makes, build compiles, and it does what the template says, the same in each language. Compilers
// come from hack/compilers.sh, Rust's own with its target wasm32-wasip1 must be there.
func TestTemplates(t *testing.T) {
	install(t)
	for _, language := range scaffold.Languages() {
		t.Run(language.Name, func(t *testing.T) {
			plugin(t, language.Name)
			if language.Name == scaffold.TinyGo {
				// No registry has TinyGo. What its folder holds is at least what Go compiles.
				replace(t, "demo/runtime-config.json", `"language": "tinygo"`, `"language": "go"`)
			} else if language.Untested {
				t.Fatalf("%s is marked untested, but is tested here", language.Name)
			}
			out, code, said := call(t.Context(), newBuild(), "demo", "--file", "demo.wasm")
			if code != cli.ExitGood {
				t.Fatalf("code %d: %s", code, said)
			}
			t.Log(out)
			serve(t, []byte(read(t, "demo.wasm")))
		})
	}
}

// install puts compilers into the PATH.
func install(t *testing.T) {
	t.Helper()
	found, err := compilers.Install(t.Context(), "../../../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range append(found.Env, "PATH="+strings.Join(append(found.Path, os.Getenv("PATH")), string(filepath.ListSeparator))) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

// serve starts a module with rules good and bad, and has it serve a request.
func serve(t *testing.T, module []byte) {
	t.Helper()
	session, refused := drystart.New(drystart.Options{}).Open(t.Context(), drystart.Request{Module: module, RootID: "demo", VMID: "demo"})
	if refused != nil {
		t.Fatalf("the module is refused: %s", drystart.Words(refused.Reason, refused.Said()))
	}
	defer session.Close(t.Context())
	for _, row := range []struct {
		rules string
		want  drystart.Headers
	}{
		{"", drystart.Headers{{":status", "200"}, {"hello", "world"}, {"x-of-server", "1"}}},
		{`{"headers": {"hello": "world"}}`, drystart.Headers{{":status", "200"}, {"hello", "world"}, {"x-of-server", "1"}}},
		{`{"headers": {}}`, drystart.Headers{{":status", "200"}, {"x-of-server", "1"}}},
		{`{"headers": {"x-of-server": "2", "X_Other": ""}}`, drystart.Headers{{":status", "200"}, {"x-of-server", "2"}, {"x_other", ""}}},
		{" {\"headers\" : {\n\"a\":\"\\u0041\\ud83d\\ude00 \\\\ \\\"\\/\", \"b\": \"ü\"} } ", drystart.Headers{
			{":status", "200"}, {"a", `A😀 \ "/`}, {"b", "ü"}, {"x-of-server", "1"},
		}},
	} {
		t.Run("takes "+row.rules, func(t *testing.T) { takes(t, session, row.rules, row.want) })
	}
	for rules, want := range refusals {
		t.Run("refuses "+rules, func(t *testing.T) {
			instance, verdict := session.Start(t.Context(), drystart.Plugin{Name: "demo", Configuration: rules})
			if instance != nil {
				instance.Close(t.Context())
			}
			// The SDK of AssemblyScript says much before.
			if verdict.Outcome != drystart.Refused || verdict.Stage != drystart.StageConfigure ||
				verdict.Logs[len(verdict.Logs)-1] != "critical: demo does not start: "+want {
				t.Errorf("verdict is %+v, want %q", verdict, want)
			}
		})
	}
}

// refusals are what each language says of wrong rules.
var refusals = map[string]string{
	`{`:                                  "the rules must be a JSON object",
	`null`:                               "the rules must be a JSON object",
	`[]`:                                 "the rules must be a JSON object",
	`{"headers": {}} {}`:                 "the rules must be a JSON object",
	`{"headers": {},}`:                   "the rules must be a JSON object",
	`{"headers": {"a": 01}}`:             "the rules must be a JSON object",
	`{"headers": {"a": "\x"}}`:           "the rules must be a JSON object",
	"{\"headers\": {\"a\": \"\n\"}}":     "the rules must be a JSON object",
	`{"headers": tru}`:                   "the rules must be a JSON object",
	`{}`:                                 `headers must be an object such as {"hello": "world"}`,
	`{"headers": ["hello"]}`:             `headers must be an object such as {"hello": "world"}`,
	`{"headers": null}`:                  `headers must be an object such as {"hello": "world"}`,
	`{"headers": {}, "x": 1}`:            "x is not a field of the rules; the only one is headers",
	`{"headers": {"hello": 1.5e+3}}`:     "headers.hello must be a string without line breaks",
	`{"headers": {"hello": [{}, true]}}`: "headers.hello must be a string without line breaks",
	`{"headers": {"hello": "a\nb"}}`:     "headers.hello must be a string without line breaks",
	`{"headers": {"hello": "\u0000"}}`:   "headers.hello must be a string without line breaks",
	`{"headers": {"hello you": ""}}`:     "headers.hello you: a header's name is made of letters, digits, - and _",
	`{"headers": {"": ""}}`:              "headers.: a header's name is made of letters, digits, - and _",
}

func takes(t *testing.T, session *drystart.Session, rules string, want drystart.Headers) {
	t.Helper()
	instance, verdict := session.Start(t.Context(), drystart.Plugin{Name: "demo", Configuration: rules})
	if instance == nil {
		t.Fatalf("the rules are refused: %s", drystart.Words(verdict.Reason, verdict.Said()))
	}
	defer instance.Close(t.Context())
	// Twice: nothing of a request stays behind.
	for range 2 {
		served := instance.Serve(t.Context(), drystart.Exchange{
			Request: drystart.Message{Headers: drystart.Headers{{":method", "GET"}, {":path", "/"}, {":authority", "x"}, {":scheme", "http"}}},
			Answer:  drystart.Message{Headers: drystart.Headers{{":status", "200"}, {"x-of-server", "1"}}},
		})
		if served.Outcome != drystart.Accepted || served.Response == nil {
			t.Fatalf("the request fails: %s", drystart.Words(served.Reason, served.Said()))
		}
		// The host, as a proxy, says how long the response is.
		got := slices.DeleteFunc(slices.Clone(served.Response.Headers), func(header [2]string) bool { return header[0] == "content-length" })
		slices.SortFunc(got, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("response (-want +got):\n%s", diff)
		}
	}
}
