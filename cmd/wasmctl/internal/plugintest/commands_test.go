// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// execute runs the command, and returns what it writes and how it ends.
func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := newTest()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// folder is a plugin's with the module of internal/drystart/testdata/server and the cases.
func folder(t *testing.T, cases string) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(dir, moduleName), ".")
	build.Dir = "../../../../internal/drystart/testdata/server"
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	write(t, filepath.Join(dir, "testdata", "a.http"), cases)
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

const cases = `### good
GET / HTTP/1.1
--->
HTTP/1.1 200
> :path: /

### another status
GET / HTTP/1.1
x-do: resph replace 2 hello moon
===
HTTP/1.1 200
a: b

first
second
third
--->
HTTP/1.1 201
hello: world
!a

first
2nd
third

### a trap
GET / HTTP/1.1
x-do: reqh panic
--->
HTTP/1.1 200

### good after a trap
GET / HTTP/1.1
--->
HTTP/1.1 200

### a call
GET / HTTP/1.1
x-do: reqh call auth; reqh return 1
--->
HTTP/1.1 200

### refused
@rules {"do": "refuse", "password": "hunter2"}
--->
refused: I do not like it

### not refused
@rules {"do": "refuse"}
GET / HTTP/1.1
--->
HTTP/1.1 200
`

const wantText = `DIR/testdata/a.http:1: good: ok
DIR/testdata/a.http:7: another status: FAILED
    status:
      want 201
      got  200
    response header hello:
      want world
      got  moon
    response header a:
      want no such header
      got  b
    body (- want, + got):
        first
      - 2nd
      + second
        third
    the plugin said: info: reqh 7 1
    the plugin said: info: resph 3 0
    the plugin said: info: replace 2 hello moon -> 0
    the plugin said: info: respb 18 0
    the plugin said: info: respe 0 1
    the plugin said: info: log 0 0
    the plugin said: info: done 0 0
    the plugin said: info: delete 0 0
DIR/testdata/a.http:26: a trap: FAILED
    proxy_on_request_headers fails: unreachable
    the plugin said: info: reqh 7 1
    the plugin said: error: panic: I am lost
    the plugin said: error: goroutine 1 [running]:
    the plugin said: STACK
DIR/testdata/a.http:32: good after a trap: ok
DIR/testdata/a.http:37: a call: inconclusive
    only a proxy can tell: proxy_http_call to the cluster auth
    the plugin said: info: reqh 7 1
    the plugin said: info: call auth -> 0
DIR/testdata/a.http:43: refused: ok
DIR/testdata/a.http:48: not refused: FAILED
    start:
      want the plugin takes the rules
      got  the plugin refuses its configuration (proxy_on_configure returned false); the plugin said: info: I do not like it
7 cases, 3 failed, 1 inconclusive; TIME per request (median); SIZE MiB of linear memory; host: dry start
`

