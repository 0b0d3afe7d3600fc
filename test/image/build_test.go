// SPDX-License-Identifier: Apache-2.0

// Package image builds the operator's image where no container engine runs, with ko's library, and checks it: who runs
// what, what is in it, that it starts, and that hack/build.sh and the Dockerfile say the same.
//
// It is a Go module of its own, so that ko's dependencies are none of the operator's.
package image

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/ko/pkg/build"
	"go.yaml.in/yaml/v3"
)

const (
	root       = "../.."
	importPath = "github.com/solarmesh/wasmplugin-operator"
	version    = "v1.2.3-test"
	// baseVariable, if set, has the real base image fetched from its registry. Without it the tests need no network.
	baseVariable = "IMAGE_BASE_FROM_REGISTRY"
)

// koConfig is .ko.yaml.
type koConfig struct {
	DefaultBaseImage string         `yaml:"defaultBaseImage"`
	DefaultPlatforms []string       `yaml:"defaultPlatforms"`
	Builds           []build.Config `yaml:"builds"`
}

func readKoConfig(t *testing.T) koConfig {
	t.Helper()
	var config koConfig
	if err := yaml.Unmarshal([]byte(read(t, ".ko.yaml")), &config); err != nil {
		t.Fatalf(".ko.yaml: %v", err)
	}
	if len(config.Builds) != 1 || config.Builds[0].Main != "." {
		t.Fatalf(".ko.yaml: wanted one build, of the main package in the root; got %+v", config.Builds)
	}
	return config
}

// buildImage does what `ko build .` does, into an OCI layout, and reads the image back from there.
func buildImage(t *testing.T) v1.ImageIndex {
	t.Helper()
	t.Setenv("VERSION", version)
	log.SetOutput(t.Output()) // ko tells there what it does
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	config := readKoConfig(t)
	builder, err := build.NewGo(t.Context(), root,
		build.WithBaseImages(func(context.Context, string) (name.Reference, build.Result, error) { return base(config) }),
		build.WithPlatforms(config.DefaultPlatforms...),
		build.WithConfig(map[string]build.Config{importPath: config.Builds[0]}),
		build.WithTrimpath(true),
		build.WithDisabledSBOM(),
		build.WithJobs(1),
	)
	if err != nil {
		t.Fatal(err)
	}
	result, err := builder.Build(t.Context(), build.StrictScheme+importPath)
	if err != nil {
		t.Fatalf("ko could not build: %v", err)
	}
	index, ok := result.(v1.ImageIndex)
	if !ok {
		t.Fatalf("ko built %T, not an image for several platforms", result)
	}
	return throughLayout(t, index)
}

func throughLayout(t *testing.T, index v1.ImageIndex) v1.ImageIndex {
	t.Helper()
	dir := t.TempDir()
	if _, err := layout.Write(dir, index); err != nil {
		t.Fatalf("writing the OCI layout: %v", err)
	}
	written, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatalf("reading the OCI layout: %v", err)
	}
	return written
}

// base is what the image is built on: the real one if asked for, otherwise an empty one with the same configuration.
func base(config koConfig) (name.Reference, build.Result, error) {
	reference, err := name.ParseReference(config.DefaultBaseImage)
	if err != nil {
		return nil, nil, err
	}
	if os.Getenv(baseVariable) != "" {
		index, err := remote.Index(reference)
		return reference, index, err
	}
	index := v1.ImageIndex(empty.Index)
	for _, text := range config.DefaultPlatforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return nil, nil, err
		}
		image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
			OS: platform.OS, Architecture: platform.Architecture,
			RootFS: v1.RootFS{Type: "layers"},
			// As distroless's tag nonroot has it.
			Config: v1.Config{
				User:       "65532",
				WorkingDir: "/home/nonroot",
				Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			},
		})
		if err != nil {
			return nil, nil, fmt.Errorf("base image for %s: %w", text, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return reference, index, nil
}
