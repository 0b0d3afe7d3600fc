// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

func TestSignaturesOfCosignAreAccepted(t *testing.T) {
	f := load(t)
	const byAlice = "cosign identity alice@example.com (https://accounts.example.com)"
	tests := map[string]struct {
		policy Policy
		found  []string
		want   string
	}{
		"bundle, ECDSA":              {f.policy([]string{"ecdsa"}, ""), []string{"bundle by ecdsa"}, "cosign key keys.ecdsa"},
		"bundle, ECDSA P-384":        {f.policy([]string{"p384"}, ""), []string{"bundle by p384"}, "cosign key keys.p384"},
		"bundle, RSA":                {f.policy([]string{"rsa"}, ""), []string{"bundle by rsa"}, "cosign key keys.rsa"},
		"tag, ECDSA":                 {f.policy([]string{"ecdsa"}, ""), []string{"tag by ecdsa"}, "cosign key keys.ecdsa"},
		"tag, ECDSA P-384":           {f.policy([]string{"p384"}, ""), []string{"tag by p384"}, "cosign key keys.p384"},
		"tag, RSA":                   {f.policy([]string{"rsa"}, ""), []string{"tag by rsa"}, "cosign key keys.rsa"},
		"tag, Ed25519":               {f.policy([]string{"ed25519"}, ""), []string{"tag by ed25519"}, "cosign key keys.ed25519"},
		"the manifest as a file":     {f.policy([]string{"ecdsa"}, ""), []string{"manifest by ecdsa"}, "cosign key keys.ecdsa"},
		"the second of two keys":     {f.policy([]string{"rsa", "ecdsa"}, ""), []string{"bundle by ecdsa"}, "cosign key keys.ecdsa"},
		"the last of others":         {f.policy([]string{"rsa"}, ""), []string{"tag by ecdsa", "bundle of another", "attestation by ecdsa", "bundle by rsa"}, "cosign key keys.rsa"},
		"identity, bundle":           {f.policy(nil, "private", alice), []string{"keyless bundle"}, byAlice},
		"identity, tag":              {f.policy(nil, "private", alice), []string{"keyless tag"}, byAlice},
		"identity, expressions":      {f.policy(nil, "private", anyone), []string{"keyless tag"}, byAlice},
		"the second identity":        {f.policy(nil, "private", bob, alice), []string{"keyless bundle"}, byAlice},
		"a timestamp, no log":        {f.policy(nil, "timestamps", alice), []string{"keyless bundle"}, byAlice},
		"a timestamp, no log, tag":   {f.policy(nil, "timestamps", alice), []string{"keyless tag with a timestamp"}, byAlice},
		"a log and a timestamp, tag": {f.policy(nil, "private", alice), []string{"keyless tag with a timestamp"}, byAlice},
		"a key or an identity":       {f.policy([]string{"rsa"}, "private", alice), []string{"bundle by ecdsa", "keyless bundle"}, byAlice},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			// The first digest stands for an index that is not signed, while an image of it is.
			by, err := tc.policy.Verify([]string{f.Other, f.Image}, f.found(t, slices.DeleteFunc(slices.Clone(tc.found), func(c string) bool { return c == "bundle of another" })...))
			if err != nil || by != tc.want {
				t.Errorf("got %q, %v; want %q", by, err, tc.want)
			}
			by, err = tc.policy.Verify([]string{f.Image}, f.found(t, tc.found...))
			if err != nil || by != tc.want {
				t.Errorf("alone: got %q, %v; want %q", by, err, tc.want)
			}
		})
	}
}

func TestOtherSignaturesAreRefused(t *testing.T) {
	f := load(t)
	tests := map[string]struct {
		policy Policy
		found  []string
		want   string
	}{
		"none":                          {f.policy([]string{"ecdsa"}, ""), nil, "holds no signature"},
		"bundle of another image":       {f.policy([]string{"ecdsa"}, ""), []string{"bundle of another"}, "of another image: 1"},
		"tag of another image":          {f.policy([]string{"ecdsa"}, ""), []string{"tag of another"}, "of another image: 1"},
		"bundle of another key":         {f.policy([]string{"ecdsa"}, ""), []string{"bundle by rsa", "bundle by p384"}, "of another key: 2"},
		"tag of another key":            {f.policy([]string{"ecdsa", "rsa"}, ""), []string{"tag by ed25519"}, "of another key: 1"},
		"a statement, no signature":     {f.policy([]string{"ecdsa"}, ""), []string{"attestation by ecdsa"}, "which state something else: 1"},
		"another subject":               {f.policy(nil, "private", bob), []string{"keyless bundle", "keyless tag"}, "of another identity: 2"},
		"another issuer":                {f.policy(nil, "private", aliceOfElse), []string{"keyless bundle"}, "of another identity: 1"},
		"another Sigstore, bundle":      {f.policy(nil, "stranger", alice), []string{"keyless bundle"}, "the trust root does not vouch for: 1"},
		"another Sigstore, tag":         {f.policy(nil, "stranger", alice), []string{"keyless tag"}, "the trust root does not vouch for: 1"},
		"no timestamp":                  {f.policy(nil, "timestamps", alice), []string{"keyless tag"}, "the trust root does not vouch for: 1"},
		"an identity where keys count":  {f.policy([]string{"ecdsa"}, ""), []string{"keyless bundle"}, "of another identity: 1"},
		"a key where identities count":  {f.policy(nil, "private", anyone), []string{"bundle by ecdsa"}, "of another key: 1"},
		"a trust root is not enough":    {f.policy([]string{"rsa"}, "private"), []string{"keyless bundle"}, "of another identity: 1"},
		"part of an expression":         {f.policy(nil, "private", Identity{Issuer: alice.Issuer, SubjectRegExp: "lice@example"}), []string{"keyless bundle"}, "of another identity: 1"},
		"an alternative's part":         {f.policy(nil, "private", Identity{Issuer: alice.Issuer, SubjectRegExp: "^bob$|@example.com$"}), []string{"keyless tag"}, "of another identity: 1"},
		"all of them, each for its own": {f.policy([]string{"ecdsa"}, "private", bob), []string{"bundle of another", "bundle by rsa", "keyless tag", "attestation by ecdsa"}, "(of another image: 1, attestations, which state something else: 1, of another key: 1, of another identity: 1)"},
		"nobody may sign":               {Policy{}, []string{"bundle by ecdsa"}, "of another key: 1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			by, err := tc.policy.Verify([]string{f.Image}, f.found(t, tc.found...))
			wantKind(t, err, module.NotSigned)
			if by != "" || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), f.Image) {
				t.Errorf("got %q, %q; want %q", by, err, tc.want)
			}
		})
	}
}

