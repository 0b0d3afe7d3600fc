// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/elliptic"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/publish"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
)

const described = `{"name": "hello", "language": "go", "abi": "0.2.0", "rootIDs": ["hello_root"],
	"rulesSchema": {"type": "object", "properties": {"header": {"type": "string"}}, "additionalProperties": false}, "defaultRules": {"header": "<a>"}}`

// describedModule is the example plugin that carries a description of itself, as a file.
func describedModule(t *testing.T, config string) string {
	t.Helper()
	content, err := helloWorld()
	if err != nil {
		t.Fatal(err)
	}
	if content, err = runtimeconfig.Embed(content, []byte(config)); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "filter.wasm", content)
}

// login has docker's credentials be those of the registry.
func (s *servers) login(t *testing.T) {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", filepath.Dir(s.pullSecret))
}

// TestPush: what is pushed can be fetched, pulled and applied, in both forms, and each time it is the same.
func TestPush(t *testing.T) {
	s := newServers(t)
	s.login(t)
	file := describedModule(t, described)
	for _, format := range []string{"artifact", "image"} {
		t.Run(format, func(t *testing.T) {
			reference := host(s.registry) + "/team/" + format + ":1.4"
			args := []string{"push", reference, file, "--ca-file", s.ca, "--format", format, "--annotation", "team=shop"}
			got := call(t, nil, args...)
			var plugin wasmv1alpha1.WasmPlugin
			if err := yaml.UnmarshalStrict([]byte(got.out), &plugin); err != nil || got.code != cli.ExitGood || strings.Contains(got.String(), password) {
				t.Fatalf("%v: %s", err, got)
			}
			spec := plugin.Spec
			if plugin.Name != "hello" || spec.URL != "oci://"+reference || spec.PluginName != "hello_root" || !strings.Contains(got.out, "    header: <a>\n") || len(spec.Selector.MatchLabels) == 0 {
				t.Errorf("got %s", got.out)
			}
			if validated := call(t, strings.NewReader(got.out), "validate", "-f", "-", "--start", "--allow-loopback", "--ca-file", s.ca, "--pull-secret-file", s.pullSecret); validated.code != cli.ExitGood {
				t.Errorf("what it prints is refused: %s", validated)
			}
			var pushed publish.Pushed
			again := call(t, nil, append(args, "-o", "json")...)
			if err := json.Unmarshal([]byte(again.out), &pushed); err != nil || pushed.SHA256 != spec.SHA256 || pushed.ManifestDigest != "sha256:"+spec.SHA256 {
				t.Errorf("a second push makes another image than %s: %s, %v", spec.SHA256, again, err)
			}
			pulled := filepath.Join(t.TempDir(), "pulled.wasm")
			if got := call(t, nil, "pull", reference, "-f", pulled, "--allow-loopback", "--ca-file", s.ca, "--sha256", spec.SHA256); got.code != cli.ExitGood || !strings.Contains(got.out, pushed.Digest) {
				t.Fatalf("pull: %s", got)
			}
			if read(t, pulled) != read(t, file) {
				t.Error("another module was pulled")
			}
			inspected := call(t, nil, "inspect", reference, "--allow-loopback", "--ca-file", s.ca)
			for _, part := range []string{"go, as its runtime-config.json says", "Signatures:  none", "a schema of"} {
				if !strings.Contains(inspected.out, part) {
					t.Errorf("it lacks %q: %s", part, inspected)
				}
			}
		})
	}
}

// TestPushManifest: the artifact is what Istio's agent reads, and holds the description as its configuration.
func TestPushManifest(t *testing.T) {
	s := newServers(t)
	s.login(t)
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	file := describedModule(t, described)
	if got := call(t, nil, "push", "oci://"+host(s.registry)+"/team/a:1.4", file, "--ca-file", s.ca, "--annotation", "team=shop", "--title", "A"); got.code != cli.ExitGood {
		t.Fatal(got)
	}
	var manifest struct {
		Config struct {
			MediaType string
			Digest    string
		}
		Layers      []struct{ MediaType string }
		Annotations map[string]string
	}
	if err := json.Unmarshal(s.get(t, "/v2/team/a/manifests/1.4"), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Config.MediaType != "application/vnd.module.wasm.config.v1+json" || len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != "application/vnd.module.wasm.content.layer.v1+wasm" {
		t.Errorf("got %+v", manifest)
	}
	want := map[string]string{
		"org.opencontainers.image.created": "2023-11-14T22:13:20Z", "org.opencontainers.image.title": "A",
		"org.opencontainers.image.version": "1.4", "team": "shop",
	}
	if diff := cmp.Diff(want, manifest.Annotations); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(described, string(s.get(t, "/v2/team/a/blobs/"+manifest.Config.Digest))); diff != "" {
		t.Error(diff)
	}
}

func (s *servers) get(t *testing.T, path string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.registry.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(user, password)
	response, err := s.registry.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestPushSigns: what is signed with a key made the way of cosign is taken by the operator for signed, once however often it
// is pushed.
func TestPushSigns(t *testing.T) {
	s := newServers(t)
	s.login(t)
	const secret = "correct horse"
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), cryptoutils.StaticPasswordFunc([]byte(secret)))
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(private); block.Type != "ENCRYPTED SIGSTORE PRIVATE KEY" {
		t.Fatalf("the key is %s", block.Type)
	}
	_, stranger, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), cryptoutils.SkipPassword)
	if err != nil {
		t.Fatal(err)
	}
	key, file := writeFile(t, "cosign.key", private), describedModule(t, described)
	reference := host(s.registry) + "/team/signed:1"
	push := []string{"push", reference, file, "--ca-file", s.ca, "--sign", key}
	for _, wrong := range []string{"wrong", ""} {
		t.Setenv("COSIGN_PASSWORD", wrong)
		if got := call(t, nil, push...); got.code != cli.ExitFailed || !strings.Contains(got.errOut, "password is wrong") {
			t.Fatal(got)
		}
	}
	t.Setenv("COSIGN_PASSWORD", secret)
	for range 2 {
		if got := call(t, nil, push...); got.code != cli.ExitGood || !strings.Contains(got.out, ", signed") || strings.Contains(got.String(), secret) {
			t.Fatal(got)
		}
	}
	inspect := []string{"inspect", reference, "--allow-loopback", "--ca-file", s.ca, "--key"}
	if got := call(t, nil, append(inspect, writeFile(t, "cosign.pub", public))...); got.code != cli.ExitGood || !strings.Contains(got.out, "1, verified by cosign key ") {
		t.Error(got)
	}
	if got := call(t, nil, append(inspect, writeFile(t, "other.pub", stranger))...); got.code != cli.ExitRefused || !strings.Contains(got.errOut, "of another key: 1") {
		t.Error(got)
	}
	if got := call(t, nil, append(inspect, key)...); got.code != cli.ExitFailed || !strings.Contains(got.errOut, "of a private key") {
		t.Error(got)
	}
}
