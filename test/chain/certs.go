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

// credentials are the files a cluster needs: a serving certificate that is its own authority, so that clients can
// verify it, and a key pair that signs service account tokens.
type credentials struct {
	servingCert, servingKey              string
	serviceAccountPub, serviceAccountKey string
	ca                                   []byte // the serving certificate, PEM
}

func newCredentials(dir string) (*credentials, error) {
	c := &credentials{
		servingCert:       filepath.Join(dir, "tls.crt"),
		servingKey:        filepath.Join(dir, "tls.key"),
		serviceAccountPub: filepath.Join(dir, "sa.pub"),
		serviceAccountKey: filepath.Join(dir, "sa.key"),
	}
	serving, err := newKey(c.servingKey)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "chain"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, serving.Public(), serving)
	if err != nil {
		return nil, fmt.Errorf("cannot make the serving certificate: %w", err)
	}
	if c.ca, err = writePEM(c.servingCert, "CERTIFICATE", cert); err != nil {
		return nil, err
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
