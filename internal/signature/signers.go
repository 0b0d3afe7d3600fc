// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"io"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// signers are those who may sign, ready to check signatures.
type signers struct {
	keys       []*keyHolder
	identities *identities
}

func (p Policy) compile() (*signers, error) {
	compiled := &signers{}
	for _, key := range p.Keys {
		holder, err := key.compile()
		if err != nil {
			return nil, err
		}
		compiled.keys = append(compiled.keys, holder)
	}
	var err error
	if len(p.Identities) > 0 {
		compiled.identities, err = compileIdentities(p.Identities, p.TrustRoot)
	}
	return compiled, err
}

// keyHolder is whoever holds the private key of a public one.
type keyHolder struct {
	name     string
	verifier *verify.Verifier
	// whole says that the algorithm signs whole messages, and not digests.
	whole bool
}

func (k Key) compile() (*keyHolder, error) {
	public, err := k.parse()
	if err != nil {
		return nil, err
	}
	verifiers, err := verifiersOf(public)
	if err != nil {
		return nil, k.invalid("is a public key that cosign does not use; take ECDSA (P-256, P-384, P-521), RSA (2048, 3072, 4096 bits) or Ed25519")
	}
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(verifiers, time.Time{}, time.Time{}), nil
	})
	// Whoever holds the key is trusted at any time, so no log and no timestamp is asked for.
	verifier, err := verify.NewVerifier(material, verify.WithNoObserverTimestamps(), verify.WithoutStatementPredicate())
	_, whole := public.(ed25519.PublicKey)
	return &keyHolder{k.Name, verifier, whole}, err
}

// verifiersOf are those for all ways in which cosign signs with a key. Weak keys have none.
func verifiersOf(public crypto.PublicKey) (anyHash, error) {
	details, err := sigstore.GetDefaultAlgorithmDetails(public)
	if err != nil {
		return nil, err
	}
	plain, err := sigstore.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	switch public := public.(type) {
	case ed25519.PublicKey:
		hashed, err := sigstore.LoadED25519phVerifier(public)
		return anyHash{plain, hashed}, err
	case *ecdsa.PublicKey:
		// Sigstore takes a hash of the curve's size, cosign SHA-256 unless it is told otherwise.
		own, err := sigstore.LoadVerifier(public, details.GetHashType())
		return anyHash{plain, own}, err
	default:
		return anyHash{plain}, nil
	}
}

// parse reads exactly one public key, since of several it would be unclear which ones count.
func (k Key) parse() (crypto.PublicKey, error) {
	block, rest := pem.Decode(k.PEM)
	switch {
	case block == nil:
		return nil, k.invalid(`is not in PEM form; give the public key that cosign generate-key-pair wrote, "-----BEGIN PUBLIC KEY-----" and all`)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, k.invalid("holds more than one public key, or something after it; list each key by itself")
	case block.Type != string(cryptoutils.PublicKeyPEMType) && block.Type != string(cryptoutils.PKCS1PublicKeyPEMType):
		return nil, k.invalid("holds something else than a public key; of a private key, cosign public-key prints the public one")
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey(k.PEM)
	if err != nil {
		return nil, k.invalid("can't be read as a public key; give the one that cosign generate-key-pair wrote")
	}
	return public, nil
}

func (k Key) invalid(problem string) error {
	return module.NewError(module.InvalidKey, "%s %s", k.Name, problem)
}

func (h *keyHolder) hasSigned(signed *signature) bool {
	// A signature of a digest can't be checked with such a key; the library would check one of the empty message.
	if h.whole && signed.ofDigest {
		return false
	}
	_, err := h.verifier.Verify(signed.withKey, verify.NewPolicy(signed.content(), verify.WithKey()))
	return err == nil
}

// anyHash is one key and several ways to sign with it: which one was taken is not written in a signature.
type anyHash []sigstore.Verifier

// PublicKey is the key.
func (a anyHash) PublicKey(options ...sigstore.PublicKeyOption) (crypto.PublicKey, error) {
	return a[0].PublicKey(options...)
}

// VerifySignature succeeds if the signature is right in one of the ways.
func (a anyHash) VerifySignature(signed, message io.Reader, options ...sigstore.VerifyOption) error {
	signature, err := io.ReadAll(signed)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(message)
	if err != nil {
		return err
	}
	var all []error
	for _, verifier := range a {
		err := verifier.VerifySignature(bytes.NewReader(signature), bytes.NewReader(content), options...)
		if err == nil {
			return nil
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}
