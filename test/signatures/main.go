// SPDX-License-Identifier: Apache-2.0

// Command signatures writes the signatures that the tests of internal/signature verify, made by cosign itself:
//
//	go run ./test/signatures "$(hack/tool cosign)" >internal/signature/testdata/cosign.json
//
// The registry and the Sigstore that it signs with are started for the purpose, and no private key is kept.
package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// Fixtures are what the tests read.
type Fixtures struct {
	// Image and Other are digests of manifests.
	Image, Other string
	// Keys are public keys in PEM, by name.
	Keys map[string]string
	// TrustRoots are trusted_root.json: "private" of the Sigstore that signed, "timestamps" of it without its logs, "stranger"
	// of another.
	TrustRoots map[string]json.RawMessage
	// Signatures are what the registry held, by case.
	Signatures map[string][]module.Attachment
}

const (
	password = "COSIGN_PASSWORD=generated-and-thrown-away"
	email    = "alice@example.com"
	issuer   = "https://accounts.example.com"
)

type generator struct {
	cosign, dir, registry string
	sigstore              *httptest.Server
	fixtures              Fixtures
	count                 int
}

func main() {
	services, stranger := newSigstore(), newSigstore()
	images := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	g := &generator{
		cosign: os.Args[1], dir: must(os.MkdirTemp("", "signatures")), registry: strings.TrimPrefix(images.URL, "http://"),
		sigstore: httptest.NewServer(services),
		fixtures: Fixtures{Keys: map[string]string{}, Signatures: map[string][]module.Attachment{}},
	}
	defer func() { check(os.RemoveAll(g.dir)) }()
	g.fixtures.TrustRoots = map[string]json.RawMessage{
		"private": services.trustedRoot(g.sigstore.URL, true), "timestamps": services.trustedRoot(g.sigstore.URL, false),
		"stranger": stranger.trustedRoot(g.sigstore.URL, true),
	}
	g.write("trusted_root.json", g.fixtures.TrustRoots["private"])
	g.write("none.json", []byte(`{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}`))
	g.write("services.json", g.services())
	g.write("ct.pub", []byte(inPEM("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(services.ctKey.Public())))))
	g.write("ca.pem", []byte(inPEM("CERTIFICATE", services.authority.Raw)+inPEM("CERTIFICATE", services.root.Raw)))
	for _, known := range services.rekor.RekorLogs() {
		g.write("rekor.pub", []byte(inPEM("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(known.PublicKey)))))
	}

	g.run("", "generate-key-pair", "--output-key-prefix=ecdsa")
	g.importKey("p384", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))
	g.importKey("rsa", must(rsa.GenerateKey(rand.Reader, 3072)))
	_, edwards := must2(ed25519.GenerateKey(rand.Reader))
	g.importKey("ed25519", edwards)
	image := must(random.Image(64, 1))
	for _, key := range []string{"ecdsa", "p384", "rsa", "ed25519"} {
		g.fixtures.Keys[key] = string(must(os.ReadFile(filepath.Join(g.dir, key+".pub"))))
		if key != "ed25519" { // cosign 3.1 signs bundles with Ed25519ph, and then refuses them itself
			g.bundle("bundle by "+key, image, "--key="+key+".key")
		}
		g.tag("tag by "+key, image, "--key="+key+".key", "--tlog-upload=false")
	}
	g.fixtures.Image = must(image.Digest()).String()
	other := must(random.Image(64, 1))
	g.fixtures.Other = must(other.Digest()).String()
	g.bundle("bundle of another", other, "--key=ecdsa.key")
	g.tag("tag of another", other, "--key=ecdsa.key", "--tlog-upload=false")
	g.keyless(image)
	g.attest(image)
	g.blob("manifest by ecdsa", must(image.RawManifest()))

	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	check(encoder.Encode(g.fixtures))
}

// services is cosign's configuration for the private Sigstore.
func (g *generator) services() []byte {
	service := func(path string) []map[string]any {
		return []map[string]any{{
			"url": g.sigstore.URL + path, "majorApiVersion": 1, "operator": "tests", "validFor": map[string]string{"start": "2020-01-01T00:00:00Z"},
		}}
	}
	anyOne := map[string]string{"selector": "ANY"}
	return must(json.Marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		"caUrls":    service(""), "rekorTlogUrls": service(""), "tsaUrls": service("/api/v1/timestamp"),
		"rekorTlogConfig": anyOne, "tsaConfig": anyOne,
	}))
}

func (g *generator) keyless(image v1.Image) {
	token := "--identity-token=" + strings.Join([]string{
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)),
		base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iss":%q,"sub":"alice","email":%q,"email_verified":true,"aud":"sigstore","exp":4102444800}`, issuer, email)),
		base64.RawURLEncoding.EncodeToString([]byte("signature")),
	}, ".")
	g.sign("keyless bundle", image, "--signing-config=services.json", "--trusted-root=trusted_root.json", token)
	g.tag("keyless tag", image, token, "--fulcio-url="+g.sigstore.URL, "--rekor-url="+g.sigstore.URL)
	g.tag("keyless tag with a timestamp", image, token, "--fulcio-url="+g.sigstore.URL, "--rekor-url="+g.sigstore.URL,
		"--timestamp-server-url="+g.sigstore.URL+"/api/v1/timestamp")
}

func (g *generator) attest(image v1.Image) {
	g.write("predicate.json", []byte(`{"result": "the scan has found 12 vulnerabilities"}`))
	target := g.push(image)
	g.run(target, "attest", "--yes", "--key=ecdsa.key", "--signing-config=none.json", "--trusted-root=trusted_root.json", "--allow-http-registry",
		"--predicate=predicate.json", "--type=https://example.com/scan/v1")
	// What the index says of it would keep it from being read.
	g.fixtures.Signatures["attestation by ecdsa"] = []module.Attachment{{Bundle: g.referrer(target)}}
}

// blob signs a file. Its bundle names the digest of the file, as that of an image's manifest would.
func (g *generator) blob(title string, content []byte) {
	g.write("blob", content)
	g.run("", "sign-blob", "--yes", "--key=ecdsa.key", "--signing-config=none.json", "--trusted-root=trusted_root.json", "--bundle=blob.json", "blob")
	g.fixtures.Signatures[title] = []module.Attachment{{Bundle: must(os.ReadFile(filepath.Join(g.dir, "blob.json")))}}
}

func (g *generator) bundle(title string, image v1.Image, args ...string) {
	g.sign(title, image, append(args, "--signing-config=none.json", "--trusted-root=trusted_root.json")...)
}

func (g *generator) tag(title string, image v1.Image, args ...string) {
	g.sign(title, image, append(args, "--new-bundle-format=false", "--use-signing-config=false")...)
}

func (g *generator) sign(title string, image v1.Image, args ...string) {
	target := g.push(image)
	g.run(target, append([]string{"sign", "--yes", "--allow-http-registry"}, args...)...)
	fetcher := module.New(module.Options{AllowLoopback: true, Insecure: []string{g.registry}})
	ref := must(module.Parse(target, ""))
	found := must(fetcher.Signatures(context.Background(), ref, []string{must(image.Digest()).String()}, nil))
	if len(found) != 1 {
		log.Fatalf("%s: %d signatures", title, len(found))
	}
	g.fixtures.Signatures[title] = found
}

// push gives each case a repository of its own.
func (g *generator) push(image v1.Image) string {
	g.count++
	target := fmt.Sprintf("%s/image-%d@%s", g.registry, g.count, must(image.Digest()))
	check(remote.Write(must(name.ParseReference(target)), image))
	return target
}

func (g *generator) referrer(target string) []byte {
	digest := must(name.NewDigest(target))
	index := must(must(remote.Referrers(digest)).IndexManifest())
	image := must(remote.Image(digest.Context().Digest(index.Manifests[0].Digest.String())))
	return must(io.ReadAll(must(must(image.Layers())[0].Compressed())))
}

func (g *generator) importKey(name string, key any) {
	g.write(name+".pem", []byte(inPEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))))
	g.run("", "import-key-pair", "--key="+name+".pem", "--output-key-prefix="+name)
}

func (g *generator) run(target string, args ...string) {
	if target != "" {
		args = append(args, target)
	}
	command := exec.Command(g.cosign, args...)
	command.Dir = g.dir
	command.Env = append(os.Environ(), password, "HOME="+g.dir, "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=ct.pub", "SIGSTORE_ROOT_FILE=ca.pem",
		"SIGSTORE_REKOR_PUBLIC_KEY=rekor.pub")
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		log.Fatalf("cosign %s: %v\n%s", strings.Join(args, " "), err, output.String())
	}
}

func (g *generator) write(file string, content []byte) {
	check(os.WriteFile(filepath.Join(g.dir, file), content, 0o600))
}

func inPEM(kind string, content []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func must2[T, U any](one T, two U, err error) (T, U) {
	check(err)
	return one, two
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
