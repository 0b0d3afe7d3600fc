// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// weakKey is RSA with 1024 bits.
var weakKey = func() string {
	key, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // Weak on purpose.
	if err != nil {
		panic(err)
	}
	return publicPEM(&key.PublicKey)
}()

func publicPEM(key any) string {
	content, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: content}))
}

// everyone trusts all that the fixtures know.
func everyone(f fixtures) Policy {
	return f.policy([]string{"ecdsa", "p384", "rsa", "ed25519"}, "private", anyone)
}

// edited is a bundle with one value of its JSON replaced.
func edited(t *testing.T, content []byte, value any, path ...string) []byte {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	at := document
	for _, step := range path[:len(path)-1] {
		next, ok := at[step].(map[string]any)
		if !ok {
			t.Fatalf("no %s in the bundle", step)
		}
		at = next
	}
	at[path[len(path)-1]] = value
	result, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func base64Of(content []byte) string { return base64.StdEncoding.EncodeToString(content) }

// A signature that is right for one image must count for no other, whatever is written around it.
func TestSignaturesCantBeMoved(t *testing.T) {
	f := load(t)
	rawOther, err := hex.DecodeString(strings.TrimPrefix(f.Other, "sha256:"))
	if err != nil {
		t.Fatal(err)
	}
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`,
		strings.TrimPrefix(f.Other, "sha256:"), signaturePredicate)
	moved := func(name string) module.Attachment {
		attachment := f.found(t, name)[0]
		attachment.Payload = bytes.ReplaceAll(attachment.Payload, []byte(f.Image), []byte(f.Other))
		return attachment
	}
	tests := map[string]struct {
		attachment module.Attachment
		want       reason
	}{
		"statement, key":      {module.Attachment{Bundle: edited(t, f.found(t, "bundle by ecdsa")[0].Bundle, base64Of(statement), "dsseEnvelope", "payload")}, anotherKey},
		"statement, identity": {module.Attachment{Bundle: edited(t, f.found(t, "keyless bundle")[0].Bundle, base64Of(statement), "dsseEnvelope", "payload")}, untrusted},
		"a file's digest": {module.Attachment{Bundle: edited(t, f.found(t, "manifest by ecdsa")[0].Bundle, base64Of(rawOther),
			"messageSignature", "messageDigest", "digest")}, anotherKey},
		"payload, key":                {moved("tag by ecdsa"), anotherKey},
		"payload, Ed25519":            {moved("tag by ed25519"), anotherKey},
		"payload, identity":           {moved("keyless tag"), untrusted},
		"payload, identity and stamp": {moved("keyless tag with a timestamp"), untrusted},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := verifyError(everyone(f), f.Other, []module.Attachment{tc.attachment})
			wantKind(t, err, module.NotSigned)
			if !strings.Contains(err.Error(), fmt.Sprintf("(%s: 1)", tc.want)) {
				t.Errorf("%q, want %q", err, tc.want)
			}
		})
	}
}

// The library that checks signatures of digests would, for a key of Ed25519, check one of the empty message, whatever the
// digest: a signed empty file would be a signature of every image.
func TestEmptyFileSignedWithEd25519IsNoImage(t *testing.T) {
	f := load(t)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(f.Image, "sha256:"))
	if err != nil {
		t.Fatal(err)
	}
	bundle := fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{"hint":""}},
		"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":%q},"signature":%q}}`,
		bundleType, base64Of(raw), base64Of(ed25519.Sign(private, nil)))
	policy := Policy{Keys: []Key{{Name: "keys[0]", PEM: []byte(publicPEM(public))}}}
	wantKind(t, verifyError(policy, f.Image, []module.Attachment{{Bundle: bundle}}), module.NotSigned)
}

