// SPDX-License-Identifier: Apache-2.0

package agreement

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// language is what a module is written in.
type language string

const (
	golang         language = "Go"
	rust           language = "Rust"
	cpp            language = "C++"
	assemblyScript language = "AssemblyScript"
	textFormat     language = "text format"
	noLanguage     language = "none"
)

// source is where a module comes from: a folder of Go, a file for hack/compilers.sh, or what it is made of.
type source struct {
	language language
	path     string
	// made of the module minimal.
	made func(minimal []byte) []byte
}

// sources are all but those in the text format, which are named as their files.
var sources = map[string]source{
	"basic-auth":     {language: golang, path: "../../examples/basic-auth"},
	"hello-world":    {language: golang, path: "../../examples/hello-world"},
	"probe":          {language: golang, path: "../plugins/probe"},
	"bare":           {language: golang, path: "../../internal/drystart/testdata/plugin"},
	"rust":           {language: rust, path: "modules/rust/plugin.rs"},
	"cpp":            {language: cpp, path: "modules/cpp/plugin.cc"},
	"assemblyscript": {language: assemblyScript, path: "modules/assemblyscript/plugin.ts"},
	"cut":            {language: noLanguage, made: func(minimal []byte) []byte { return minimal[:len(minimal)/2] }},
	"component":      {language: noLanguage, made: func([]byte) []byte { return []byte("\x00asm\x0d\x00\x01\x00") }},
	"page":           {language: noLanguage, made: func([]byte) []byte { return []byte("<html><body>404 Not Found</body></html>\n") }},
}

func sourceOf(name string) source {
	if source, found := sources[name]; found {
		return source
	}
	return source{language: textFormat, path: filepath.Join("modules", "wat", name+".wat")}
}

// build makes the modules of the cases in a folder and returns their paths by name.
func build(ctx context.Context, dir string) (map[string]string, error) {
	paths := map[string]string{}
	for _, c := range cases {
		if _, done := paths[c.module]; done {
			continue
		}
		path := filepath.Join(dir, c.module+".wasm")
		if err := sourceOf(c.module).build(ctx, path, paths["minimal"]); err != nil {
			return nil, fmt.Errorf("module %s (%s): %w", c.module, sourceOf(c.module).language, err)
		}
		paths[c.module] = path
	}
	return paths, nil
}

func (s source) build(ctx context.Context, out, minimal string) error {
	switch {
	case s.made != nil:
		content, err := os.ReadFile(minimal)
		if err != nil {
			return err
		}
		return os.WriteFile(out, s.made(content), 0o600)
	case s.language == golang:
		command := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", out, ".")
		command.Dir = s.path
		command.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		return run(command)
	}
	path, err := filepath.Abs(s.path)
	if err != nil {
		return err
	}
	return run(exec.CommandContext(ctx, "../../hack/compilers.sh", out, path))
}

// run tells what a command said if it fails.
func run(command *exec.Cmd) error {
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, &said)
	}
	return nil
}
