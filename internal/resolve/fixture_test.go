// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/signature"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const (
	imageURL = "oci://registry.example.com/auth:1"
	webURL   = "https://plugins.example.com/auth.wasm"
	storeURL = "store://auth:1"
	// pullSecretValue is what no module, verdict or message may hold.
	pullSecretValue = "hunter2-is-nobodys-business"
)

// calls are what was asked of all outside, in its order.
type calls struct {
	mutex sync.Mutex
	list  []string
}

func (c *calls) add(format string, args ...any) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

// take returns them, and begins anew.
func (c *calls) take() []string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	taken := c.list
	c.list = nil
	return taken
}

// outside is a registry, a web server, a checker and a store, as the resolver meets them.
type outside struct {
	calls
	memory *module.Memory
	// content are the modules by what a reference leads to: a tag, a digest, an address.
	content map[string]string
	// unsigned are manifests that nobody signed.
	unsigned map[string]bool
	// errs are answers, by call.
	errs map[string]error
	// refuses are modules that don't start, by content; unsure the calls that only a proxy knows.
	refuses map[string]drystart.Verdict
	unsure  string
	started []drystart.Request
	// stored are the modules that proxies can fetch, by path; uploads those that tenants put there, by name.
	stored  map[string]string
	uploads map[string]string
}

func newOutside() *outside {
	return &outside{
		memory:   module.NewMemory(module.Limits{}),
		content:  map[string]string{imageURL: "one", webURL: "one"},
		unsigned: map[string]bool{}, errs: map[string]error{}, refuses: map[string]drystart.Verdict{},
		stored: map[string]string{}, uploads: map[string]string{storeURL: uploaded("one")},
	}
}

// answer notes a call, and is the error that it gets.
func (o *outside) answer(ctx context.Context, format string, args ...any) error {
	call := fmt.Sprintf(format, args...)
	o.add("%s", call)
	for prefix, err := range o.errs {
		if strings.HasPrefix(call, prefix) {
			return err
		}
	}
	return ctx.Err()
}

// manifestOf is the digest of the image that holds a module.
func manifestOf(content string) string { return digestOf("manifest of " + content) }

func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// contentAt is what a reference leads to now. An image stays under its digest.
func (o *outside) contentAt(ref module.Reference) string {
	if content, known := o.content[ref.String()]; known {
		return content
	}
	_, digest, _ := strings.Cut(ref.String(), "@")
	for _, content := range []string{"one", "two", "bad"} {
		if manifestOf(content) == digest {
			return content
		}
	}
	return ""
}

// Fetch implements Fetcher.
func (o *outside) Fetch(ctx context.Context, ref module.Reference, pullSecret []byte) (*module.Module, error) {
	if err := o.answer(ctx, "fetch %s%s", ref, withSecret(pullSecret)); err != nil {
		return nil, err
	}
	content := o.contentAt(ref)
	found, err := o.memory.Read("shop", strings.NewReader(content))
	if err != nil {
		return nil, err
	}
	found.ABI, found.Source = "0.2.1", ref.String()+"@"+digestOf(content)
	if ref.OCI() {
		found.ManifestDigest, found.ResolvedDigest = manifestOf(content), manifestOf(content)
		found.Source = "oci://registry.example.com/auth@" + manifestOf(content)
	}
	return found, nil
}

// Resolve implements Fetcher.
func (o *outside) Resolve(ctx context.Context, ref module.Reference, pullSecret []byte) (string, error) {
	if err := o.answer(ctx, "resolve %s%s", ref, withSecret(pullSecret)); err != nil {
		return "", err
	}
	return manifestOf(o.contentAt(ref)), nil
}

// Signatures implements Fetcher: cosign's, with the key of the test, of each image that somebody signed.
func (o *outside) Signatures(ctx context.Context, _ module.Reference, digests []string, pullSecret []byte) ([]module.Attachment, error) {
	if err := o.answer(ctx, "signatures %s%s", short(digests...), withSecret(pullSecret)); err != nil {
		return nil, err
	}
	var found []module.Attachment
	for _, digest := range digests {
		if o.unsigned[digest] {
			continue
		}
		payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"registry.example.com/auth"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, digest)
		hash := sha256.Sum256(payload)
		signed, err := ecdsa.SignASN1(rand.Reader, signer(), hash[:])
		if err != nil {
			return nil, err
		}
		found = append(found, module.Attachment{
			Payload: payload, Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signed)},
		})
	}
	return found, nil
}

