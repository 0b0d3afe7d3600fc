// SPDX-License-Identifier: Apache-2.0

// Package scaffold holds the folders that a new plugin begins with, one for each language. All do the same: they set the
// headers of their rules on every response, and refuse wrong rules with a sentence that names the field.
package scaffold

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"text/template"

	"k8s.io/apimachinery/pkg/util/validation"
)

// The languages, as --language and runtime-config.json name them.
const (
	Go             = "go"
	TinyGo         = "tinygo"
	Rust           = "rust"
	AssemblyScript = "assemblyscript"
	CPP            = "cpp"
)

// Language is one that a plugin can be written in.
type Language struct {
	// Name is what --language and runtime-config.json say.
	Name string
	// Title is the name for people.
	Title string
	// ABI is the version of proxy-wasm that modules in it are built for.
	ABI string
	// Untested: no test of this repository compiles this template and runs it. test/templates does with the others.
	Untested bool

	// folders are those of templates/ that it is made of.
	folders []string
}

var languages = []Language{
	{Name: Go, Title: "Go", ABI: "0.2.0", folders: []string{"common", "go"}},
	{Name: TinyGo, Title: "Go, compiled by TinyGo", ABI: "0.2.0", Untested: true, folders: []string{"common", "go"}},
	{Name: Rust, Title: "Rust", ABI: "0.2.1", folders: []string{"common", "rust"}},
	{Name: AssemblyScript, Title: "AssemblyScript", ABI: "0.2.0", folders: []string{"common", "assemblyscript"}},
	{Name: CPP, Title: "C++", ABI: "0.2.1", folders: []string{"common", "cpp"}},
}

// Languages are all there are, the usual choice first.
func Languages() []Language { return slices.Clone(languages) }

// LanguageNames are those of Languages.
func LanguageNames() []string {
	names := make([]string, 0, len(languages))
	for _, language := range languages {
		names = append(names, language.Name)
	}
	return names
}

// Find returns the language of a name.
func Find(name string) (Language, error) {
	for _, language := range languages {
		if language.Name == name {
			return language, nil
		}
	}
	return Language{}, fmt.Errorf("language %q is none of %s", name, strings.Join(LanguageNames(), ", "))
}

// CheckName refuses a name that a WasmPlugin, a package and a folder could not all have.
func CheckName(name string) error {
	if len(validation.IsDNS1123Label(name)) > 0 {
		return fmt.Errorf("%q can't be a plugin's name; take up to 63 lower-case letters, digits and -, with a letter or digit at both ends,"+
			" such as basic-auth", name)
	}
	return nil
}

// File is one of a new folder.
type File struct {
	// Path is within the folder, with slashes.
	Path    string
	Content []byte
}

//go:embed all:templates
var templates embed.FS

// suffix keeps Go's tools from taking the templates for packages and modules.
const suffix = ".tmpl"

// Files makes the files of a new plugin's folder, sorted by path.
func Files(language Language, name string) ([]File, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	var files []File
	for _, folder := range language.folders {
		root := path.Join("templates", folder)
		err := fs.WalkDir(templates, root, func(at string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := render(at, language, name)
			if err != nil {
				return err
			}
			files = append(files, File{Path: target(strings.TrimPrefix(at, root+"/")), Content: content})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("the template of %s: %w", language.Name, err)
		}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// target is where the file of a template goes. The name of .gitignore would be one of ours in this repository, too.
func target(at string) string {
	at = strings.TrimSuffix(at, suffix)
	if at == "gitignore" {
		return ".gitignore"
	}
	return at
}

// render fills in a template. Its marks are such as stand in none of the languages.
func render(at string, language Language, name string) ([]byte, error) {
	text, err := templates.ReadFile(at)
	if err != nil {
		return nil, err
	}
	parsed, err := template.New(at).Delims("<%", "%>").Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, map[string]string{"Name": name, "Language": language.Name, "Title": language.Title, "ABI": language.ABI})
	return out.Bytes(), err
}
