// SPDX-License-Identifier: Apache-2.0

// Package checker shows the operator's checker at work, the real process, on plugins as people have them: one of 3 MB, and
// a firewall of 30 MB, which takes its time to build.
package checker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/solarmesh/wasmplugin-operator/internal/checker"
	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

const (
	basicAuth = "../../examples/basic-auth"
	firewall  = "../plugins/coraza"
	// noFiles is the tag with which the firewall asks for no file system, which proxies don't have.
	noFiles = "no_fs_access"

	goodUsers = `{"basic_auth_rules": [{"prefix": "/", "request_methods": ["GET"], "credentials": ["ok:test"]}]}`
	badUsers  = `{"basic_auth_rules": 3}`
	oneRule   = `{"directives": ["SecRuleEngine On", "SecRule REQUEST_URI \"@contains /admin\" \"id:1,phase:1,deny\""]}`
	badRule   = `{"directives": ["SecRuleNonsense On"]}`
	allRules  = `{"directives": ["Include @coraza.conf-recommended", "Include @crs-setup.conf.example", "Include @owasp_crs/*.conf"]}`
)

func TestPlugins(t *testing.T) {
	small := plugin(t, basicAuth, "")
	large := plugin(t, firewall, noFiles)
	if len(large) < 25<<20 {
		t.Errorf("the firewall has %d bytes; it stands for large plugins", len(large))
	}
	program := operator(t)
	for _, test := range []struct {
		name, rules string
		module      []byte
		want        drystart.Outcome
		log         string
	}{
		{"basic-auth", goodUsers, small, drystart.Accepted, "number of rules: 1"},
		{"basic-auth with bad rules", badUsers, small, drystart.Refused, "basic_auth_rules must be a list"},
		{"firewall", oneRule, large, drystart.Accepted, ""},
		{"firewall with a bad rule", badRule, large, drystart.Refused, `unknown directive "secrulenonsense"`},
		{"firewall with the whole Core Rule Set", allRules, large, drystart.Accepted, ""},
		{"firewall that wants files", oneRule, plugin(t, firewall, ""), drystart.Refused, "open /tmp/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			process := start(t, program, 1<<30)
			began := time.Now()
			verdict := process.check(t, test.module, test.rules)
			t.Logf("%d bytes: %s after %s, peak %s", len(test.module), verdict.Outcome, time.Since(began).Round(time.Millisecond), process.peak(t))
			if verdict.Outcome != test.want || verdict.Exhausted || !strings.Contains(strings.Join(verdict.Logs, "\n"), test.log) {
				t.Errorf("got %+v", verdict)
			}
			if test.want == drystart.Refused && verdict.Stage != drystart.StageConfigure {
				t.Errorf("refused at %s: %s", verdict.Stage, verdict.Reason)
			}
			if said := process.log.String(); strings.Contains(said, "Stopping") || strings.Contains(said, "directives") {
				t.Errorf("says %s", said)
			}
		})
	}
}

// TestSmallChecker: a module that is too large for the checker is refused, and the others get their verdicts meanwhile.
func TestSmallChecker(t *testing.T) {
	small, large := plugin(t, basicAuth, ""), plugin(t, firewall, noFiles)
	process := start(t, operator(t), 400<<20)
	refused := make(chan drystart.Verdict, 1)
	go func() { refused <- process.check(t, large, oneRule) }()
	for range 10 {
		if verdict := process.check(t, small, goodUsers); verdict.Outcome != drystart.Accepted {
			t.Errorf("the small one: %+v", verdict)
		}
	}
	if verdict := <-refused; verdict.Outcome != drystart.Refused || !verdict.Exhausted {
		t.Errorf("the large one: %+v", verdict)
	}
	if verdict := process.check(t, small, badUsers); verdict.Outcome != drystart.Refused || verdict.Exhausted {
		t.Errorf("afterwards: %+v", verdict)
	}
}

// built is what was built once for all tests, by its package and tag.
var built sync.Map

func plugin(t *testing.T, dir, tag string) []byte {
	t.Helper()
	build, _ := built.LoadOrStore(dir+" "+tag, sync.OnceValues(func() ([]byte, error) {
		out := filepath.Join(t.TempDir(), "plugin.wasm")
		if err := compile(t.Context(), dir, []string{"GOOS=wasip1", "GOARCH=wasm"}, "-buildmode=c-shared", "-tags", tag, "-o", out); err != nil {
			return nil, err
		}
		return os.ReadFile(out)
	}))
	content, err := build.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func operator(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "wasmplugin-operator")
	if err := compile(t.Context(), "../..", []string{"CGO_ENABLED=0"}, "-o", out); err != nil {
		t.Fatal(err)
	}
	return out
}

func compile(ctx context.Context, dir string, environment []string, arguments ...string) error {
	command := exec.CommandContext(ctx, "go", append([]string{"build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w"}, arguments...)...)
	command.Dir = dir
	command.Env = append(os.Environ(), environment...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", dir, err, output)
	}
	return nil
}

// process is a checker, and what asks it.
type process struct {
	client *checker.Client
	log    *output
}

func start(t *testing.T, program string, memoryLimit int64) *process {
	t.Helper()
	log := &output{}
	child, err := checker.NewChild(checker.ChildOptions{
		Command: []string{program, "checker"}, MemoryLimit: memoryLimit, Stderr: log, Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- child.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &process{client: checker.NewClient(checker.ClientOptions{Socket: child.Socket()}), log: log}
}

// check waits for a checker that is not there yet, as the operator does by asking again.
func (p *process) check(t *testing.T, module []byte, rules string) drystart.Verdict {
	t.Helper()
	request := drystart.Request{Module: module, Plugins: []drystart.Plugin{{Configuration: rules}}}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	var err error
	for range 100 {
		var verdicts []drystart.Verdict
		if verdicts, err = p.client.Check(t.Context(), request); err == nil {
			return verdicts[0]
		}
		<-ticker.C
	}
	t.Errorf("no verdict: %v; the checker says %s", err, p.log)
	return drystart.Verdict{}
}

var (
	pidOf  = regexp.MustCompile(`"pid": ?(\d+)`)
	peakOf = regexp.MustCompile(`VmHWM:\s*(\d+ kB)`)
)

// peak is the most memory that the process ever had.
func (p *process) peak(t *testing.T) string {
	t.Helper()
	pid := pidOf.FindStringSubmatch(p.log.String())
	if pid == nil {
		t.Fatalf("the checker says %s", p.log)
	}
	status, err := os.ReadFile("/proc/" + pid[1] + "/status")
	if err != nil {
		t.Fatal(err)
	}
	peak := peakOf.FindSubmatch(status)
	if peak == nil {
		t.Fatalf("the system says %s", status)
	}
	return string(peak[1])
}

// output is what a process writes, which may go on while a test reads it.
type output struct {
	mutex   sync.Mutex
	content bytes.Buffer
}

func (o *output) Write(data []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.content.Write(data)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.content.String()
}
