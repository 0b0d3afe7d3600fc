// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
)

// Inspected is all that inspect says of a module.
type Inspected struct {
	ModuleFacts

	// Language is what the module was written in, Basis how that is known.
	Language string `json:"language,omitempty"`
	Basis    string `json:"languageBasis,omitempty"`
	// Imports are the functions that it wants of Envoy.
	Imports []string `json:"imports,omitempty"`
	// The rest is what the module says of itself.
	Name         string          `json:"name,omitempty"`
	RulesSchema  json.RawMessage `json:"rulesSchema,omitempty"`
	DefaultRules json.RawMessage `json:"defaultRules,omitempty"`
	// Signatures are those that the registry holds beside an image, whoever made them; nil where there can't be any.
	Signatures *int `json:"signatures,omitempty"`
	// VerifiedBy is the key that was given, where it has signed the image.
	VerifiedBy string `json:"verifiedBy,omitempty"`
}

// How the language is known.
const (
	basisConfig    = "as its runtime-config.json says"
	basisProducers = "as its compiler noted"
	basisGuess     = "guessed from its imports and exports"
)

// describe adds to the facts what can be read in a module that was found good.
func (i *Inspected) describe(content []byte) {
	traits := traitsOf(content)
	i.Imports = slices.Sorted(maps.Keys(traits.imports))
	i.Language, i.Basis = traits.language()
	raw, found, err := runtimeconfig.Extract(content)
	if err != nil || !found {
		return
	}
	if config, err := runtimeconfig.Parse(raw); err == nil {
		i.Name, i.RulesSchema, i.DefaultRules = config.Name, config.RulesSchema, config.DefaultRules
		i.Language, i.Basis = config.Language, basisConfig
	}
}

// traits are the parts of a module that tell compilers from one another.
type traits struct {
	imports, exports map[string]bool
	// producers are the notes of those who made it, by kind.
	producers map[string][]string
}

func traitsOf(content []byte) traits {
	t := traits{imports: map[string]bool{}, exports: map[string]bool{}, producers: map[string][]string{}}
	if proxywasm.CheckHeader(content) != nil {
		return t
	}
	_ = proxywasm.Sections(content, func(id byte, section []byte) error { // what can't be read tells nothing
		switch id {
		case proxywasm.SectionImport:
			return proxywasm.Imports(section, func(entry proxywasm.Import) {
				if entry.Kind == proxywasm.KindFunction {
					t.imports[string(entry.Module)+"."+string(entry.Name)] = true
				}
			})
		case proxywasm.SectionExport:
			return proxywasm.Exports(section, func(name []byte, _ byte) { t.exports[string(name)] = true })
		case proxywasm.SectionCustom:
			t.readProducers(section)
		}
		return nil
	})
	return t
}

// readProducers reads a custom section, if it is that of the tool conventions in which compilers note what they are.
func (t *traits) readProducers(section []byte) {
	r := proxywasm.NewReader(section)
	if string(r.Bytes()) != "producers" {
		return
	}
	for fields := r.Count(); fields > 0 && !r.Cut(); fields-- {
		kind := string(r.Bytes())
		for values := r.Count(); values > 0 && !r.Cut(); values-- {
			name := string(r.Bytes())
			if r.Bytes(); !r.Cut() { // a version
				t.producers[kind] = append(t.producers[kind], name)
			}
		}
	}
}

// language is what a module was written in, and how that is known.
func (t *traits) language() (language, basis string) {
	if t.tinyGo() {
		return "TinyGo", basisGuess
	}
	noted := strings.Join(append(slices.Clone(t.producers["language"]), t.producers["processed-by"]...), "\n")
	for _, sign := range []struct{ word, language string }{
		{"TinyGo", "TinyGo"}, {"Rust", "Rust"}, {"rustc", "Rust"}, {"AssemblyScript", "AssemblyScript"}, {"C_plus_plus", "C++"}, {"Go", "Go"}, {"clang", "C++"},
	} {
		if strings.Contains(noted, sign.word) {
			return sign.language, basisProducers
		}
	}
	switch {
	case t.imports["env.abort"] || t.exports["__new"] && t.exports["__pin"]:
		language = "AssemblyScript"
	case t.imports["env.emscripten_notify_memory_growth"] || t.exports["emscripten_stack_get_current"]:
		language = "C++"
	}
	if language == "" {
		return "", ""
	}
	return language, basisGuess
}

// tinyGo: its programs sleep with asyncify, and its compiler notes only what it is made of.
func (t *traits) tinyGo() bool {
	for name := range t.exports {
		if strings.HasPrefix(name, "asyncify_") || strings.HasPrefix(name, "tinygo_") {
			return true
		}
	}
	return false
}

// languageWords are what a line says of the language.
func (i *Inspected) languageWords() string {
	if i.Language == "" {
		return "not known"
	}
	return i.Language + ", " + cmp.Or(i.Basis, basisGuess)
}
