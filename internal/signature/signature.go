// SPDX-License-Identifier: Apache-2.0

// Package signature decides whether an image was signed with cosign by one of those who may sign it: the holder of a key,
// or somebody whom an issuer of identities knows (keyless). It asks nobody: what a registry holds is passed in, and a trust
// root says which authorities and logs of Sigstore count.
package signature

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// maxVerifiedBy is the bound of the field of the status that says who signed, in characters.
const maxVerifiedBy = 256

// Policy says who may sign a module: any one of the keys and identities.
type Policy struct {
	Keys       []Key
	Identities []Identity
	// TrustRoot is Sigstore's trusted_root.json, which identities are checked against. Keys need none.
	TrustRoot []byte
}

// Key is a public key in PEM.
type Key struct {
	// Name is what the key is called in messages, such as spec.verification.keys[0].
	Name string
	PEM  []byte
}

// Identity is a signer and who vouches for them. Of each pair one is set; the regular expressions must match the whole.
type Identity struct {
	Issuer, IssuerRegExp   string
	Subject, SubjectRegExp string
}

// Check says whether the policy itself can be meant. Verify does so too.
func (p Policy) Check() error {
	_, err := p.compile()
	return err
}

// Verify says which key or identity has signed an image of which one of the manifests' digests (sha256:…) is given, for
// people to read. The error is a *module.Error.
func (p Policy) Verify(digests []string, found []module.Attachment) (verifiedBy string, err error) {
	signers, err := p.compile()
	if err != nil {
		return "", err
	}
	refused := tally{}
	for _, attachment := range found {
		by, why := signers.judge(digests, attachment)
		if why == "" {
			return by, nil
		}
		refused[why]++
	}
	return "", refused.err(digests, len(found))
}

// reason is why a signature does not count.
type reason string

const (
	unreadable    reason = "unreadable"
	anotherImage  reason = "of another image"
	attestation   reason = "attestations, which state something else"
	anotherKey    reason = "of another key"
	anotherSigner reason = "of another identity"
	untrusted     reason = "with a certificate, log entry or time that the trust root does not vouch for"
)

// judge says who made a signature, or why it doesn't count.
func (s *signers) judge(digests []string, attachment module.Attachment) (by string, why reason) {
	signed, why := read(digests, attachment)
	if why != "" {
		return "", why
	}
	if signed.withKey != nil {
		why = anotherKey
		for _, key := range s.keys {
			if key.hasSigned(signed) {
				return "cosign key " + printable(key.name), ""
			}
		}
	}
	if signed.withCertificate == nil {
		return "", why
	}
	if s.identities == nil {
		return "", anotherSigner
	}
	return s.identities.judge(signed)
}

// tally counts refused signatures.
type tally map[reason]int

func (t tally) err(digests []string, looked int) error {
	image := strings.Join(digests, " or ")
	if looked == 0 {
		return module.NewError(module.NotSigned, "the registry holds no signature of %s; sign it with cosign sign, by its digest", image)
	}
	var counts []string
	for _, why := range []reason{unreadable, anotherImage, attestation, anotherKey, anotherSigner, untrusted} {
		if t[why] > 0 {
			counts = append(counts, fmt.Sprintf("%s: %d", why, t[why]))
		}
	}
	return module.NewError(module.NotSigned, "none of the %d signatures that were looked at counts (%s); sign %s with a key or an identity of "+
		"spec.verification", looked, strings.Join(counts, ", "), image)
}

// describe names the signer that a certificate is about. The issuer has checked the name, and may still write what it likes.
func describe(result *verify.VerificationResult) string {
	certificate := result.Signature.Certificate
	return "cosign identity " + printable(certificate.SubjectAlternativeName+" ("+certificate.Issuer+")")
}

func printable(text string) string {
	const room = maxVerifiedBy - len("cosign identity ")
	characters := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text))
	if len(characters) > room {
		return string(characters[:room-1]) + "…"
	}
	return string(characters)
}
