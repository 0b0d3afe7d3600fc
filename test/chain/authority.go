// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

const (
	// IstiodServerName is the name in istiod's certificate.
	IstiodServerName = "istiod." + IstioNamespace + ".svc"
	// IstioAudience is that of the tokens which istiod takes.
	IstioAudience = "istio-ca"
	// The ConfigMap with which istiod gives its authority to every namespace.
	rootCertConfigMap, rootCertKey = "istio-ca-root-cert", "root-cert.pem"
)

// IstioAuthority is the certificate, in PEM form, of the authority that istiod made. An istiod with a CA is needed.
func (c *Cluster) IstioAuthority(ctx context.Context) ([]byte, error) {
	client, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		return nil, err
	}
	configMap, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).
		Namespace(IstioNamespace).Get(ctx, rootCertConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("istiod has not published its authority: %w", err)
	}
	content, _, err := unstructured.NestedString(configMap.Object, "data", rootCertKey)
	if err == nil && content == "" {
		err = fmt.Errorf("ConfigMap %s has no %s", rootCertConfigMap, rootCertKey)
	}
	return []byte(content), err
}

// speaksTLS is the readiness check of the port with TLS: istiod publishes its authority some time after it serves.
func (i *Istiod) speaksTLS(ctx context.Context, cluster *Cluster) error {
	authority, err := cluster.IstioAuthority(ctx)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("istiod's authority is no certificate")
	}
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: IstiodServerName}}
	connection, err := dialer.DialContext(ctx, "tcp", i.SecureAddress)
	if err != nil {
		return fmt.Errorf("istiod's port with TLS: %w", err)
	}
	return connection.Close()
}
