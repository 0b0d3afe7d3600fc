// SPDX-License-Identifier: Apache-2.0

package story

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// pod is what a kubelet would make of a Deployment: folders for its volumes, and processes for its containers, each with
// the container's arguments. What differs where there are no nodes is said by flags: the ports, and the addresses that only
// a cluster's DNS knows.
type pod struct {
	binary, dir string
	template    corev1.PodSpec
	// kubeconfig has the rights of the pod's ServiceAccount.
	kubeconfig string
	// folders are those of the volumes.
	folders map[string]string
}

// newPod makes the folders of a pod. An emptyDir keeps what is in it when the pod is made again in the same folder.
func (w *World) newPod(ctx context.Context, name, dir string) (*pod, error) {
	client, err := kubernetes.NewForConfig(w.Cluster.Config)
	if err != nil {
		return nil, err
	}
	deployment, err := client.AppsV1().Deployments(w.Namespace()).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("the chart's Deployment: %w", err)
	}
	p := &pod{binary: w.OperatorBinary, dir: dir, template: deployment.Spec.Template.Spec, folders: map[string]string{}}
	if p.kubeconfig, err = w.writeKubeconfig(ctx, client, deployment, dir); err != nil {
		return nil, err
	}
	files := volumeFiles{client: client, namespace: w.Namespace(), account: p.template.ServiceAccountName, ca: w.Cluster.Config.CAData}
	for _, volume := range p.template.Volumes {
		// A socket's path is limited to about 100 characters, so folders have short names.
		folder := filepath.Join(dir, volume.Name)
		if err := files.write(ctx, volume, folder); err != nil {
			return nil, fmt.Errorf("the volume %s of %s: %w", volume.Name, name, err)
		}
		p.folders[volume.Name] = folder
	}
	return p, nil
}

func (w *World) writeKubeconfig(
	ctx context.Context, client kubernetes.Interface, deployment *appsv1.Deployment, dir string,
) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	token, err := accountToken(ctx, client, deployment.Namespace, deployment.Spec.Template.Spec.ServiceAccountName, "")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "kubeconfig")
	return path, w.Cluster.WriteKubeconfig(path, token)
}

// command runs a container. The values of instead replace those of the flags with these names.
func (p *pod) command(container string, instead map[string]string) (chain.Command, error) {
	index := slices.IndexFunc(p.template.Containers, func(c corev1.Container) bool { return c.Name == container })
	if index < 0 {
		return chain.Command{}, fmt.Errorf("the chart's Deployment has no container %s", container)
	}
	spec := p.template.Containers[index]
	command := chain.Command{
		Name: container, Path: p.binary, Args: p.args(spec, instead), LogFile: filepath.Join(p.dir, container+".log"),
	}
	for _, variable := range spec.Env {
		if variable.ValueFrom != nil {
			return chain.Command{}, fmt.Errorf("the variable %s of the container %s has no plain value", variable.Name, container)
		}
		command.Env = append(command.Env, variable.Name+"="+variable.Value)
	}
	return command, nil
}

func (p *pod) args(container corev1.Container, instead map[string]string) []string {
	mounts := slices.Clone(container.VolumeMounts)
	// The longest first: one may lie in another.
	slices.SortFunc(mounts, func(a, b corev1.VolumeMount) int { return cmp.Compare(len(b.MountPath), len(a.MountPath)) })
	var replaced []string
	for _, mount := range mounts {
		replaced = append(replaced, mount.MountPath, p.folders[mount.Name])
	}
	folders := strings.NewReplacer(replaced...)
	var args []string
	for _, arg := range container.Args {
		flag, value, found := strings.Cut(arg, "=")
		if !found {
			args = append(args, arg)
			continue
		}
		if other, given := instead[strings.TrimPrefix(flag, "--")]; given {
			value = other
		}
		args = append(args, flag+"="+folders.Replace(value))
	}
	return args
}

// has says whether a container of the pod has a flag.
func (p *pod) has(flag string) bool {
	for _, container := range p.template.Containers {
		for _, arg := range container.Args {
			if name, _, _ := strings.Cut(arg, "="); name == "--"+flag {
				return true
			}
		}
	}
	return false
}
