// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/google/certificate-transparency-go/x509util"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
)

// sigstore is a private Sigstore: an authority (as Fulcio), a certificate log, a transparency log (as Rekor) and a timestamp
// authority. It believes every identity token.
type sigstore struct {
	root, authority, tsaAuthority, tsa *x509.Certificate
	authorityKey, tsaKey, ctKey        *ecdsa.PrivateKey
	rekor                              *ca.VirtualSigstore
}

func newSigstore() *sigstore {
	rootCertificate, rootKey := must2(ca.GenerateRootCa())
	s := &sigstore{root: rootCertificate, rekor: must(ca.NewVirtualSigstore())}
	s.authority, s.authorityKey = must2(ca.GenerateFulcioIntermediate(rootCertificate, rootKey))
	var tsaAuthorityKey *ecdsa.PrivateKey
	s.tsaAuthority, tsaAuthorityKey = must2(ca.GenerateTSAIntermediate(rootCertificate, rootKey))
	s.tsaKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	s.tsa = must(ca.GenerateTSALeafCert(time.Now().Add(-time.Minute), s.tsaKey, s.tsaAuthority, tsaAuthorityKey))
	s.ctKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return s
}

func (s *sigstore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := must(io.ReadAll(r.Body))
	switch r.URL.Path {
	case "/api/v2/signingCert":
		s.certify(w, r, body)
	case "/api/v1/signingCert":
		s.certifyV1(w, r, body)
	case "/api/v1/log/entries":
		s.enter(w, body)
	case "/api/v1/timestamp":
		s.stamp(w, body)
	default:
		log.Printf("private Sigstore: nothing at %s %s", r.Method, r.URL.Path)
		http.NotFound(w, r)
	}
}

func (s *sigstore) certify(w http.ResponseWriter, r *http.Request, body []byte) {
	var request struct {
		PublicKeyRequest struct {
			PublicKey struct{ Content string }
		}
	}
	check(json.Unmarshal(body, &request))
	block, _ := pem.Decode([]byte(request.PublicKeyRequest.PublicKey.Content))
	chain := s.issue(r, block.Bytes)
	w.Header().Set("Content-Type", "application/json")
	check(json.NewEncoder(w).Encode(map[string]any{"signedCertificateEmbeddedSct": map[string]any{
		"chain": map[string]any{"certificates": chain},
	}}))
}

func (s *sigstore) certifyV1(w http.ResponseWriter, r *http.Request, body []byte) {
	var request struct {
		PublicKey struct{ Content []byte }
	}
	check(json.Unmarshal(body, &request))
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	w.WriteHeader(http.StatusCreated)
	must(io.WriteString(w, strings.Join(s.issue(r, request.PublicKey.Content), "")))
}

// issue makes a certificate for ten minutes, with the promise of the certificate log in it.
func (s *sigstore) issue(r *http.Request, publicKey []byte) []string {
	var claims struct {
		Email  string `json:"email"`
		Issuer string `json:"iss"`
	}
	token := strings.Split(r.Header.Get("Authorization"), ".")
	check(json.Unmarshal(must(base64.RawURLEncoding.DecodeString(token[1])), &claims))
	template := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))), EmailAddresses: []string{claims.Email},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(9 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(claims.Issuer)}},
	}
	key := must(x509.ParsePKIXPublicKey(publicKey))
	before := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, s.authority, key, s.authorityKey))))
	template.ExtraExtensions = append(template.ExtraExtensions, s.promise(before))
	certificate := must(x509.CreateCertificate(rand.Reader, template, s.authority, key, s.authorityKey))
	return []string{inPEM("CERTIFICATE", certificate), inPEM("CERTIFICATE", s.authority.Raw), inPEM("CERTIFICATE", s.root.Raw)}
}

