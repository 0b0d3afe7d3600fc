// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/offline"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

func TestInspect(t *testing.T) {
	s := newServers(t)
	image := offline.ModuleFacts{
		Reference: s.image(), Source: "oci://" + host(s.registry) + "/team/hello@" + s.manifest, Digest: s.digest(),
		ManifestDigest: s.manifest, Size: int64(len(s.content)), ABI: "0.2.0",
	}
	file := offline.ModuleFacts{
		Reference: s.web.URL + "/plugin.wasm", Source: s.web.URL + "/plugin.wasm@" + s.digest(), Digest: s.digest(),
		Size: int64(len(s.content)), ABI: "0.2.0",
	}
	tests := map[string]struct {
		args []string
		want offline.ModuleFacts
	}{
		"image":         {[]string{s.image()}, image},
		"pinned image":  {[]string{s.image(), "--sha256", strings.TrimPrefix(s.manifest, "sha256:")}, image},
		"file":          {[]string{s.web.URL + "/plugin.wasm?signature=" + password}, file},
		"pinned file":   {[]string{s.web.URL + "/plugin.wasm", "--sha256", strings.TrimPrefix(s.digest(), "sha256:")}, file},
		"without trust": {[]string{s.web.URL + "/plugin.wasm", "--ca-file", "", "--insecure-registry", host(s.web)}, file},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			args := append(append([]string{"inspect"}, s.trusting()...), tc.args...)
			for form, decode := range map[string]func([]byte, any) error{cli.FormJSON: json.Unmarshal, cli.FormYAML: func(raw []byte, to any) error { return yaml.UnmarshalStrict(raw, to) }} {
				got := call(t, nil, append(args, "-o", form)...)
				var facts offline.Inspected
				if err := decode([]byte(got.out), &facts); err != nil || facts.ModuleFacts != tc.want || got.code != cli.ExitGood {
					t.Errorf("%s: got %s, want %+v", form, got, tc.want)
				}
			}
			got := call(t, nil, args...)
			for _, part := range []string{tc.want.Source, tc.want.Digest, tc.want.ManifestDigest, fmt.Sprintf("%d bytes", tc.want.Size), "proxy-wasm 0.2.0"} {
				if !strings.Contains(got.out, part) {
					t.Errorf("the text lacks %q: %s", part, got)
				}
			}
			if strings.Contains(got.String(), password) {
				t.Errorf("a secret shows: %s", got)
			}
		})
	}
}

// badModules are what inspect and validate --fetch say the same of.
func badModules(s *servers) map[string]struct {
	url, sha256, want string
	code              int
} {
	other := strings.Repeat("0", 64)
	return map[string]struct {
		url, sha256, want string
		code              int
	}{
		"digest of an image": {s.image(), other, "the digest of the image's manifest is " + s.manifest, cli.ExitRefused},
		"digest of a file":   {s.web.URL + "/plugin.wasm", other, "the module's digest is " + s.digest(), cli.ExitRefused},
		"web page":           {s.web.URL + "/page.wasm", "", "the server sends a web page", cli.ExitRefused},
		"component":          {s.web.URL + "/component.wasm", "", "the module is a component", cli.ExitRefused},
		"no plugin":          {s.web.URL + "/no-plugin.wasm", "", "not a proxy-wasm plugin", cli.ExitRefused},
		"absent file":        {s.web.URL + "/absent.wasm", "", "there is nothing of that name (status 404)", cli.ExitRefused},
		"absent tag":         {strings.TrimSuffix(s.image(), "1") + "2", "", "there is nothing of that name (status 404)", cli.ExitRefused},
		"busy":               {s.web.URL + "/busy.wasm", "", "can't serve it at the moment (status 503)", cli.ExitFailed},
	}
}

func TestInspectBadModules(t *testing.T) {
	s := newServers(t)
	for name, tc := range badModules(s) {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"inspect", tc.url, "--sha256", tc.sha256}, s.trusting()...)
			if got := call(t, nil, args...); got.code != tc.code || !strings.Contains(got.errOut, tc.want) || got.out != "" {
				t.Errorf("got %s, want exit %d and %q", got, tc.code, tc.want)
			}
		})
	}
}

