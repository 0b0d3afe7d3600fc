// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// tokenLife is long, since nobody renews the token, as the kubelet would.
const tokenLife = 7 * 24 * time.Hour

// volumeFiles writes what a kubelet would mount into the pods of a ServiceAccount.
type volumeFiles struct {
	client             kubernetes.Interface
	namespace, account string
	// ca is that of the API server: no controller puts it into ConfigMaps here.
	ca []byte
}

func (v volumeFiles) write(ctx context.Context, volume corev1.Volume, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	switch {
	case volume.EmptyDir != nil:
		return nil
	case volume.Secret != nil:
		return v.secret(ctx, volume.Secret.SecretName, volume.Secret.Items, folder)
	case volume.ConfigMap != nil:
		err := v.configMap(ctx, volume.ConfigMap.Name, volume.ConfigMap.Items, folder)
		if optional := volume.ConfigMap.Optional; apierrors.IsNotFound(err) && optional != nil && *optional {
			return nil
		}
		return err
	case volume.Projected != nil:
		for _, source := range volume.Projected.Sources {
			if err := v.project(ctx, source, folder); err != nil {
				return err
			}
		}
		return nil
	default:
		return errors.New("a volume of this kind is not known here")
	}
}

func (v volumeFiles) project(ctx context.Context, source corev1.VolumeProjection, folder string) error {
	switch {
	case source.Secret != nil:
		return v.secret(ctx, source.Secret.Name, source.Secret.Items, folder)
	case source.ConfigMap != nil:
		return v.configMap(ctx, source.ConfigMap.Name, source.ConfigMap.Items, folder)
	case source.ServiceAccountToken != nil:
		token, err := accountToken(ctx, v.client, v.namespace, v.account, source.ServiceAccountToken.Audience)
		if err != nil {
			return err
		}
		return write(folder, source.ServiceAccountToken.Path, []byte(token))
	case source.DownwardAPI != nil:
		for _, item := range source.DownwardAPI.Items {
			if err := write(folder, item.Path, []byte(v.namespace)); err != nil {
				return err
			}
		}
		return nil
	default:
		return errors.New("a source of this kind is not known here")
	}
}

func (v volumeFiles) secret(ctx context.Context, name string, items []corev1.KeyToPath, folder string) error {
	secret, err := v.client.CoreV1().Secrets(v.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return writeKeys(secret.Data, items, folder)
}

func (v volumeFiles) configMap(ctx context.Context, name string, items []corev1.KeyToPath, folder string) error {
	if name == "kube-root-ca.crt" {
		return writeKeys(map[string][]byte{"ca.crt": v.ca}, items, folder)
	}
	configMap, err := v.client.CoreV1().ConfigMaps(v.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	data := map[string][]byte{}
	for key, value := range configMap.Data {
		data[key] = []byte(value)
	}
	return writeKeys(data, items, folder)
}

// writeKeys writes the items, or everything if there are none.
func writeKeys(data map[string][]byte, items []corev1.KeyToPath, folder string) error {
	if len(items) == 0 {
		for key := range data {
			items = append(items, corev1.KeyToPath{Key: key, Path: key})
		}
	}
	for _, item := range items {
		content, found := data[item.Key]
		if !found {
			return fmt.Errorf("the key %s is missing", item.Key)
		}
		if err := write(folder, item.Path, content); err != nil {
			return err
		}
	}
	return nil
}

func write(folder, path string, content []byte) error {
	return os.WriteFile(filepath.Join(folder, path), content, 0o600)
}

// accountToken is a token of a ServiceAccount for an audience; "" is the API server.
func accountToken(ctx context.Context, client kubernetes.Interface, namespace, account, audience string) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: new(int64(tokenLife.Seconds())),
	}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	answer, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if apierrors.IsNotFound(err) {
		return "", fmt.Errorf("the chart made no ServiceAccount %s: %w", account, err)
	}
	if err != nil {
		return "", fmt.Errorf("no token of the ServiceAccount %s: %w", account, err)
	}
	return answer.Status.Token, nil
}
