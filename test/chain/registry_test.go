// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// tool is one of the project's tools. Building it the first time is not part of what a test may take.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := Tool(t.Context(), os.Stderr, name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func startRegistry(t *testing.T, options RegistryOptions) *Registry {
	t.Helper()
	options.Binary, options.Dir = tool(t, "registry"), t.TempDir()
	registry, err := StartRegistry(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := registry.Stop(); err != nil {
			t.Error(err)
		}
	})
	return registry
}

func TestRegistryKeepsImages(t *testing.T) {
	registry := startRegistry(t, RegistryOptions{})
	digests := map[Format]string{}
	for _, format := range []Format{DockerImage, OCIImage, Artifact} {
		digest, err := registry.Push(t.Context(), "plugins/"+string(format)+":1", format, []byte("module"))
		if err != nil {
			t.Fatal(err)
		}
		digests[format] = digest
	}
	pulls := func() {
		t.Helper()
		for format, digest := range digests {
			got, err := registry.Pull(t.Context(), "plugins/"+string(format)+":1")
			if err != nil || got != digest {
				t.Errorf("%s: %s, %v; want %s", format, got, err, digest)
			}
		}
	}
	pulls()
	if err := registry.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Pull(t.Context(), "plugins/oci:1"); err == nil {
		t.Error("the stopped registry answers")
	}
	if err := registry.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	pulls()
}

func TestRegistryAsksForPasswordAndSpeaksTLS(t *testing.T) {
	registry := startRegistry(t, RegistryOptions{TLS: true, Username: "puller", Password: "not a word of a log"})
	digest, err := registry.Push(t.Context(), "private/plugin:1", OCIImage, []byte("module"))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(registry.Address + "/private/plugin@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	known := remote.WithTransport(registry.transport)
	for who, options := range map[string][]remote.Option{
		"nobody":         {known},
		"wrong password": {known, remote.WithAuth(&authn.Basic{Username: "puller", Password: "guess"})},
		"no authority":   {remote.WithTransport(&http.Transport{}), remote.WithAuth(authn.FromConfig(registry.user))},
	} {
		if _, err := remote.Image(ref, options...); err == nil {
			t.Errorf("%s could pull", who)
		}
	}
	if strings.Contains(registry.Log(), "not a word") {
		t.Error("the password is in the log")
	}
}

// TestCosignSigns signs in both layouts, in a registry with all hurdles, and looks for what cosign left there.
func TestCosignSigns(t *testing.T) {
	registry := startRegistry(t, RegistryOptions{TLS: true, Username: "signer", Password: "secret"})
	cosign, err := NewCosign(tool(t, "cosign"), filepath.Join(t.TempDir(), "cosign"))
	if err != nil {
		t.Fatal(err)
	}
	// It must not wait for the services of the public Sigstore.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	public, err := cosign.NewKey(ctx, "release")
	if err != nil || !strings.Contains(string(public), "BEGIN PUBLIC KEY") {
		t.Fatalf("%s, %v", public, err)
	}
	digest, err := registry.Push(ctx, "plugin:1", OCIImage, []byte("module"))
	if err != nil {
		t.Fatal(err)
	}
	image := "plugin@" + digest
	for _, layout := range []Layout{SignatureTag, SignatureBundle} {
		kept := SignatureOf(image, layout)
		if err := registry.Copy(ctx, kept, "plugin:copy"); err == nil {
			t.Errorf("%s: %s is there before", layout, kept)
		}
		timed(t, "sign, layout "+string(layout), func() error {
			return cosign.Sign(ctx, registry, image, "release", layout)
		})
		if err := registry.Copy(ctx, kept, "plugin:"+string(layout)); err != nil {
			t.Errorf("%s: %v", layout, err)
		}
	}
	err = cosign.Sign(ctx, registry, "plugin@sha256:"+strings.Repeat("0", 64), "release", SignatureTag)
	wantError(t, err, "cosign sign")
}
