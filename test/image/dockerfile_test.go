// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// instruction is a line of a Dockerfile, with the lines that continue it.
type instruction struct{ name, rest string }

// dockerfile is what these tests read of the Dockerfile.
type dockerfile struct {
	build      []instruction // of the first stage
	base       string        // of the last stage, as all below
	user       string
	entrypoint []string
	labels     map[string]string
}

func (d dockerfile) uid() string {
	uid, _, _ := strings.Cut(d.user, ":")
	return uid
}

var label = regexp.MustCompile(`([\w.]+)="([^"]*)"`)

func parseDockerfile(t *testing.T) dockerfile {
	t.Helper()
	d := dockerfile{labels: map[string]string{}}
	stage := 0
	for _, i := range instructions(read(t, "Dockerfile")) {
		if i.name == "FROM" {
			stage++
		}
		switch {
		case stage == 1:
			d.build = append(d.build, i)
		case i.name == "FROM":
			d.base = i.rest
		case i.name == "USER":
			d.user = i.rest
		case i.name == "ENTRYPOINT":
			if err := json.Unmarshal([]byte(i.rest), &d.entrypoint); err != nil {
				t.Fatalf("ENTRYPOINT %s: %v; it must be a list, since there is no shell", i.rest, err)
			}
		case i.name == "LABEL":
			for _, match := range label.FindAllStringSubmatch(i.rest, -1) {
				d.labels[match[1]] = match[2]
			}
		}
	}
	if stage != 2 {
		t.Fatalf("the Dockerfile has %d stages, want one that builds and one that runs", stage)
	}
	return d
}

func instructions(text string) []instruction {
	var result []instruction
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if name, rest, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
			result = append(result, instruction{name, strings.TrimSpace(rest)})
		}
	}
	return result
}

// TestDockerfile checks what has no counterpart in an image that ko builds.
func TestDockerfile(t *testing.T) {
	file := parseDockerfile(t)
	if base := readKoConfig(t).DefaultBaseImage; file.base != base {
		t.Errorf("the Dockerfile is based on %s, .ko.yaml on %s", file.base, base)
	}
	for _, from := range []string{file.base, file.build[0].rest} {
		if !regexp.MustCompile(`@sha256:[0-9a-f]{64}\b`).MatchString(from) {
			t.Errorf("FROM %s: not pinned by a digest", from)
		}
	}
	if !strings.Contains(file.build[0].rest, "--platform=$BUILDPLATFORM ") {
		t.Errorf("FROM %s: the compiler would be emulated for every other platform", file.build[0].rest)
	}
	for name, want := range map[string]string{
		"org.opencontainers.image.title":    "wasmplugin-operator",
		"org.opencontainers.image.source":   "https://" + importPath,
		"org.opencontainers.image.licenses": "Apache-2.0",
	} {
		if got := file.labels[name]; got != want {
			t.Errorf("LABEL %s is %q, want %q", name, got, want)
		}
	}
}

// TestCloudBuild: with the argument that the documentation names, and only then, the binary reaches the clouds' buckets.
func TestCloudBuild(t *testing.T) {
	declares := func(i instruction) bool { return i.name == "ARG" && i.rest == "GOFLAGS=" }
	if !slices.ContainsFunc(parseDockerfile(t).build, declares) {
		t.Error("the Dockerfile doesn't take --build-arg GOFLAGS=…")
	}
	for flags, want := range map[string]bool{"": false, "-tags=cloudstore": true} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "GOFLAGS="+flags)
		packages, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for _, driver := range []string{"s3blob", "gcsblob", "azureblob"} {
			if has := strings.Contains(string(packages), "gocloud.dev/blob/"+driver+"\n"); has != want {
				t.Errorf("GOFLAGS=%s: the binary has %s: %t, want %t", flags, driver, has, want)
			}
		}
	}
}

// buildFromDockerfile does what the Dockerfile's first stage does, in a folder that has only what .dockerignore lets
// into the build context, and returns the binary.
func buildFromDockerfile(t *testing.T, file dockerfile) []byte {
	t.Helper()
	sources, work := buildContext(t), t.TempDir()
	output := ""
	for _, i := range file.build {
		switch i.name {
		case "COPY":
			paths := strings.Fields(i.rest)
			for _, source := range paths[:len(paths)-1] {
				shell(t, sources, `cp -R "$1" "$2"`, source, filepath.Join(work, paths[len(paths)-1]))
			}
		case "RUN":
			shell(t, work, i.rest)
			if _, after, ok := strings.Cut(i.rest, "hack/build.sh "); ok {
				output = after
			}
		}
	}
	if output == "" {
		t.Fatal("the Dockerfile doesn't build with hack/build.sh")
	}
	binary, err := os.ReadFile(filepath.Join(work, output))
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// shell runs a command as RUN does, for this machine's platform.
func shell(t *testing.T, dir, command string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", command, "sh"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH, "VERSION="+version)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// buildContext copies what .dockerignore lets through.
func buildContext(t *testing.T) string {
	t.Helper()
	patterns, err := ignorefile.ReadAll(strings.NewReader(read(t, ".dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil || relative == "." {
			return err
		}
		if relative == ".git" {
			return filepath.SkipDir
		}
		skip, err := ignored.MatchesOrParentMatches(relative)
		if err != nil || skip || entry.IsDir() {
			return err
		}
		return copyFile(path, filepath.Join(target, relative))
	})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
