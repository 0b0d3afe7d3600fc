// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ConfigFor is a client configuration for a bearer token, of a User or of a service account.
func (c *Cluster) ConfigFor(token string) *rest.Config {
	config := rest.CopyConfig(c.Config)
	config.BearerToken = token
	return config
}

// WriteKubeconfig writes a kubeconfig for a bearer token, of a User or of a service account.
func (c *Cluster) WriteKubeconfig(path, token string) error {
	const name = "chain"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{
		Server:                   c.Config.Host,
		CertificateAuthorityData: c.certs.serving.CA,
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("cannot write a kubeconfig: %w", err)
	}
	return nil
}

// ServiceAccountToken asks for a token of a service account, which must exist. Without an audience it is one for the
// Kubernetes API.
func (c *Cluster) ServiceAccountToken(
	ctx context.Context, namespace, name string, audiences ...string,
) (string, error) {
	client, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		return "", err
	}
	spec := map[string]any{}
	if len(audiences) > 0 {
		list := make([]any, len(audiences))
		for i, audience := range audiences {
			list[i] = audience
		}
		spec["audiences"] = list
	}
	request := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.k8s.io/v1",
		"kind":       "TokenRequest",
		"metadata":   map[string]any{"name": name, "namespace": namespace},
		"spec":       spec,
	}}
	answer, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}).
		Namespace(namespace).Create(ctx, request, metav1.CreateOptions{}, "token")
	if err != nil {
		return "", fmt.Errorf("no token for service account %s/%s: %w", namespace, name, err)
	}
	token, _, err := unstructured.NestedString(answer.Object, "status", "token")
	return token, err
}
