// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificate is what a server on this machine needs for TLS, and its clients to verify it: an authority of its own signed
// it, for localhost and 127.0.0.1.
type Certificate struct {
	CAFile, CertFile, KeyFile string
	// CA is the content of CAFile, in PEM form.
	CA []byte
}

// NewCertificate writes ca.crt, tls.crt and tls.key into a folder, which must exist. Nobody keeps the authority's key.
func NewCertificate(dir string) (*Certificate, error) {
	c := &Certificate{
		CAFile:   filepath.Join(dir, "ca.crt"),
		CertFile: filepath.Join(dir, "tls.crt"),
		KeyFile:  filepath.Join(dir, "tls.key"),
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := newKey(c.KeyFile)
	if err != nil {
		return nil, err
	}
	authority := certificate("chain-ca", x509.KeyUsageCertSign)
	authority.IsCA, authority.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, fmt.Errorf("cannot make the certificate of an authority: %w", err)
	}
	if c.CA, err = writePEM(c.CAFile, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	serving := certificate("chain", x509.KeyUsageDigitalSignature)
	serving.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	serving.DNSNames, serving.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	if der, err = x509.CreateCertificate(rand.Reader, serving, authority, key.Public(), authorityKey); err != nil {
		return nil, fmt.Errorf("cannot make a serving certificate: %w", err)
	}
	_, err = writePEM(c.CertFile, "CERTIFICATE", der)
	return c, err
}

func certificate(name string, usage x509.KeyUsage) *x509.Certificate {
	return &x509.Certificate{
		// Of two certificates with one issuer and one number, clients may mistake one for the other.
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		KeyUsage:     usage,
	}
}

// credentials are the files a cluster needs: a serving certificate, and a key pair that signs service account tokens.
type credentials struct {
	serving                              *Certificate
	serviceAccountPub, serviceAccountKey string
}

func newCredentials(dir string) (*credentials, error) {
	serving, err := NewCertificate(dir)
	if err != nil {
		return nil, err
	}
	c := &credentials{
		serving:           serving,
		serviceAccountPub: filepath.Join(dir, "sa.pub"),
		serviceAccountKey: filepath.Join(dir, "sa.key"),
	}
	serviceAccount, err := newKey(c.serviceAccountKey)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(serviceAccount.Public())
	if err != nil {
		return nil, err
	}
	_, err = writePEM(c.serviceAccountPub, "PUBLIC KEY", public)
	return c, err
}

func newKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	_, err = writePEM(path, "EC PRIVATE KEY", der)
	return key, err
}

func writePEM(path, kind string, der []byte) ([]byte, error) {
	content := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return content, os.WriteFile(path, content, 0o600)
}
