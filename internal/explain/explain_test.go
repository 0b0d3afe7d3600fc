// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
)

var update = flag.Bool("update", false, "write the golden files anew")

// read reads what an istiod 1.31 said of a mesh with the plugins of plugins.yaml.
func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// mesh is that istiod, with what it sends to proxies.
func mesh(t *testing.T) Istiod {
	t.Helper()
	known, err := proxies.DecodeProxies(read(t, "istiod/adsz.json"), read(t, "istiod/syncz.json"))
	if err != nil {
		t.Fatal(err)
	}
	istiod := Istiod{Name: "istiod-0", Proxies: known, Dumps: map[string]Dump{}}
	for _, proxy := range known {
		name := proxy.ID
		if name == "gw-2.istio-system" || name == "gw-3.istio-system" {
			name = "gw-1.istio-system" // which had the same
		}
		one := Dump{Content: read(t, "istiod/"+name+".json")}
		if proxy.ID == "lost-gw.shop" {
			one.NoExtensions = "istiod answers 500: proto: not found"
		}
		istiod.Dumps[proxy.Connection] = one
	}
	return istiod
}

// plugins are those of plugins.yaml, by name.
func plugins(t *testing.T) map[string]*wasmv1alpha1.WasmPlugin {
	t.Helper()
	all := map[string]*wasmv1alpha1.WasmPlugin{}
	for document := range bytes.SplitSeq(read(t, "plugins.yaml"), []byte("\n---\n")) {
		plugin := &wasmv1alpha1.WasmPlugin{}
		if err := yaml.UnmarshalStrict(document, plugin); err != nil {
			t.Fatal(err)
		}
		all[plugin.Name] = plugin
	}
	return all
}

func explained(t *testing.T, in Input) Report {
	t.Helper()
	in.RootNamespace = "istio-system"
	report, err := Explain(in)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, "golden/"+name)), string(got)); diff != "" {
		t.Errorf("another %s (go test -update writes it):\n%s", name, diff)
	}
}

