// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxSize bounds a platform's layers as they are pulled.
const maxSize = 40 << 20

// TestImage builds once and looks at the result from all sides.
func TestImage(t *testing.T) {
	index := buildImage(t)
	images := byPlatform(t, index)
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(slices.Sorted(maps.Keys(images)), want) {
		t.Fatalf("built for %v, want %v", slices.Sorted(maps.Keys(images)), want)
	}
	file := parseDockerfile(t)
	for platform, image := range images {
		t.Run(platform, func(t *testing.T) { checkImage(t, image, file) })
	}
	native := images["linux/"+runtime.GOARCH]
	binary := binaryOf(t, native)
	t.Run("starts", func(t *testing.T) { checkStarts(t, binary) })
	t.Run("is three programs", func(t *testing.T) { checkSubcommands(t, binary) })
	t.Run("is what hack/build.sh builds", func(t *testing.T) {
		built := buildFromDockerfile(t, file)
		if !bytes.Equal(built, binary) {
			t.Errorf("the Dockerfile's build stage makes another binary (%d bytes) than ko (%d bytes): "+
				"hack/build.sh and .ko.yaml must have the same flags", len(built), len(binary))
		}
	})
	t.Run("is reproducible", func(t *testing.T) {
		again, err := buildImage(t).Digest()
		if err != nil {
			t.Fatal(err)
		}
		first, err := index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if again != first {
			t.Errorf("two builds of the same source: %s and %s", first, again)
		}
	})
}

// byPlatform opens the images of an index, or of the index in it that a layout has.
func byPlatform(t *testing.T, index v1.ImageIndex) map[string]v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]v1.Image{}
	for _, descriptor := range manifest.Manifests {
		if descriptor.MediaType.IsIndex() {
			inner, err := index.ImageIndex(descriptor.Digest)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(images, byPlatform(t, inner))
			continue
		}
		image, err := index.Image(descriptor.Digest)
		if err != nil {
			t.Fatal(err)
		}
		images[descriptor.Platform.String()] = image
	}
	return images
}

func checkImage(t *testing.T, image v1.Image, file dockerfile) {
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	uid, _, _ := strings.Cut(config.Config.User, ":")
	if uid != "65532" || uid != file.uid() {
		t.Errorf("runs as user %q, in the Dockerfile %q; want 65532, by number", config.Config.User, file.user)
	}
	if entrypoint := config.Config.Entrypoint; len(entrypoint) != 1 || len(file.entrypoint) != 1 ||
		path.Base(entrypoint[0]) != path.Base(file.entrypoint[0]) {
		t.Errorf("starts %v, in the Dockerfile %v; want the binary alone", entrypoint, file.entrypoint)
	}
	if len(config.Config.Cmd) > 0 || len(config.Config.Volumes) > 0 {
		t.Errorf("has arguments %v or volumes %v of its own", config.Config.Cmd, config.Config.Volumes)
	}
	if !config.Created.Time.IsZero() && config.Created.Unix() != 0 {
		t.Errorf("says when it was built: %s; two builds would differ", config.Created)
	}
	checkSize(t, image)
	if os.Getenv(baseVariable) == "" {
		checkFiles(t, image)
	}
}

func checkSize(t *testing.T, image v1.Image) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			t.Fatal(err)
		}
		total += size
	}
	if total == 0 || total > maxSize {
		t.Errorf("%d bytes to pull, want at most %d", total, maxSize)
	}
}

// checkFiles: beyond the base there is the binary and nothing else, no shell above all.
func checkFiles(t *testing.T, image v1.Image) {
	t.Helper()
	var files []string
	eachFile(t, image, func(header *tar.Header, _ io.Reader) {
		if header.Typeflag == tar.TypeDir {
			return
		}
		files = append(files, header.Name)
		if header.FileInfo().Mode().Perm()&0o022 != 0 {
			t.Errorf("%s can be written to: %s", header.Name, header.FileInfo().Mode())
		}
		if header.ModTime.Unix() > 0 {
			t.Errorf("%s says when it was built: %s", header.Name, header.ModTime)
		}
	})
	if len(files) != 1 || path.Base(files[0]) != "wasmplugin-operator" {
		t.Errorf("files in the image: %v, want the binary alone", files)
	}
}

func eachFile(t *testing.T, image v1.Image, visit func(*tar.Header, io.Reader)) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for reader := tar.NewReader(content); ; {
			header, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			visit(header, reader)
		}
		if err := content.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// binaryOf takes the entrypoint out of an image.
func binaryOf(t *testing.T, image v1.Image) []byte {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var binary []byte
	eachFile(t, image, func(header *tar.Header, content io.Reader) {
		if path.Clean("/"+header.Name) != config.Config.Entrypoint[0] {
			return
		}
		if header.FileInfo().Mode().Perm()&0o005 != 0o005 {
			t.Errorf("%s can't be started by everyone: %s", header.Name, header.FileInfo().Mode())
		}
		if binary, err = io.ReadAll(content); err != nil {
			t.Fatal(err)
		}
	})
	if binary == nil {
		t.Fatalf("%v is not in the image", config.Config.Entrypoint)
	}
	return binary
}

// checkStarts runs the binary in an empty folder without an environment, as it finds itself in the image.
func checkStarts(t *testing.T, binary []byte) {
	file := filepath.Join(t.TempDir(), "wasmplugin-operator")
	if err := os.WriteFile(file, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), file, "--version")
	cmd.Dir, cmd.Env = t.TempDir(), []string{}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), version) {
		t.Errorf("--version says %q, not the version it was built with, %s", out, version)
	}
}

// checkSubcommands: the operator, the checker and the store are one binary, of which each says what it lacks.
func checkSubcommands(t *testing.T, binary []byte) {
	file := filepath.Join(t.TempDir(), "wasmplugin-operator")
	if err := os.WriteFile(file, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	for subcommand, want := range map[string]string{"checker": "--socket must name", "store": "--bucket is required"} {
		cmd := exec.CommandContext(t.Context(), file, subcommand)
		cmd.Dir, cmd.Env = t.TempDir(), []string{}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), want) {
			t.Errorf("%s without flags: %v, want exit code 2 and %q; it says:\n%s", subcommand, err, want, out)
		}
	}
}
