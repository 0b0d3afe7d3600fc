// SPDX-License-Identifier: Apache-2.0

package release

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestImage: the image of a release is the one that .ko.yaml makes, has an SBOM, and is signed by its digest.
func TestImage(t *testing.T) {
	var ko struct {
		DefaultBaseImage string   `json:"defaultBaseImage"`
		DefaultPlatforms []string `json:"defaultPlatforms"`
	}
	var release struct {
		Kos []struct {
			Build     string   `json:"build"`
			BaseImage string   `json:"base_image"`
			Platforms []string `json:"platforms"`
			SBOM      string   `json:"sbom"`
		} `json:"kos"`
		Signs       []sign `json:"signs"`
		DockerSigns []sign `json:"docker_signs"`
		SBOMs       []struct {
			Artifacts string `json:"artifacts"`
		} `json:"sboms"`
	}
	parse(t, ".ko.yaml", &ko)
	parse(t, ".goreleaser.yaml", &release)
	if len(release.Kos) != 1 || len(release.Signs) != 1 || len(release.DockerSigns) != 1 || len(release.SBOMs) != 1 {
		t.Fatalf("want one image, its signature, that of the checksums, and SBOMs: %+v", release)
	}
	image := release.Kos[0]
	if diff := cmp.Diff([]any{ko.DefaultBaseImage, ko.DefaultPlatforms}, []any{image.BaseImage, image.Platforms}); diff != "" {
		t.Errorf("another image than .ko.yaml makes (-.ko.yaml +.goreleaser.yaml):\n%s", diff)
	}
	if !strings.Contains(image.BaseImage, "@sha256:") || image.Build != "wasmplugin-operator" || image.SBOM != "spdx" || release.SBOMs[0].Artifacts != "archive" {
		t.Errorf("the image isn't the operator's on a pinned base, or something has no SBOM: %+v", release)
	}
	if release.Signs[0].Artifacts != "checksum" {
		t.Errorf("what is signed are %s, want the checksums", release.Signs[0].Artifacts)
	}
	// ko publishes an index, which goreleaser calls a manifest.
	if signs := release.DockerSigns[0]; signs.Artifacts != "manifests" || !slices.Contains(signs.Args, "${artifact}@${digest}") {
		t.Errorf("the image isn't signed by its digest: %+v", signs)
	}
}

type sign struct {
	Artifacts string   `json:"artifacts"`
	Args      []string `json:"args"`
}

func parse(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(root + "/" + file)
	if err == nil {
		err = yaml.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
