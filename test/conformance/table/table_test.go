// SPDX-License-Identifier: Apache-2.0

package table

import (
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	testdata = "../testdata"
	crdFile  = "../../../config/crd/bases/wasm.solarmesh.io_wasmplugins.yaml"
)

func load(t *testing.T) []Case {
	t.Helper()
	cases, err := Load(testdata)
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

// specSchema is the schema of spec in the CRD.
func specSchema(t *testing.T) map[string]any {
	t.Helper()
	content, err := os.ReadFile(crdFile)
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties map[string]map[string]any `json:"properties"`
					} `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(content, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
}

// covered are the fields, with their values, that some plugin of ours sets.
func covered(t *testing.T, cases []Case) map[string][]string {
	t.Helper()
	schema, found := specSchema(t), map[string][]string{}
	for _, c := range cases {
		for _, plugin := range c.Plugins {
			for path, values := range Paths(plugin.Spec, schema) {
				found[path] = append(found[path], values...)
			}
		}
	}
	return found
}

func TestEveryFieldHasACase(t *testing.T) {
	found, leaves := covered(t, load(t)), Leaves(specSchema(t))
	if len(leaves) < 40 {
		t.Fatalf("the schema has only %d fields", len(leaves))
	}
	for _, path := range sortedKeys(leaves) {
		why := exceptedFor(path)
		switch values, isCovered := found[path]; {
		case why == "" && !isCovered:
			t.Errorf("spec.%s has no case", path)
		case why != "" && isCovered:
			t.Errorf("spec.%s has a case and is excepted", path)
		case why == "":
			checkValues(t, path, leaves[path], values)
		}
	}
	for path := range Excepted {
		if !slices.ContainsFunc(sortedKeys(leaves), func(leaf string) bool { return below(leaf, path) }) {
			t.Errorf("%s is excepted, and no field", path)
		}
	}
}

// checkValues asks for a case of each value of an enum.
func checkValues(t *testing.T, path string, allowed, used []string) {
	t.Helper()
	for _, value := range allowed {
		excepted := ExceptedValues[path+"="+value] != ""
		if slices.Contains(used, value) == excepted {
			t.Errorf("spec.%s: %s: has a case: %t, is excepted: %t", path, value, !excepted, excepted)
		}
	}
}

func exceptedFor(path string) string {
	for prefix, why := range Excepted {
		if below(path, prefix) {
			return why
		}
	}
	return ""
}

func below(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+".") || strings.HasPrefix(path, prefix+"[")
}

func TestCasesAreAboutFieldsThatTheySet(t *testing.T) {
	schema, contexts := specSchema(t), []string{"GATEWAY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "ANY"}
	for _, c := range load(t) {
		for _, field := range c.Fields {
			sets := strings.HasPrefix(field, "metadata.")
			for _, plugin := range c.Plugins {
				_, has := Paths(plugin.Spec, schema)[field]
				sets = sets || has
			}
			if !sets {
				t.Errorf("%s is about %s, and sets it nowhere", c.Name, field)
			}
		}
		for _, context := range c.Contexts {
			if !slices.Contains(contexts, context) {
				t.Errorf("%s is about the context %s", c.Name, context)
			}
		}
	}
}

// TestTable holds the table to its size, and to each context and failure strategy.
func TestTable(t *testing.T) {
	cases := load(t)
	if len(cases) < 60 {
		t.Errorf("there are %d cases, fewer than 60", len(cases))
	}
	for _, context := range []string{"GATEWAY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "ANY"} {
		if !slices.ContainsFunc(cases, func(c Case) bool { return c.Verdict == Equal && slices.Contains(c.Contexts, context) }) {
			t.Errorf("nothing is equal to native in the context %s", context)
		}
	}
}

func TestPageIsGenerated(t *testing.T) {
	var page strings.Builder
	if err := WritePage(&page, load(t)); err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile("../../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(committed) != page.String() {
		t.Error("docs/conformance.md isn't what the cases make; run: make generate")
	}
}

func TestLoadRefuses(t *testing.T) {
	good := Case{
		Name: "a", About: "a", Fields: []string{"url"}, Contexts: []string{"GATEWAY"}, Verdict: Beyond, Why: "because",
		Plugins: []Plugin{{Name: "plugin"}}, Proxies: []Proxy{{Kind: "gateway", Each: map[string][]string{"plugin": {"x"}}}},
	}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Case){
		"verdict is":             func(c *Case) { c.Verdict = "good" },
		"why is needed":          func(c *Case) { c.Why = "" },
		"nothing native":         func(c *Case) { c.Verdict, c.Why = Equal, "" },
		"fields, contexts":       func(c *Case) { c.Fields = nil },
		"no proxy gets a filter": func(c *Case) { c.Proxies = nil },
		"unknown kind":           func(c *Case) { c.Proxies = []Proxy{{Kind: "ztunnel", Each: c.Proxies[0].Each}} },
		"name those that get":    func(c *Case) { c.Proxies = append([]Proxy{{Kind: "sidecar"}}, c.Proxies...) },
		"is said to be equal":    func(c *Case) { c.Verdict, c.Why, c.Native, c.Beyond = Equal, "", c.Plugins, []string{"name"} },
	} {
		bad := good
		change(&bad)
		if err := bad.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, got %v", want, err)
		}
	}
}
