// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// releaseConfig is what the tests ask of .goreleaser.yaml; goreleaser itself checks the rest in make release-check.
type releaseConfig struct {
	Builds []struct {
		ID                                string
		Env, Flags, Ldflags, Goos, Goarch []string
	}
	Archives []struct {
		ID  string
		IDs []string
	}
	Krews []struct {
		Name             string
		IDs              []string
		SkipUpload       bool   `json:"skip_upload"`
		ShortDescription string `json:"short_description"`
		Description      string
		Homepage         string
	}
	Release struct{ Draft bool }
}

func readReleaseConfig(t *testing.T) releaseConfig {
	t.Helper()
	var config releaseConfig
	if err := yaml.Unmarshal([]byte(read(t, "../../.goreleaser.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// TestReleaseBuildsAsTheScript: what is released is what hack/build.sh makes and every test runs.
func TestReleaseBuildsAsTheScript(t *testing.T) {
	script := read(t, "../../hack/build.sh")
	config := readReleaseConfig(t)
	if len(config.Builds) != 2 {
		t.Fatalf("%d builds", len(config.Builds))
	}
	for _, build := range config.Builds {
		flags := strings.Join(append(build.Env, build.Flags...), " ")
		if flags != "CGO_ENABLED=0 -trimpath -buildvcs=false" || !strings.Contains(script, "export CGO_ENABLED=0") || !strings.Contains(script, "go build -trimpath -buildvcs=false ") {
			t.Errorf("%s: %s", build.ID, flags)
		}
		ldflags := strings.ReplaceAll(strings.Join(build.Ldflags, " "), "v{{ .Version }}", "${VERSION:-dev}")
		if !strings.Contains(script, `-ldflags "`+ldflags+`"`) {
			t.Errorf("%s: hack/build.sh has other ldflags than %s", build.ID, ldflags)
		}
		if diff := cmp.Diff([]string{"linux darwin windows", "amd64 arm64"}, []string{strings.Join(build.Goos, " "), strings.Join(build.Goarch, " ")}); diff != "" {
			t.Errorf("%s: %s", build.ID, diff)
		}
	}
	if !config.Release.Draft {
		t.Error("a release is public before anybody has looked at it")
	}
}

// Rules of krew's index for plugins.
var (
	krewName    = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	krewNameBad = []string{"kubectl", "kube", "k8s", "kubernetes"}
	krewShort   = 50
)

// TestKrewManifest: goreleaser makes the manifest of kubectl wasm, with version, URLs and checksums of the archives.
func TestKrewManifest(t *testing.T) {
	config := readReleaseConfig(t)
	if len(config.Krews) != 1 {
		t.Fatalf("%d plugins", len(config.Krews))
	}
	plugin := config.Krews[0]
	if !krewName.MatchString(plugin.Name) || plugin.Name != strings.TrimPrefix(newRoot("kubectl-wasm").Name(), "kubectl-") {
		t.Errorf("name %q", plugin.Name)
	}
	for _, bad := range krewNameBad {
		if strings.Contains(plugin.Name, bad) || strings.Contains(strings.ToLower(plugin.ShortDescription), bad) {
			t.Errorf("krew's index wants no %q in the name or the short description", bad)
		}
	}
	if len(plugin.ShortDescription) > krewShort || strings.HasSuffix(plugin.ShortDescription, ".") || plugin.ShortDescription == "" {
		t.Errorf("short description %q", plugin.ShortDescription)
	}
	if plugin.Description == "" || !strings.HasPrefix(plugin.Homepage, "https://") || !plugin.SkipUpload {
		t.Errorf("%+v", plugin)
	}
	// An archive of a plugin has one binary, which krew links to as kubectl-wasm.
	for _, archive := range config.Archives {
		if !slices.Equal(archive.IDs, []string{archive.ID}) {
			t.Errorf("archive %s has the builds %v", archive.ID, archive.IDs)
		}
	}
	if !slices.Equal(plugin.IDs, []string{"wasmctl"}) {
		t.Errorf("of the archives %v", plugin.IDs)
	}
}

func TestReleaseNotes(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "../../hack/release-notes", "Unreleased").Output()
	if err != nil || !strings.Contains(string(out), "### Added") || strings.Contains(string(out), "## [") {
		t.Errorf("%v: %.200s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "../../hack/release-notes", "v99.0.0").CombinedOutput(); err == nil || !strings.Contains(string(out), "no section [99.0.0]") {
		t.Errorf("%v: %s", err, out)
	}
}
