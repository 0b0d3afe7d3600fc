// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// tlsFor trusts one authority only.
func tlsFor(ca []byte, serverName string) (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("holds no certificate in PEM form")
	}
	return &tls.Config{RootCAs: pool, ServerName: serverName, MinVersion: tls.VersionTLS12}, nil
}
