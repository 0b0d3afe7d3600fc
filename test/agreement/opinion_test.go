// SPDX-License-Identifier: Apache-2.0

package agreement

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

// opinion is what one side thinks of a plugin, in words that both sides have.
type opinion struct {
	// runs: the plugin started and took its rules. If not, reason says why; neither, if only a proxy can tell.
	runs   bool
	unsure string
	reason string
	// said are the plugin's own words, see words.
	said string
}

// phrase translates what one side says. Its reason may have groups of the pattern.
type phrase struct {
	pattern *regexp.Regexp
	reason  string
}

func phrases(pairs ...string) []phrase {
	var list []phrase
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, phrase{regexp.MustCompile(pair[0]), pair[1]})
	}
	return list
}

const (
	unreadable = "is no WebAssembly module, or only a part of one"
	noABI      = "exports no ABI version that Envoy knows"
	noMalloc   = "exports no function to allocate memory"
	tooLarge   = "begins with too much memory"
	tooEarly   = "$1 calls a function that is not allowed yet"
	endless    = "never returns"
	fatal      = "takes Envoy down"
	noStart    = "proxy_on_vm_start says no"
	noRules    = "proxy_on_configure says no"
)

// The first phrase that is found counts. Envoy names the first of several unknown imports, the dry start all of them; of
// a component Envoy says only what it lacks.
var (
	phrasesOfDryStart = phrases(
		`is not a WebAssembly module|is cut off or damaged`, unreadable,
		`exports no proxy-wasm ABI version|is a WebAssembly component`, noABI,
		`what Envoy does not provide: ([^,]+)`, "imports $1, which Envoy does not have",
		`other parameters than Envoy's: (\S+)`, "imports $1 with other parameters than Envoy's",
		`exports (\S+) as .*Envoy calls it as`, "exports $1 with other parameters than Envoy's",
		`exports neither malloc`, noMalloc,
		`begins with \d+ MiB of memory`, tooLarge,
		`takes Envoy down`, fatal,
		`not ready in time`, endless,
		`(\S+) calls \S+, which Envoy does not allow`, tooEarly,
		`the module's start section fails: (.*)`, "the start section fails: $1",
		`(\S+) fails: (.*)`, "$1 fails: $2",
		`proxy_on_vm_start returned false`, noStart,
		`proxy_on_configure returned false`, noRules,
	)
	phrasesOfEnvoy = phrases(
		`Failed to parse corrupted Wasm module`, unreadable,
		`Missing or unknown Proxy-Wasm ABI version`, noABI,
		`due to a missing import: (\S+)`, "imports $1, which Envoy does not have",
		`due to an import type mismatch: ([^,]+),`, "imports $1 with other parameters than Envoy's",
		`Bad function signature for: ([^,]+),`, "exports $1 with other parameters than Envoy's",
		`Wasm module is missing malloc`, noMalloc,
		`Uncaught RuntimeError: (.*)\n.*Failed to create new Wasm instance`, "the start section fails: $1",
		`Failed to create new Wasm instance`, tooLarge,
		`Caught Segmentation fault`, fatal,
		`Function: (\S+) failed: Uncaught Error: restricted_callback`, tooEarly,
		`Function: (\S+) failed: Uncaught \w+: (.*)`, "$1 fails: $2",
		`Failed to start base Wasm`, noStart,
		`Failed to configure base Wasm plugin`, noRules,
	)
	// faults are V8's names of what wazero names otherwise.
	faults = strings.NewReplacer(
		"integer divide by zero", "divide by zero",
		"out of bounds memory access", "memory access out of bounds",
		"stack overflow", "Maximum call stack size exceeded",
	)
)

// say translates a text; what is not known stays as it is, so that it differs from what the other side says.
func say(text string, phrases []phrase) string {
	for _, p := range phrases {
		if match := p.pattern.FindStringSubmatchIndex(text); match != nil {
			return faults.Replace(string(p.pattern.ExpandString(nil, p.reason, text, match)))
		}
	}
	return text
}

func ofDryStart(verdict drystart.Verdict) opinion {
	o := opinion{runs: verdict.Outcome == drystart.Accepted, unsure: verdict.Call}
	if verdict.Outcome == drystart.Refused {
		o.reason = say(verdict.Reason, phrasesOfDryStart)
	}
	var lines []line
	for _, log := range verdict.Logs {
		level, text, _ := strings.Cut(log, ": ")
		lines = append(lines, line{level: level, text: text})
	}
	o.said = words(lines)
	return o
}

func ofEnvoy(f found) opinion {
	o := opinion{said: words(pluginLines(f.log))}
	switch {
	case f.end == hanging:
		o.reason = endless
	case f.end == taken && !strings.Contains(f.log, "] Function: "):
		o.runs = true
	default:
		// It was refused, or it was taken although it has failed, and every request is, too.
		o.reason = say(f.log, phrasesOfEnvoy)
	}
	return o
}

// line is one of a plugin's.
type line struct{ level, text string }

var (
	lineStart = regexp.MustCompile(`(?m)^\[(\w+)\]\[(\w+)\] `)
	// The second is what Envoy says in a plugin's place when the plugin calls what it may not.
	pluginLog = regexp.MustCompile(`^(wasm log[^:]*: ?|Attempted call to )`)
)

// pluginLines are what the plugin itself wrote to Envoy's log. A line of it may have several lines.
func pluginLines(log string) []line {
	var lines []line
	starts := lineStart.FindAllStringSubmatchIndex(log, -1)
	for i, start := range starts {
		end := len(log)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		message := log[start[1]:end]
		if head := pluginLog.FindString(message); head != "" {
			level := strings.Replace(log[start[2]:start[3]], "warning", "warn", 1)
			lines = append(lines, line{level: level, text: strings.TrimPrefix(message, strings.TrimSuffix(head, "Attempted call to "))})
		}
	}
	return lines
}

// words are lines without spaces: Go's runtime writes word by word, which Envoy logs as lines and the dry start puts
// together. Levels that Envoy does not log here are left out.
func words(lines []line) string {
	var said strings.Builder
	level := ""
	for _, line := range lines {
		if line.level == "trace" || line.level == "debug" {
			continue
		}
		if line.level != level {
			level = line.level
			said.WriteString(level + ":")
		}
		for _, letter := range line.text {
			if !unicode.IsSpace(letter) {
				said.WriteRune(letter)
			}
		}
	}
	return said.String()
}

// differences are what the two sides do not agree on. Envoy starts a plugin in several VMs, and each of them logs.
func differences(dry, envoy opinion, f found) []string {
	if dry.unsure != "" {
		return nil
	}
	var list []string
	if dry.runs != envoy.runs || dry.reason != envoy.reason {
		list = append(list, fmt.Sprintf("the dry start: %s; Envoy: %s", dry, envoy))
	}
	if !strings.HasPrefix(envoy.said, dry.said) || dry.said == "" && envoy.said != "" {
		list = append(list, fmt.Sprintf("the plugin said to the dry start: %q; to Envoy: %q", dry.said, envoy.said))
	}
	if f.end == taken && !envoy.runs && f.status < http.StatusInternalServerError {
		list = append(list, fmt.Sprintf("a plugin that failed lets a request pass: %d", f.status))
	}
	return list
}

func (o opinion) String() string {
	switch {
	case o.unsure != "":
		return "inconclusive: " + o.unsure
	case o.runs:
		return "accepted"
	}
	return "refused: " + o.reason
}