// What is taken away from a signature that would count must be missed.
func TestEveryProofIsNeeded(t *testing.T) {
	f := load(t)
	without := func(name, annotation string) module.Attachment {
		attachment := f.found(t, name)[0]
		delete(attachment.Annotations, annotation)
		return attachment
	}
	swapped := f.found(t, "keyless tag")[0]
	swapped.Annotations[entryAnnotation] = f.found(t, "keyless tag with a timestamp")[0].Annotations[entryAnnotation]
	keyless := f.found(t, "keyless bundle")[0].Bundle
	tests := map[string]struct {
		attachment module.Attachment
		want       reason
	}{
		"no signature":             {without("tag by ecdsa", signatureAnnotation), unreadable},
		"no certificate":           {without("keyless tag", certificateAnnotation), anotherKey},
		"no entry in the log":      {without("keyless tag", entryAnnotation), untrusted},
		"the entry of another":     {swapped, untrusted},
		"no entry, but a time":     {without("keyless tag with a timestamp", entryAnnotation), untrusted},
		"bundle without entries":   {module.Attachment{Bundle: edited(t, keyless, []any{}, "verificationMaterial", "tlogEntries")}, untrusted},
		"bundle without a key":     {module.Attachment{Bundle: edited(t, keyless, nil, "verificationMaterial", "certificate")}, unreadable},
		"bundle without signature": {module.Attachment{Bundle: edited(t, keyless, []any{}, "dsseEnvelope", "signatures")}, untrusted},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := verifyError(everyone(f), f.Image, []module.Attachment{tc.attachment})
			wantKind(t, err, module.NotSigned)
			if !strings.Contains(err.Error(), fmt.Sprintf("(%s: 1)", tc.want)) {
				t.Errorf("%q, want %q", err, tc.want)
			}
		})
	}
}

// A trust root is as good as its parts: with one of another Sigstore, what that part vouches for is not proven.
func TestEveryPartOfTheTrustRootCounts(t *testing.T) {
	f := load(t)
	for _, part := range []string{"certificateAuthorities", "ctlogs", "tlogs"} {
		var strange map[string]any
		if err := json.Unmarshal(f.TrustRoots["stranger"], &strange); err != nil || strange[part] == nil {
			t.Fatal(part, err)
		}
		policy := f.policy(nil, "private", alice)
		policy.TrustRoot = edited(t, policy.TrustRoot, strange[part], part)
		for _, name := range []string{"keyless bundle", "keyless tag", "keyless tag with a timestamp"} {
			err := verifyError(policy, f.Image, f.found(t, name))
			wantKind(t, err, module.NotSigned)
			if !strings.Contains(err.Error(), fmt.Sprintf("(%s: 1)", untrusted)) {
				t.Errorf("%s, %s: %q", part, name, err)
			}
		}
	}
}