func TestInspectWithoutItsFlags(t *testing.T) {
	s := newServers(t)
	closed := httptest.NewServer(nil)
	closed.Close()
	noConfig := writeFile(t, "config.json", []byte(password))
	tests := map[string]struct {
		args []string
		want string
		code int
	}{
		"loopback":    {[]string{s.image(), "--ca-file", s.ca}, "see --allow-loopback", cli.ExitRefused},
		"credentials": {[]string{s.image(), "--ca-file", s.ca, "--allow-loopback"}, "see --pull-secret-file", cli.ExitRefused},
		"no config":   {[]string{s.image(), "--ca-file", s.ca, "--allow-loopback", "--pull-secret-file", noConfig}, `not a Docker configuration`, cli.ExitFailed},
		"authority":   {[]string{s.image(), "--allow-loopback"}, "see --ca-file", cli.ExitFailed},
		"nobody":      {[]string{closed.URL + "/plugin.wasm", "--allow-loopback"}, "refuses connections", cli.ExitFailed},
		"private":     {[]string{"oci://10.0.0.1/a:1", "--block-private"}, "private address", cli.ExitRefused},
		"no PEM":      {[]string{s.image(), "--ca-file", noConfig}, "holds no certificate", cli.ExitFailed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, nil, append([]string{"inspect"}, tc.args...)...)
			if got.code != tc.code || !strings.Contains(got.errOut, tc.want) || strings.Contains(got.String(), password) {
				t.Errorf("got %s, want exit %d and %q", got, tc.code, tc.want)
			}
		})
	}
}

func plugin(name, url, sha256 string) string {
	spec := fmt.Sprintf("{url: %q, selector: {matchLabels: {app: shop}}", url)
	if sha256 != "" {
		spec += fmt.Sprintf(", sha256: %q", sha256)
	}
	return fmt.Sprintf("---\napiVersion: wasm.solarmesh.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: %s, namespace: shop}\nspec: %s}\n", name, spec)
}

func TestValidateFetchesGoodModulesOnce(t *testing.T) {
	s := newServers(t)
	input := plugin("image", s.image(), "") + plugin("file", s.web.URL+"/plugin.wasm", "") + plugin("again", s.web.URL+"/plugin.wasm", "")
	got := call(t, strings.NewReader(input), append([]string{"validate", "-f", "-", "--fetch"}, s.trusting()...)...)
	if got.code != cli.ExitGood || strings.Count(got.out, ": ok (module "+s.digest()) != 3 || s.asked != 1 {
		t.Errorf("%d requests, %s", s.asked, got)
	}
}

func TestValidateFetchesBadModules(t *testing.T) {
	s := newServers(t)
	for name, tc := range badModules(s) {
		t.Run(name, func(t *testing.T) {
			input := plugin("good", s.web.URL+"/plugin.wasm", "") + plugin("bad", tc.url, tc.sha256)
			got := call(t, strings.NewReader(input), append([]string{"validate", "-f", "-", "--fetch"}, s.trusting()...)...)
			if got.code != tc.code || !strings.Contains(got.out, tc.want) || !strings.Contains(got.out, "shop/good: ok") {
				t.Errorf("got %s, want exit %d and %q", got, tc.code, tc.want)
			}
			// What is refused is certain, whatever could not be reached beside it.
			got = call(t, strings.NewReader(input+plugin("busy", s.web.URL+"/busy.wasm", "")+plugin("page", s.web.URL+"/page.wasm", "")),
				append([]string{"validate", "-f", "-", "--fetch", "-o", "json"}, s.trusting()...)...)
			var verdicts []offline.Verdict
			if err := json.Unmarshal([]byte(got.out), &verdicts); err != nil || len(verdicts) != 4 || got.code != cli.ExitRefused {
				t.Fatalf("%v: %s", err, got)
			}
			if verdicts[0].Module == nil || verdicts[0].Module.Digest != s.digest() || verdicts[2].Result != offline.ResultFailed || verdicts[3].Reason != string(module.NotWasm) {
				t.Errorf("unexpected verdicts: %s", got.out)
			}
		})
	}
}

func TestValidateWithoutFetchAsksNobody(t *testing.T) {
	s := newServers(t)
	got := call(t, strings.NewReader(plugin("absent", s.web.URL+"/absent.wasm", "")), "validate", "-f", "-")
	if got.code != cli.ExitGood || s.asked != 0 {
		t.Errorf("%d requests, %s", s.asked, got)
	}
}

func TestPullSecretOfTheInput(t *testing.T) {
	s := newServers(t)
	secret := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: regcred, namespace: shop}\ntype: kubernetes.io/dockerconfigjson\ndata: {.dockerconfigjson: %s}\n",
		base64.StdEncoding.EncodeToString(s.dockerConfig))
	trusting := s.trusting()[:3] // without credentials
	for name, want := range map[string]int{"imagePullSecret: regcred": cli.ExitGood, "": cli.ExitRefused, "imagePullSecret: other": cli.ExitRefused} {
		input := secret + strings.Replace(plugin("image", s.image(), ""), "spec: {", "spec: {"+name+", ", 1)
		input = strings.Replace(input, "spec: {, ", "spec: {", 1)
		got := call(t, strings.NewReader(input), append([]string{"validate", "-f", "-", "--fetch", "--store-url", "http://store.example.com"}, trusting...)...)
		if got.code != want {
			t.Errorf("with %q: %s, want exit %d", name, got, want)
		}
	}
}
