// SPDX-License-Identifier: Apache-2.0

package agreement

import (
	"strings"
	"time"
)

const (
	nodeID     = "agreement-1"
	pluginName = "agreement"
	rootID     = "agreement"
)

// agreementCase is a module with all that it is started with.
type agreementCase struct {
	// module is its name, see modules.
	module string
	// says is what the plugin is, or does.
	says string

	configuration, vmConfiguration string
	env                            map[string]string
	// capabilities are the only ones that it has; all if there are none.
	capabilities []string
	// path is what the first request asks for, "/" if empty.
	path string

	// alone: it takes Envoy down, or hangs it, so that it has a proxy of its own.
	alone bool
}

// vmID is different for each case, so that no two share a VM.
func (c agreementCase) vmID() string {
	return strings.ReplaceAll(c.module+"-"+strings.NewReplacer("/", "-", ",", "", "'", "", ".", "").Replace(c.says), " ", "-")
}

// patience is how long Envoy may say nothing of a case until it counts as hanging. A Go module takes it two seconds, and
// much longer on a machine that is busy.
func (c agreementCase) patience() time.Duration {
	if c.alone {
		return 5 * time.Second
	}
	return time.Minute
}

const goodRules = `{"basic_auth_rules": [{"prefix": "/admin", "request_methods": ["GET"], "credentials": ["ok:test"]}]}`

var (
	initPanics = map[string]string{"INIT": "panic"}

	cases = []agreementCase{
		{module: "basic-auth", says: "good rules", configuration: goodRules},
		{module: "basic-auth", says: "rules of the wrong type", configuration: `{"basic_auth_rules": {}}`},
		{module: "basic-auth", says: "no rules"},
		{module: "hello-world", says: "any rules", configuration: `{"a": 1}`},
		{module: "probe", says: "traps at the first request", path: "/probe/trap"},
		{module: "probe", says: "answers the first request", configuration: `{"probe": {"status": 418}}`},
		{module: "bare", says: "panics in init", env: initPanics},
		{module: "bare", says: "asks in init", env: map[string]string{"INIT": "ask"}},
		{module: "bare", says: "refuses the VM", vmConfiguration: "refuse"},
		{module: "bare", says: "panics at creation", vmConfiguration: "panic at creation"},
		{module: "bare", says: "panics at start", vmConfiguration: "panic"},
		{module: "bare", says: "panics at configure", configuration: "panic"},
		{module: "bare", says: "reads a file", configuration: "read a file"},
		{module: "bare", says: "exits at configure", configuration: "exit"},
		{module: "bare", says: "tells its names", configuration: "tell all", env: map[string]string{"SETTING": "on"}},
		{module: "bare", says: "calls itself for ever", configuration: "recurse"},

		{module: "rust", says: "any rules", configuration: "any"},
		{module: "rust", says: "refuses the rules", configuration: "refuse"},
		{module: "rust", says: "refuses the VM", vmConfiguration: "refuse"},
		{module: "rust", says: "panics in main", env: initPanics},
		{module: "rust", says: "panics at start", vmConfiguration: "panic"},
		{module: "rust", says: "panics at configure", configuration: "panic"},
		{module: "rust", says: "panics at the first request", configuration: "panic at the first request"},
		{module: "rust", says: "denies the first request", configuration: "deny"},
		{module: "rust", says: "counts", configuration: "metrics"},
		{module: "rust", says: "keeps data", configuration: "shared data"},
		{module: "rust", says: "tells its names", configuration: "who am I", env: map[string]string{"SETTING": "on"}},
		{module: "rust", says: "calls an unknown cluster", configuration: "call"},

		{module: "cpp", says: "any rules", configuration: "any"},
		{module: "cpp", says: "refuses the rules", configuration: "refuse"},
		{module: "cpp", says: "refuses the VM", vmConfiguration: "refuse"},
		{module: "cpp", says: "may log only", configuration: "any", capabilities: []string{"proxy_log", "proxy_on_configure"}},
		{module: "cpp", says: "may do nothing", configuration: "refuse", capabilities: []string{"proxy_on_tick"}},
		{module: "cpp", says: "aborts in a constructor", env: map[string]string{"INIT": "abort"}},
		{module: "cpp", says: "aborts at start", vmConfiguration: "abort"},
		{module: "cpp", says: "aborts at configure", configuration: "abort"},
		{module: "cpp", says: "reads beyond its memory", configuration: "read beyond"},
		{module: "cpp", says: "aborts at the first request", configuration: "abort at the first request"},
		{module: "cpp", says: "denies the first request", configuration: "deny"},

		{module: "assemblyscript", says: "any rules", configuration: "any"},
		{module: "assemblyscript", says: "refuses the rules", configuration: "refuse"},
		{module: "assemblyscript", says: "throws at configure", configuration: "throw"},
		{module: "assemblyscript", says: "traps at configure", configuration: "trap"},
		{module: "assemblyscript", says: "traps at the first request", configuration: "trap at the first request"},
		{module: "assemblyscript", says: "denies the first request", configuration: "deny"},

		{module: "minimal", says: "as little as Envoy takes"},
		{module: "statuses", says: "good and bad calls"},
		{module: "modern", says: "vectors, several results, references"},
		{module: "abi-0-1-0", says: "the first ABI", configuration: "what it tells"},
		{module: "abi-unknown", says: "an ABI of the future"},
		{module: "abi-none", says: "no plugin"},
		{module: "imports-unknown", says: "unknown imports"},
		{module: "imports-signature", says: "an import with other parameters"},
		{module: "imports-later", says: "an import of a later ABI"},
		{module: "exports-signature", says: "a callback with other parameters"},
		{module: "exports-malloc", says: "no malloc"},
		{module: "main-signature", says: "a main with other parameters"},
		{module: "malloc-traps", says: "malloc traps", configuration: "any"},
		{module: "malloc-asks", says: "malloc asks too early", configuration: "any"},
		{module: "exports-memory", says: "no memory", alone: true},
		{module: "memory-large", says: "too much memory"},
		{module: "start-section-traps", says: "a start section that traps"},
		{module: "start-section-logs", says: "a start section that logs", alone: true},
		{module: "initialize-asks", says: "asks too early"},
		{module: "create-traps", says: "divides by zero at creation"},
		{module: "start-refuses", says: "refuses the VM"},
		{module: "configure-out-of-bounds", says: "reads beyond its memory"},
		{module: "configure-endless", says: "never returns", alone: true},
		{module: "configure-exits", says: "exits at configure"},
		{module: "request-traps", says: "traps at the first request"},
		{module: "node", says: "asks for the proxy's id"},
		{module: "cut", says: "the first half of a module"},
		{module: "component", says: "a component"},
		{module: "page", says: "a page of HTML"},
	}
)