// Older releases of cosign signed with these keys in another way than the one that made the fixtures.
func TestSignaturesOfOlderReleases(t *testing.T) {
	f := load(t)
	attachment := f.found(t, "tag by ecdsa")[0]
	sum := sha256.Sum256(attachment.Payload)
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ofCurve, err := ecdsa.SignASN1(rand.Reader, curve, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		public    any
		signature []byte
	}{
		"P-384 with SHA-256":      {&curve.PublicKey, ofCurve},
		"Ed25519 without hashing": {public, ed25519.Sign(private, attachment.Payload)},
	} {
		t.Run(name, func(t *testing.T) {
			attachment.Annotations = map[string]string{signatureAnnotation: base64Of(tc.signature)}
			policy := Policy{Keys: []Key{{Name: "keys[0]", PEM: []byte(publicPEM(tc.public))}}}
			if err := verifyError(policy, f.Image, []module.Attachment{attachment}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGarbageIsUnreadable(t *testing.T) {
	f := load(t)
	nested := strings.Repeat(`{"hunter2":[`, 20_000)
	payloadOf := func(content string) module.Attachment {
		return module.Attachment{Payload: []byte(content), Annotations: map[string]string{signatureAnnotation: "aHVudGVyMg=="}}
	}
	tests := map[string]module.Attachment{
		"nothing":                  {},
		"empty bundle":             {Bundle: []byte{}},
		"a word":                   {Bundle: []byte("hunter2")},
		"null":                     {Bundle: []byte("null")},
		"an empty object":          {Bundle: []byte("{}")},
		"deep":                     {Bundle: []byte(nested)},
		"another version":          {Bundle: []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v9.9+json"}`)},
		"no content":               {Bundle: fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{}}}`, bundleType)},
		"no certificate":           {Bundle: fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"certificate":{"rawBytes":"aHVudGVyMg=="}},"dsseEnvelope":{"payload":"e30="}}`, bundleType)},
		"an entry of nothing":      {Bundle: fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{},"tlogEntries":[{}]},"dsseEnvelope":{"payload":"e30="}}`, bundleType)},
		"very many entries":        {Bundle: fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{},"tlogEntries":[%s{}]},"dsseEnvelope":{"payload":"e30="}}`, bundleType, strings.Repeat("{},", 50_000))},
		"a statement of nothing":   {Bundle: fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{}},"dsseEnvelope":{"payload":"aHVudGVyMg=="}}`, bundleType)},
		"a payload of nothing":     payloadOf("hunter2"),
		"an empty payload":         payloadOf(""),
		"a deep payload":           payloadOf(nested),
		"a payload of another use": payloadOf(`{"critical":{"type":"hunter2","image":{"docker-manifest-digest":"` + f.Image + `"}}}`),
	}
	for name, attachment := range tests {
		t.Run(name, func(t *testing.T) {
			err := verifyError(everyone(f), f.Image, []module.Attachment{attachment})
			wantKind(t, err, module.NotSigned)
			if !strings.Contains(err.Error(), "(unreadable: 1)") || strings.Contains(err.Error(), "hunter2") {
				t.Error(err)
			}
		})
	}
	t.Run("broken annotations", func(t *testing.T) {
		for _, annotation := range []string{certificateAnnotation, entryAnnotation} {
			for _, content := range []string{"hunter2", "{}", "null", `{"Payload":{"body":"e30=","logID":"00"}}`, "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n", nested} {
				attachment := f.found(t, "keyless tag")[0]
				attachment.Annotations[annotation] = content
				err := verifyError(everyone(f), f.Image, []module.Attachment{attachment})
				wantKind(t, err, module.NotSigned)
				if strings.Contains(err.Error(), "hunter2") {
					t.Error(err)
				}
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	known := load(f)
	for _, found := range known.Signatures {
		for _, attachment := range found {
			annotations, err := json.Marshal(attachment.Annotations)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(attachment.Bundle, attachment.Payload, annotations)
		}
	}
	policy, unsigned := everyone(known), "sha256:"+strings.Repeat("a", 64)
	f.Fuzz(func(t *testing.T, bundle, payload, annotations []byte) {
		attachment := module.Attachment{Bundle: bundle, Payload: payload}
		if len(bundle) == 0 {
			attachment.Bundle = nil
		}
		if json.Unmarshal(annotations, &attachment.Annotations) != nil {
			attachment.Annotations = nil
		}
		if by, err := policy.Verify([]string{known.Image}, []module.Attachment{attachment}); (by == "") != (module.KindOf(err) == module.NotSigned) {
			t.Fatalf("neither signed nor not: %q, %v", by, err)
		}
		// The digests that are signed are written over, so that a mutation gets as far as the signature itself.
		for _, signed := range []string{known.Image, known.Other} {
			attachment.Payload = bytes.ReplaceAll(attachment.Payload, []byte(signed), []byte(unsigned))
		}
		if len(payload) == 0 {
			attachment.Payload = nil
		}
		by, err := policy.Verify([]string{unsigned}, []module.Attachment{attachment})
		if by != "" || module.KindOf(err) != module.NotSigned {
			t.Fatalf("an image that nobody signed: %q, %v", by, err)
		}
	})
}