func TestTest(t *testing.T) {
	dir := folder(t, cases)
	out, err := execute(t, dir)
	if _, refused := errors.AsType[*cli.RefusedError](err); !refused || err.Error() != "3 of 7 cases failed" {
		t.Errorf("ends with %v", err)
	}
	out = strings.ReplaceAll(out, dir, "DIR")
	out = regexp.MustCompile(`(    the plugin said: error: (main\.|/).*\n)+`).ReplaceAllString(out, "    the plugin said: STACK\n")
	out = regexp.MustCompile(`; \S+s per request`).ReplaceAllString(out, "; TIME per request")
	out = regexp.MustCompile(`[0-9.]+ MiB`).ReplaceAllString(out, "SIZE MiB")
	// What ends after a call that nobody answers differs by how the plugin ends.
	out = regexp.MustCompile(`(call auth -> 0\n)(    the plugin said: info: \w+ 0 0\n)+`).ReplaceAllString(out, "$1")
	if diff := cmp.Diff(wantText, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	out, err = execute(t, dir, "-o", "json")
	var report Report
	if err := errors.Join(json.Unmarshal([]byte(out), &report), err); err == nil {
		t.Error("cases that fail are no error in JSON")
	}
	if len(report.Cases) != 7 || report.Failed != 3 || report.Inconclusive != 1 || report.MemoryBytes == 0 || report.MedianMicroseconds == 0 {
		t.Errorf("%+v", report)
	}
	good := filepath.Join(t.TempDir(), "good.http")
	write(t, good, "@rules {}\nGET / HTTP/1.1\n--->\nHTTP/1.1 200\n")
	if out, err := execute(t, dir, "--cases", good); err != nil || !strings.Contains(out, "1 cases, 0 failed, 0 inconclusive") {
		t.Errorf("%v: %s", err, out)
	}
	unsure := filepath.Join(t.TempDir(), "unsure.http")
	write(t, unsure, "GET / HTTP/1.1\nx-do: reqh property source.address\n--->\nHTTP/1.1 200\n")
	if _, err := execute(t, dir, "--cases", unsure); err == nil || !strings.Contains(err.Error(), "1 of 1 cases are inconclusive") {
		t.Errorf("ends with %v", err)
	}
}

func TestWrongCalls(t *testing.T) {
	dir := t.TempDir()
	module := filepath.Join(dir, "m.wasm")
	write(t, module, "\x00asm\x01\x00\x00\x00")
	write(t, filepath.Join(dir, "page.wasm"), "<html>")
	write(t, filepath.Join(dir, "bad.http"), "GET / HTTP/1.1\n")
	write(t, filepath.Join(dir, "rules.http"), "### a\n@rules [1]\n--->\nrefused\n")
	write(t, filepath.Join(dir, "config", "runtime-config.json"), `{"nam": 1}`)
	for name, row := range map[string]struct {
		args []string
		want string
	}{
		"two folders":        {[]string{"a", "b"}, "name one folder"},
		"no folder":          {[]string{filepath.Join(dir, "absent")}, "there is no folder"},
		"no module":          {[]string{dir}, "filter.wasm; run wasmctl build first"},
		"a page":             {[]string{dir, "--module", filepath.Join(dir, "page.wasm")}, "page.wasm: the module"},
		"no cases":           {[]string{dir, "--module", module}, "there are no cases; write one into"},
		"absent cases":       {[]string{dir, "--module", module, "--cases", "absent.http"}, "there is no file absent.http"},
		"bad cases":          {[]string{dir, "--module", module, "--cases", filepath.Join(dir, "bad.http")}, "bad.http:1: the case expects nothing"},
		"rules of no object": {[]string{dir, "--module", module, "--cases", filepath.Join(dir, "rules.http")}, "rules.http:2: @rules must be a JSON object"},
		"a bad description":  {[]string{filepath.Join(dir, "config"), "--module", module}, "runtime-config.json can't be read"},
		"a form":             {[]string{dir, "-o", "toml"}, "--output"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := execute(t, row.args...)
			_, refused := errors.AsType[*cli.RefusedError](err)
			if err == nil || refused || !strings.Contains(err.Error(), row.want) || out != "" {
				t.Errorf("%v, %q, want %s", err, out, row.want)
			}
		})
	}
}

func TestModuleThatIsNoPlugin(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, moduleName), "\x00asm\x01\x00\x00\x00")
	write(t, filepath.Join(dir, "testdata", "a.http"), "GET / HTTP/1.1\n--->\nHTTP/1.1 200\n")
	out, err := execute(t, dir)
	if err == nil || !strings.Contains(out, "the module exports no proxy-wasm ABI version") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := execute(t, dir, "--envoy=/absent/envoy"); err == nil || !strings.Contains(err.Error(), "there is no Envoy /absent/envoy") {
		t.Errorf("ends with %v", err)
	}
}

// TestDefaultRules: a case without rules has those of the plugin's description.
func TestDefaultRules(t *testing.T) {
	dir := folder(t, "### a\n--->\nrefused\n")
	write(t, filepath.Join(dir, "runtime-config.json"), `{"name": "a", "language": "go", "defaultRules": {"do": "refuse"}}`)
	if out, err := execute(t, dir); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
