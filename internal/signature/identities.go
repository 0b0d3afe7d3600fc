// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"regexp"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// identities are signers with certificates, and what these are checked against.
type identities struct {
	verifier *verify.Verifier
	allowed  []verify.PolicyOption
}

func compileIdentities(list []Identity, trustRoot []byte) (*identities, error) {
	compiled := &identities{}
	for i, identity := range list {
		option, err := identity.compile()
		if err != nil {
			return nil, module.NewError(module.InvalidIdentity, "spec.verification.identities[%d] needs one of issuer and issuerRegExp and "+
				"one of subject and subjectRegExp, and regular expressions of RE2's syntax", i)
		}
		compiled.allowed = append(compiled.allowed, option)
	}
	if len(trustRoot) == 0 {
		return nil, module.NewError(module.InvalidTrustRoot, "spec.verification.identities can't be checked without a trust root; set "+
			"spec.verification.trustRoot, or the operator's flag --signature-trust-root, to Sigstore's trusted_root.json")
	}
	material, err := root.NewTrustedRootFromJSON(trustRoot)
	if err != nil {
		return nil, module.NewError(module.InvalidTrustRoot, "the trust root can't be read; give Sigstore's trusted_root.json, as "+
			"cosign trusted-root create writes it")
	}
	compiled.verifier, err = newVerifier(material)
	return compiled, err
}

// newVerifier asks for all the proof that the trust root can check: a private Sigstore may have no certificate log, and a
// timestamp authority instead of a transparency log. Nobody is asked; the proof comes with the signature.
func newVerifier(material *root.TrustedRoot) (*verify.Verifier, error) {
	logs := len(material.RekorLogs())
	if len(material.FulcioCertificateAuthorities()) == 0 || logs+len(material.TimestampingAuthorities()) == 0 {
		return nil, module.NewError(module.InvalidTrustRoot, "the trust root names no certificate authority, or neither a transparency log nor "+
			"a timestamp authority; without them no identity can be checked")
	}
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate()}
	if logs > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if len(material.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	return verify.NewVerifier(material, options...)
}

func (i Identity) compile() (verify.PolicyOption, error) {
	identity, err := verify.NewShortCertificateIdentity(i.Issuer, whole(i.IssuerRegExp), i.Subject, whole(i.SubjectRegExp))
	return verify.WithCertificateIdentity(identity), err
}

// whole makes an expression match all of a text: a part of it would match others' names that begin or end with it.
func whole(expression string) string {
	if _, err := regexp.Compile(expression); expression == "" || err != nil {
		return expression
	}
	return "^(?:" + expression + ")$"
}

// judge says who made a signature with a certificate, or why it doesn't count.
func (i *identities) judge(signed *signature) (by string, why reason) {
	result, err := i.verifier.Verify(signed.withCertificate, verify.NewPolicy(signed.content(), i.allowed...))
	if err == nil {
		return describe(result), ""
	}
	if _, err := i.verifier.Verify(signed.withCertificate, verify.NewPolicy(signed.content(), verify.WithoutIdentitiesUnsafe())); err != nil {
		return "", untrusted
	}
	return "", anotherSigner
}
