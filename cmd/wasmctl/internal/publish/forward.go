// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/tunnel"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const authorityKey = "ca.crt"

// forward makes a way to one of the store's pods through the API server, as kubectl port-forward does. The store's
// certificate is held to be the Service's all the same.
func (o *storeOptions) forward(ctx context.Context, config *rest.Config, client kubernetes.Interface, options *store.ClientOptions, errOut io.Writer) (func(), error) {
	pod, port, err := o.pod(ctx, client)
	if err != nil {
		return nil, err
	}
	forget := func() {}
	if options.CAFile == "" {
		if options.CAFile, forget, err = o.authority(ctx, client); err != nil {
			return nil, err
		}
	}
	way, err := tunnel.New(config, pod, int(port))
	if err != nil {
		forget()
		return nil, err
	}
	cli.Comment(errOut, pod.Namespace+"/"+pod.Name, fmt.Sprintf("Its port %d is reached through the API server.", port))
	options.URL, options.Dial = "https://"+o.service+"."+o.namespace+".svc", way.Dial
	return func() {
		_ = way.Close() // what was pushed is pushed
		forget()
	}, nil
}

// pod is a ready one behind the Service, and the port of its that the Service leads to.
func (o *storeOptions) pod(ctx context.Context, client kubernetes.Interface) (*corev1.Pod, int32, error) {
	service, err := client.CoreV1().Services(o.namespace).Get(ctx, o.service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, 0, fmt.Errorf("there is no Service %s/%s; see --operator-namespace and --store-service, and whether the operator has a store (store.enabled)", o.namespace, o.service)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("look for the store: %w", err)
	}
	pods, err := client.CoreV1().Pods(o.namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String()})
	if err != nil {
		return nil, 0, fmt.Errorf("look for the store's pods: %w", err)
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; tunnel.Ready(pod) {
			port, err := targetPort(service, pod)
			return pod, port, err
		}
	}
	return nil, 0, fmt.Errorf("no pod of the store is ready in %s; look at them with kubectl -n %s get pods", o.namespace, o.namespace)
}

func targetPort(service *corev1.Service, pod *corev1.Pod) (int32, error) {
	if len(service.Spec.Ports) == 0 {
		return 0, fmt.Errorf("the Service %s/%s has no port", service.Namespace, service.Name)
	}
	wanted := service.Spec.Ports[0].TargetPort
	if wanted.IntVal > 0 {
		return wanted.IntVal, nil
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == wanted.StrVal {
				return port.ContainerPort, nil
			}
		}
	}
	return 0, fmt.Errorf("pod %s/%s has no port %q", pod.Namespace, pod.Name, wanted.StrVal)
}

// authority writes the store's certificate authority to a file, for as long as it is needed.
func (o *storeOptions) authority(ctx context.Context, client kubernetes.Interface) (string, func(), error) {
	name := strings.TrimSuffix(o.service, "-upload") + "-tls"
	secret, err := client.CoreV1().Secrets(o.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil || len(secret.Data[authorityKey]) == 0 {
		return "", nil, fmt.Errorf("the store's certificate authority can't be read from %s of Secret %s/%s; ask for that certificate, and give it with --ca-file", authorityKey, o.namespace, name)
	}
	file, err := os.CreateTemp("", "store-ca-*.crt")
	if err != nil {
		return "", nil, fmt.Errorf("keep the store's certificate authority: %w", err)
	}
	forget := func() { _ = os.Remove(file.Name()) }
	_, err = file.Write(secret.Data[authorityKey])
	if err = errors.Join(err, file.Close()); err != nil {
		forget()
		return "", nil, fmt.Errorf("keep the store's certificate authority: %w", err)
	}
	return file.Name(), forget, nil
}