// promise is the certificate log's, a list of one SCT (RFC 6962).
func (s *sigstore) promise(before *x509.Certificate) pkix.Extension {
	now := uint64(time.Now().UnixMilli())
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: keyID(s.ctKey.Public())}, Timestamp: now}
	entry := ct.LogEntry{Leaf: ct.MerkleTreeLeaf{
		Version: ct.V1, LeafType: ct.TimestampedEntryLeafType,
		TimestampedEntry: &ct.TimestampedEntry{
			Timestamp: now, EntryType: ct.PrecertLogEntryType,
			PrecertEntry: &ct.PreCert{IssuerKeyHash: sha256.Sum256(s.authority.RawSubjectPublicKeyInfo), TBSCertificate: before.RawTBSCertificate},
		},
	}}
	sum := sha256.Sum256(must(ct.SerializeSCTSignatureInput(sct, entry)))
	sct.Signature = ct.DigitallySigned{
		Algorithm: tls.SignatureAndHashAlgorithm{Hash: tls.SHA256, Signature: tls.ECDSA},
		Signature: must(ecdsa.SignASN1(rand.Reader, s.ctKey, sum[:])),
	}
	list := must(x509util.MarshalSCTsIntoSCTList([]*ct.SignedCertificateTimestamp{&sct}))
	return pkix.Extension{Id: asn1.ObjectIdentifier(ctx509.OIDExtensionCTSCT), Value: must(asn1.Marshal(must(tls.Marshal(*list))))}
}

// enter puts an entry into the transparency log: a new log of one entry each time.
func (s *sigstore) enter(w http.ResponseWriter, body []byte) {
	payload := tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: time.Now().Unix(), LogIndex: 0, LogID: must(s.rekor.RekorLogID()),
	}
	const uuid = "000000000000000a0000000000000000000000000000000000000000000000000000000000000001"
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", uuid)
	w.Header().Set("Location", "/api/v1/log/entries/"+uuid)
	w.WriteHeader(http.StatusCreated)
	check(json.NewEncoder(w).Encode(map[string]any{uuid: map[string]any{
		"body": payload.Body, "integratedTime": payload.IntegratedTime, "logIndex": payload.LogIndex, "logID": payload.LogID,
		"verification": map[string]any{
			"signedEntryTimestamp": must(s.rekor.RekorSignPayload(payload)),
			"inclusionProof":       must(s.rekor.GetInclusionProof(body)),
		},
	}}))
}

func (s *sigstore) stamp(w http.ResponseWriter, body []byte) {
	request := must(timestamp.ParseRequest(body))
	response := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Nonce: request.Nonce, Time: time.Now(),
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: request.Certificates,
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	w.WriteHeader(http.StatusCreated)
	must(w.Write(must(response.CreateResponseWithOpts(s.tsa, s.tsaKey, crypto.SHA256))))
}

// trustedRoot is what a user of this Sigstore trusts.
func (s *sigstore) trustedRoot(url string, withLogs bool) []byte {
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	logOf := func(key crypto.PublicKey) map[string]*root.TransparencyLog {
		id := keyID(key)
		return map[string]*root.TransparencyLog{hex.EncodeToString(id[:]): {
			BaseURL: url, ID: id[:], ValidityPeriodStart: from, ValidityPeriodEnd: to,
			HashFunc: crypto.SHA256, PublicKey: key, SignatureHashFunc: crypto.SHA256,
		}}
	}
	var rekor crypto.PublicKey
	for _, known := range s.rekor.RekorLogs() {
		rekor = known.PublicKey
	}
	logs, ctLogs := logOf(rekor), logOf(s.ctKey.Public())
	if !withLogs {
		logs, ctLogs = nil, nil
	}
	trusted := must(root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: s.root, Intermediates: []*x509.Certificate{s.authority}, ValidityPeriodStart: from, ValidityPeriodEnd: to, URI: url,
	}}, ctLogs, []root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
		Root: s.root, Intermediates: []*x509.Certificate{s.tsaAuthority}, Leaf: s.tsa, ValidityPeriodStart: from, ValidityPeriodEnd: to, URI: url,
	}}, logs))
	return must(trusted.MarshalJSON())
}

func keyID(key crypto.PublicKey) [sha256.Size]byte {
	return sha256.Sum256(must(x509.MarshalPKIXPublicKey(key)))
}
