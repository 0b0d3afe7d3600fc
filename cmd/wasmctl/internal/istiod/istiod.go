// SPDX-License-Identifier: Apache-2.0

// Package istiod leads from a user's machine to the debug data of a mesh's istiods: through ports that the API server
// forwards, as istioctl does, or to addresses of this machine.
package istiod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/tunnel"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
)

const (
	labelRevision = "istio.io/rev"
	// monitoringPort is where istiod answers this machine's questions unless its arguments say another.
	monitoringPort = 15014
)

// Options say where the istiods are.
type Options struct {
	// Namespace is that of their Pods.
	Namespace string
	// URLs lead to istiods on this machine; then no Pod is looked for.
	URLs []string
}

// Add declares the flags.
func (o *Options) Add(flags *pflag.FlagSet) {
	flags.StringVar(&o.Namespace, "istio-namespace", "istio-system", "Namespace of istiod.")
	flags.StringArrayVar(&o.URLs, "istiod-url", nil, "http://HOST:PORT of an istiod on this machine, such as a forwarded port 15014, instead of its Pods. May be repeated.")
}

// Complete refuses what can't be meant.
func (o *Options) Complete() error {
	if o.Namespace == "" {
		return errors.New("--istio-namespace is empty; name one, or leave it out")
	}
	for _, url := range o.URLs {
		if _, err := proxies.DialLoopback(url); err != nil {
			return fmt.Errorf("--istiod-url %s: %w", url, err)
		}
	}
	return nil
}

// Istiod is one that can be asked.
type Istiod struct {
	// Name is its Pod's, or its address, Revision what it serves; empty for unknown.
	Name, Revision string
	proxies.Asker
}

// Find returns the istiods, in the order of their names. They must be closed.
func (o *Options) Find(ctx context.Context, config *rest.Config) ([]Istiod, error) {
	var found []Istiod
	for _, url := range o.URLs {
		asker, err := proxies.DialLoopback(url)
		if err != nil {
			return nil, fmt.Errorf("--istiod-url %s: %w", url, err)
		}
		found = append(found, Istiod{Name: url, Asker: asker})
	}
	if len(o.URLs) > 0 {
		return found, nil
	}
	pods, err := o.pods(ctx, config)
	if err != nil {
		return nil, err
	}
	for i := range pods {
		pod := &pods[i]
		asker, err := forwardTo(config, pod, portOf(pod))
		if err != nil {
			return nil, err
		}
		found = append(found, Istiod{Name: pod.Name, Revision: pod.Labels[labelRevision], Asker: asker})
	}
	return found, nil
}

// pods are those of every revision that are ready.
func (o *Options) pods(ctx context.Context, config *rest.Config) ([]corev1.Pod, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	list, err := client.CoreV1().Pods(o.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
	switch {
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return nil, fmt.Errorf("look for istiod: %w; it takes the right to list pods and to create pods/portforward in namespace %s, or a way of yours with --istiod-url", err, o.Namespace)
	case err != nil:
		return nil, fmt.Errorf("look for istiod: %w", err)
	}
	ready := slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return !tunnel.Ready(&pod) })
	switch {
	case len(list.Items) == 0:
		return nil, fmt.Errorf("there is no istiod (a pod with label app=istiod) in namespace %s; name another with --istio-namespace", o.Namespace)
	case len(ready) == 0:
		return nil, fmt.Errorf("no istiod in namespace %s is ready; see kubectl get pods -n %[1]s -l app=istiod", o.Namespace)
	}
	slices.SortFunc(ready, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return ready, nil
}

// portOf reads the arguments of istiod, as istioctl does.
func portOf(pod *corev1.Pod) int {
	for _, container := range pod.Spec.Containers {
		for i, arg := range container.Args {
			value, found := strings.CutPrefix(arg, "--monitoringAddr=")
			if arg == "--monitoringAddr" && i+1 < len(container.Args) {
				value, found = container.Args[i+1], true
			}
			if !found {
				continue
			}
			if port, err := strconv.Atoi(value[strings.LastIndex(value, ":")+1:]); err == nil {
				return port
			}
		}
	}
	return monitoringPort
}