// signer is the key with which images are signed.
var signer = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// signerPolicy asks for its signature.
func signerPolicy() signature.Policy {
	encoded, err := x509.MarshalPKIXPublicKey(signer().Public())
	if err != nil {
		panic(err)
	}
	return signature.Policy{Keys: []signature.Key{{
		Name: "spec.verification.keys[0]", PEM: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: encoded}),
	}}}
}

// Check implements Checker.
func (o *outside) Check(ctx context.Context, request drystart.Request) ([]drystart.Verdict, error) {
	if err := o.answer(ctx, "check %s", request.Module); err != nil {
		return nil, err
	}
	o.started = append(o.started, request)
	verdict, refuses := o.refuses[string(request.Module)]
	switch {
	case refuses:
	case o.unsure != "":
		verdict = drystart.Verdict{Outcome: drystart.Inconclusive, Call: o.unsure}
	default:
		verdict = drystart.Verdict{Outcome: drystart.Accepted}
	}
	return []drystart.Verdict{verdict}, nil
}

// Put implements Store.
func (o *outside) Put(ctx context.Context, digest, capability string, content []byte) error {
	if err := o.answer(ctx, "put %s", content); err != nil {
		return err
	}
	o.stored[store.Path(digest, capability)] = string(content)
	return nil
}

// Get implements Store.
func (o *outside) Get(ctx context.Context, digest, capability string) (io.ReadCloser, error) {
	if err := o.answer(ctx, "get %s", short(digest)); err != nil {
		return nil, err
	}
	content, has := o.stored[store.Path(digest, capability)]
	if !has {
		return nil, &store.Error{Kind: store.NotFound}
	}
	return io.NopCloser(strings.NewReader(content)), nil
}

// Tag implements Store.
func (o *outside) Tag(ctx context.Context, namespace, name, tag string) (string, int64, error) {
	if err := o.answer(ctx, "tag %s/%s:%s", namespace, name, tag); err != nil {
		return "", 0, err
	}
	content := o.uploads[storeScheme+name+":"+tag]
	return digestOf(content), int64(len(content)), nil
}

// Tagged implements Store.
func (o *outside) Tagged(ctx context.Context, namespace, name, digest string) (io.ReadCloser, error) {
	if err := o.answer(ctx, "read %s/%s@%s", namespace, name, short(digest)); err != nil {
		return nil, err
	}
	for _, content := range o.uploads {
		if digestOf(content) == digest {
			return io.NopCloser(strings.NewReader(content)), nil
		}
	}
	return nil, &store.Error{Kind: store.NotFound}
}

func withSecret(pullSecret []byte) string {
	if pullSecret == nil {
		return ""
	}
	return " with a secret"
}

// short writes digests so that a call can be read.
func short(digests ...string) string {
	names := map[string]string{}
	for _, content := range []string{"one", "two", "bad"} {
		names[digestOf(content)], names[manifestOf(content)] = content, "image of "+content
		names[digestOf(uploaded(content))] = "uploaded " + content
	}
	var words []string
	for _, digest := range digests {
		words = append(words, names[digest])
	}
	return strings.Join(words, ", ")
}

// uploaded is a module with a name, which the operator can tell to be one.
func uploaded(name string) string {
	const (
		magic = "\x00asm\x01\x00\x00\x00"
		types = "\x01\x04\x01\x60\x00\x00"
		funcs = "\x03\x02\x01\x00"
		body  = "\x0a\x04\x01\x02\x00\x0b"
	)
	const exports = "\x07\x24\x02\x17proxy_abi_version_0_2_1\x00\x00\x06malloc\x00\x00"
	const custom = "\x00\x09\x05build" // of three letters
	return magic + types + funcs + exports + body + custom + name
}
