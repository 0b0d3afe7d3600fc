// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// Where cosign's older layout keeps what belongs to a signature, in the annotations of the layer that was signed.
const (
	signatureAnnotation   = "dev.cosignproject.cosign/signature"
	certificateAnnotation = "dev.sigstore.cosign/certificate"
	entryAnnotation       = "dev.sigstore.cosign/bundle"
	timestampAnnotation   = "dev.sigstore.cosign/rfc3161timestamp"
)

// oldestBundle is the version of Sigstore's bundle whose proof of a log entry is a promise, as that layout has it.
const oldestBundle = "application/vnd.dev.sigstore.bundle+json;version=0.1"

// readPayload reads a signature of cosign's older layout, and turns it into bundles. The certificate's chain is not read:
// which authorities are between the root and a certificate is for the trust root to say.
func readPayload(digests []string, attachment module.Attachment) (*signature, reason) {
	var image payload.Cosign
	if err := json.Unmarshal(attachment.Payload, &image); err != nil {
		return nil, unreadable
	}
	signed := &signature{payload: attachment.Payload}
	claimed, _ := strings.CutPrefix(image.Image.DigestStr(), "sha256:")
	if signed.digest = firstOf(digests, []string{claimed}); signed.digest == nil {
		return nil, anotherImage
	}
	raw, err := base64.StdEncoding.DecodeString(attachment.Annotations[signatureAnnotation])
	if err != nil || len(raw) == 0 {
		return nil, unreadable
	}
	if signed.withKey, err = asBundle(signed.payload, raw, &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}},
	}); err != nil {
		return nil, unreadable
	}
	if attachment.Annotations[certificateAnnotation] == "" {
		return signed, ""
	}
	// A key may have signed it all the same, so what can't be read here is only no proof of an identity.
	if material := certified(attachment.Annotations); material != nil {
		signed.withCertificate, _ = asBundle(signed.payload, raw, material)
	}
	return signed, ""
}

func asBundle(content, raw []byte, material *protobundle.VerificationMaterial) (*bundle.Bundle, error) {
	digest := sha256.Sum256(content)
	return bundle.NewBundle(&protobundle.Bundle{
		MediaType:            oldestBundle,
		VerificationMaterial: material,
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: digest[:]},
			Signature:     raw,
		}},
	})
}

// certified is what proves a signature with a certificate; nil where that can't be read.
func certified(annotations map[string]string) *protobundle.VerificationMaterial {
	block, _ := pem.Decode([]byte(annotations[certificateAnnotation]))
	if block == nil {
		return nil
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return nil
	}
	material := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_X509CertificateChain{
		X509CertificateChain: &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{{RawBytes: block.Bytes}}},
	}}
	if entry := logEntry(annotations[entryAnnotation]); entry != nil {
		material.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	}
	if timestamp := signedTimestamp(annotations[timestampAnnotation]); timestamp != nil {
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: timestamp}},
		}
	}
	return material
}

// logEntry is an entry of the transparency log, with the log's promise to keep it.
func logEntry(annotation string) *protorekor.TransparencyLogEntry {
	var entry struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           []byte `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	}
	if err := json.Unmarshal([]byte(annotation), &entry); err != nil {
		return nil
	}
	var body struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	log, err := hex.DecodeString(entry.Payload.LogID)
	if err != nil || json.Unmarshal(entry.Payload.Body, &body) != nil {
		return nil
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex:          entry.Payload.LogIndex,
		LogId:             &protocommon.LogId{KeyId: log},
		KindVersion:       &protorekor.KindVersion{Kind: body.Kind, Version: body.APIVersion},
		IntegratedTime:    entry.Payload.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: entry.SignedEntryTimestamp},
		CanonicalizedBody: entry.Payload.Body,
	}
}

func signedTimestamp(annotation string) []byte {
	var timestamp struct {
		SignedRFC3161Timestamp []byte
	}
	if err := json.Unmarshal([]byte(annotation), &timestamp); err != nil {
		return nil
	}
	return timestamp.SignedRFC3161Timestamp
}
