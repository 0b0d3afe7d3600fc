// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// signaturePredicate is what cosign states of an image that it signs. Whoever states something else, such as what is in it,
// has not said that it may run.
const signaturePredicate = "https://sigstore.dev/cosign/sign/v1"

// signature is one signature of one of the manifests that it may be of. Nothing is verified yet.
type signature struct {
	// digest is the manifest's, as bytes.
	digest []byte
	// payload is what was signed in cosign's older layout; it names the digest.
	payload []byte
	// ofDigest says that the digest itself was signed, without a statement around it.
	ofDigest bool
	// withKey and withCertificate are the signature as one made with a key, and as one made with a certificate. In the older
	// layout it may be meant as both.
	withKey, withCertificate *bundle.Bundle
}

// content is what the signature must be of.
func (s *signature) content() verify.ArtifactPolicyOption {
	if s.payload != nil {
		return verify.WithArtifact(bytes.NewReader(s.payload))
	}
	return verify.WithArtifactDigest("sha256", s.digest)
}

// read finds out what an attachment is meant to be.
func read(digests []string, attachment module.Attachment) (*signature, reason) {
	switch {
	case attachment.Bundle != nil:
		return readBundle(digests, attachment.Bundle)
	case attachment.Payload != nil:
		return readPayload(digests, attachment)
	default:
		return nil, unreadable
	}
}

// readBundle reads a Sigstore bundle. What it states and of what is taken from the very bytes that are verified later.
func readBundle(digests []string, content []byte) (*signature, reason) {
	parsed := &bundle.Bundle{}
	if err := parsed.UnmarshalJSON(content); err != nil {
		return nil, unreadable
	}
	material, err := parsed.VerificationContent()
	if err != nil {
		return nil, unreadable
	}
	claimed, predicate, err := claims(parsed)
	if err != nil {
		return nil, unreadable
	}
	signed := &signature{ofDigest: predicate == ""}
	if signed.digest = firstOf(digests, claimed); signed.digest == nil {
		return nil, anotherImage
	}
	if !signed.ofDigest && predicate != signaturePredicate {
		return nil, attestation
	}
	if material.Certificate() != nil {
		signed.withCertificate = parsed
	} else {
		signed.withKey = parsed
	}
	return signed, ""
}

// claims are the SHA-256 digests that a bundle says it is of, in hex, and what it states of them; "" where it states
// nothing and signs them as they are.
func claims(parsed *bundle.Bundle) (digests []string, predicate string, err error) {
	signed, err := parsed.SignatureContent()
	if err != nil {
		return nil, "", err
	}
	if message := signed.MessageSignatureContent(); message != nil {
		return []string{hex.EncodeToString(message.Digest())}, "", nil
	}
	content, err := signed.EnvelopeContent().RawEnvelope().DecodeB64Payload()
	if err != nil {
		return nil, "", err
	}
	var statement struct {
		PredicateType string `json:"predicateType"`
		Subject       []struct {
			Digest struct {
				SHA256 string `json:"sha256"`
			} `json:"digest"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(content, &statement); err != nil {
		return nil, "", err
	}
	for _, subject := range statement.Subject {
		digests = append(digests, subject.Digest.SHA256)
	}
	return digests, cmp.Or(statement.PredicateType, "none"), nil
}

// firstOf is the first of the manifests' digests that a signature says it is of, as bytes.
func firstOf(digests, claimed []string) []byte {
	for _, digest := range digests {
		pin, isSHA256 := strings.CutPrefix(digest, "sha256:")
		if raw, err := hex.DecodeString(pin); isSHA256 && err == nil && len(raw) == sha256.Size && slices.Contains(claimed, pin) {
			return raw
		}
	}
	return nil
}