func TestGoldens(t *testing.T) {
	for name, plugin := range plugins(t) {
		t.Run(name, func(t *testing.T) {
			report := explained(t, Input{Plugin: plugin, Istiods: []Istiod{mesh(t)}})
			golden(t, name+".txt", []byte(report.Text()))
			content, err := json.MarshalIndent(report, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", append(content, '\n'))
		})
	}
}

// has says whether a report has a warning with these words.
func has(report Report, reason string, words ...string) bool {
	for _, warning := range report.Warnings {
		all := warning.Reason == reason
		for _, word := range words {
			all = all && strings.Contains(warning.Text, word)
		}
		if all {
			return true
		}
	}
	return false
}

func TestSaysWhatMakesAPluginNotRun(t *testing.T) {
	all := plugins(t)
	tests := map[string]struct {
		plugin string
		change func(in *Input)
		reason string
		words  []string
		not    []string
	}{
		"not delivered": {
			"lost", func(in *Input) { in.Istiods[0].Dumps = dumped(in, "lost-gw.shop", "\x00", "") }, WarnNotDelivered,
			[]string{"lost-gw.shop", "wasm.solarmesh.io/shop.lost"},
			[]string{WarnNotDumped},
		},
		"not dumped": {"lost", nil, WarnNotDumped, []string{"500: proto: not found"}, []string{WarnNotDelivered}},
		"nothing matches": {"bad", func(in *Input) {
			in.Plugin.Spec.Selector.MatchLabels["istio"] = "nobody"
		}, WarnNoMatch, nil, []string{WarnNoProxies}},
		"no proxies":       {"bad", func(in *Input) { in.Istiods[0].Proxies = nil }, WarnNoProxies, nil, []string{WarnNoMatch}},
		"no such proxy":    {"bad", func(in *Input) { in.Only = "gone.shop" }, WarnNoProxies, []string{"gone.shop", "POD.NAMESPACE"}, nil},
		"an istiod mute":   {"bad", func(in *Input) { in.Istiods = append(in.Istiods, Istiod{Name: "two", Problem: "is away"}) }, WarnUnread, []string{"istiod two is away"}, nil},
		"not asked":        {"bad", func(in *Input) { in.Istiods[0].Dumps = nil }, WarnNotAsked, []string{"1 matched"}, []string{WarnNotInChain}},
		"old status":       {"bad", func(in *Input) { in.Plugin.Generation = 3 }, WarnStale, []string{"generation 0", "of 3"}, nil},
		"several":          {"bad", func(in *Input) { ambiguous(in) }, WarnSeveralStands, []string{"bad-gw.shop"}, nil},
		"a crowd":          {"bad", func(in *Input) { crowd(in) }, WarnCrowded, []string{"more than 50", "bad-gw.shop (51)"}, nil},
		"no such port":     {"bad", func(in *Input) { without(in, "wasm.solarmesh.io/shop.bad") }, WarnNotInChain, []string{"bad-gw.shop"}, []string{WarnAnchorAbsent}},
		"an absent anchor": {"anchored", nil, WarnAnchorAbsent, []string{"jwt_authn", "0.0.0.0_8080"}, []string{WarnNotInChain}},
		"on trial only":    {"new", nil, WarnTrialOnly, []string{"shop-gw-a.shop"}, []string{WarnNotInChain, WarnOff}},
		"off":              {"off", nil, WarnOff, []string{"0.0.0.0_8443 (docs.example.com)"}, nil},
		"refused":          {"bad", nil, WarnRefused, []string{"Unable to create Wasm plugin wasm.solarmesh.io/shop.bad"}, nil},
		"too old":          {"basic-auth", nil, WarnOldProxy, []string{"gw-old.istio-system", "1.21"}, nil},
		"a native twin":    {"basic-auth", nil, WarnDouble, []string{"istio-system/native-auth", "oci://registry.example.com/plugins/basic-auth:1.4"}, nil},
		"a foreign filter": {"basic-auth", nil, WarnForeign, []string{"of-somebody-else"}, nil},
		"no such host": {"basic-auth", func(in *Input) {
			in.Plugin.Spec.Overrides[0].Match.Hosts = []string{"nobody.example.com"}
		}, WarnOverride, []string{"spec.overrides[0]", "nobody.example.com"}, nil},
		"no such route": {"basic-auth", func(in *Input) {
			in.Plugin.Spec.Overrides[1].Match.Routes = []string{"nowhere"}
		}, WarnOverride, []string{"spec.overrides[1]", "nowhere"}, nil},
		"twice": {"bad", func(in *Input) { twice(in) }, WarnTwice, []string{"wasm.solarmesh.io/shop.bad"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			in := Input{Plugin: all[test.plugin].DeepCopy(), Istiods: []Istiod{mesh(t)}}
			if test.change != nil {
				test.change(&in)
			}
			report := explained(t, in)
			if !has(report, test.reason, test.words...) {
				t.Errorf("no %s %q in %v", test.reason, test.words, report.Warnings)
			}
			for _, not := range test.not {
				if has(report, not) {
					t.Errorf("%s in %v", not, report.Warnings)
				}
			}
			for _, warning := range report.Warnings {
				if !strings.Contains(report.Text(), warning.Text) {
					t.Errorf("the text doesn't say %q", warning.Text)
				}
			}
		})
	}
	if report := explained(t, Input{Plugin: all["steps"], Istiods: []Istiod{mesh(t)}}); has(report, WarnDouble) || has(report, WarnRefused) {
		t.Errorf("warnings %v", report.Warnings)
	}
}

// dumped changes a text in what a proxy is sent.
func dumped(in *Input, id, old, replaced string) map[string]Dump {
	for _, proxy := range in.Istiods[0].Proxies {
		if proxy.ID == id {
			content := in.Istiods[0].Dumps[proxy.Connection].Content
			in.Istiods[0].Dumps[proxy.Connection] = Dump{Content: bytes.ReplaceAll(content, []byte(old), []byte(replaced))}
		}
	}
	return in.Istiods[0].Dumps
}

func without(in *Input, filter string) { dumped(in, "bad-gw.shop", `"`+filter+`"`, `"istio.stats"`) }

func twice(in *Input) {
	dumped(in, "bad-gw.shop", `"envoy.filters.http.cors"`, `"wasm.solarmesh.io/shop.bad"`)
}

func ambiguous(in *Input) {
	for i := range in.Istiods[0].Proxies {
		in.Istiods[0].Proxies[i].Ambiguous = true
	}
}

func crowd(in *Input) {
	for i := range in.Istiods[0].Proxies {
		in.Istiods[0].Proxies[i].Plugins = 51
	}
}

func TestFiftyGatewaysPrintOnce(t *testing.T) {
	istiod := mesh(t)
	gateway := istiod.Proxies[0]
	for _, proxy := range istiod.Proxies {
		if proxy.ID == "gw-1.istio-system" {
			gateway = proxy
		}
	}
	var fleet []proxies.Proxy
	for i := range 50 {
		one := gateway
		one.ID = strings.Replace(gateway.ID, "1", strings.Repeat("x", i+1), 1)
		one.Connection = one.ID + "-1"
		istiod.Dumps[one.Connection] = istiod.Dumps[gateway.Connection]
		fleet = append(fleet, one)
	}
	istiod.Proxies = fleet
	report := explained(t, Input{Plugin: plugins(t)["basic-auth"], Istiods: []Istiod{istiod}})
	if len(report.Views) != 1 || len(report.Proxies) != 50 || len(report.Views[0].Proxies) != 50 {
		t.Errorf("%d views of %d proxies", len(report.Views), len(report.Proxies))
	}
	if text := report.Text(); !strings.Contains(text, "50 of 50 match") || strings.Count(text, "\n") > 70 {
		t.Errorf("text:\n%s", text)
	}
}

// TestNeverSaysRules looks for what only the rules have.
func TestNeverSaysRules(t *testing.T) {
	plugin := plugins(t)["basic-auth"]
	istiod := mesh(t)
	for i := range istiod.Proxies {
		istiod.Proxies[i].Extensions.Error = "refused: hunter2 isn't\n\x1b[31mgood"
	}
	plugin.Spec.Rules.Raw = []byte(`{"credentials":["hunter2"]}`)
	for connection, dump := range istiod.Dumps {
		dump.Content = bytes.ReplaceAll(dump.Content, []byte(`\"base\"`), []byte(`\"hunter2\"`))
		istiod.Dumps[connection] = dump
	}
	report := explained(t, Input{Plugin: plugin, Istiods: []Istiod{istiod}})
	content, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{report.Text(), string(content)} {
		if strings.Contains(said, "hunter2") || strings.ContainsAny(said, "\x1b") || strings.Contains(said, `u001b`) {
			t.Errorf("said:\n%s", said)
		}
		if !strings.Contains(said, "***") {
			t.Error("the refusal isn't told")
		}
	}
}

func TestRefusesWhatIsNoDump(t *testing.T) {
	plugin := plugins(t)["bad"]
	for _, content := range []string{
		"", "null and more", "[]", `{"configs":{}}`, `{"configs":[1]}`,
		`{"configs":[{"@type":"type.googleapis.com/envoy.config.listener.v3.Listener","filterChains":7}]}`,
		`{"configs":[{"@type":"type.googleapis.com/envoy.config.route.v3.RouteConfiguration","virtualHosts":"x"}]}`,
		`{"configs":[{"@type":"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm","config":[]}]}`,
		`{"configs":[{"@type":"type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig","typedConfig":1}]}`,
		`{"configs":[{"@type":"type.googleapis.com/envoy.config.listener.v3.Listener","filterChains":[{"filters":[{"typedConfig":` +
			`{"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager","httpFilters":1}}]}]}]}`,
	} {
		if view, err := viewOf(plugin, Dump{Content: []byte(content)}); err == nil {
			t.Errorf("%s: %+v", content, view)
		}
	}
	for _, content := range []string{
		`{}`, `{"configs":[{"@type":"type.googleapis.com/io.istio.unknown","any":1}]}`,
		`{"configs":[{"@type":"type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig","name":"a","typedConfig":{"@type":"b","config":"text"}}]}`,
		`{"configs":[{"@type":"type.googleapis.com/envoy.config.listener.v3.Listener","filterChains":[{"filters":[{"typedConfig":{"@type":"c","d":1}}]}]}]}`,
	} {
		if _, err := viewOf(plugin, Dump{Content: []byte(content)}); err != nil {
			t.Errorf("%s: %v", content, err)
		}
	}
}