func TestInvalidPolicies(t *testing.T) {
	f := load(t)
	ecdsa := f.Keys["ecdsa"]
	key := func(pem string) Policy { return Policy{Keys: []Key{{Name: "keys[0]", PEM: []byte(pem)}}} }
	identity := func(identity Identity) Policy { return f.policy(nil, "private", identity) }
	root := func(content string) Policy { return Policy{Identities: []Identity{alice}, TrustRoot: []byte(content)} }
	tests := map[string]struct {
		policy Policy
		want   module.Kind
		says   string
	}{
		"empty key":               {key(""), module.InvalidKey, "keys[0] is not in PEM form"},
		"no PEM":                  {key("hunter2"), module.InvalidKey, "keys[0] is not in PEM form"},
		"two keys":                {key(ecdsa + f.Keys["rsa"]), module.InvalidKey, "more than one"},
		"a private key":           {key(strings.ReplaceAll(ecdsa, "PUBLIC KEY", "ENCRYPTED SIGSTORE PRIVATE KEY")), module.InvalidKey, "something else than a public key"},
		"a certificate":           {key(strings.ReplaceAll(ecdsa, "PUBLIC KEY", "CERTIFICATE")), module.InvalidKey, "something else than a public key"},
		"no key in the PEM":       {key("-----BEGIN PUBLIC KEY-----\naHVudGVyMg==\n-----END PUBLIC KEY-----\n"), module.InvalidKey, "can't be read"},
		"a weak key":              {key(weakKey), module.InvalidKey, "cosign does not use"},
		"also the second":         {Policy{Keys: []Key{{"keys[0]", []byte(ecdsa)}, {"keys[1]", nil}}}, module.InvalidKey, "keys[1]"},
		"no subject":              {identity(Identity{Issuer: "x"}), module.InvalidIdentity, "identities[0]"},
		"no issuer":               {identity(Identity{SubjectRegExp: "x"}), module.InvalidIdentity, "identities[0]"},
		"no expression":           {identity(Identity{Issuer: "x", SubjectRegExp: "hunter2("}), module.InvalidIdentity, "RE2"},
		"an unbalanced one":       {identity(Identity{Issuer: "x", SubjectRegExp: "a)|(b"}), module.InvalidIdentity, "RE2"},
		"no trust root":           {root(""), module.InvalidTrustRoot, "--signature-trust-root"},
		"a trust root of nothing": {root("hunter2"), module.InvalidTrustRoot, "can't be read"},
		"an empty trust root":     {root(`{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), module.InvalidTrustRoot, "no certificate authority"},
		"a trust root of a null":  {root(`{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "certificateAuthorities": [{}]}`), module.InvalidTrustRoot, "can't be read"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, err := range []error{tc.policy.Check(), verifyError(tc.policy, f.Image, f.found(t, "bundle by ecdsa"))} {
				wantKind(t, err, tc.want)
				if !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%q, want %q", err, tc.says)
				}
			}
		})
	}
	if err := f.policy([]string{"ecdsa", "p384", "rsa", "ed25519"}, "private", alice, anyone).Check(); err != nil {
		t.Error(err)
	}
}

func verifyError(policy Policy, digest string, found []module.Attachment) error {
	_, err := policy.Verify([]string{digest}, found)
	return err
}

func TestNamesOfSignersFitTheStatus(t *testing.T) {
	long := describe(&verify.VerificationResult{Signature: &verify.SignatureVerificationResult{Certificate: &certificate.Summary{
		SubjectAlternativeName: "ü\n\x1b[31m" + strings.Repeat("é", 1000), Extensions: certificate.Extensions{Issuer: "https://accounts.example.com"},
	}}})
	if n := utf8.RuneCountInString(long); n != maxVerifiedBy || strings.ContainsAny(long, "\n\x1b") || !strings.HasPrefix(long, "cosign identity ü??[31mé") {
		t.Errorf("%d characters: %q", n, long)
	}
}
