// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// storeName is that of the store's Deployment.
const storeName = Release + "-store"

// Store is the store of modules: the replicas of its Deployment, and its Services.
type Store struct {
	Replicas []*Replica

	modules, upload *service
}

// Replica is one of the store's pods.
type Replica struct {
	*chain.Process
	// Folder keeps its modules.
	Folder string
	// MetricsURL is where it has its metrics.
	MetricsURL string
}

// URL is where proxies fetch modules.
func (s *Store) URL() string { return "http://" + s.modules.address() }

// UploadURL is where modules are pushed.
func (s *Store) UploadURL() string { return "https://" + s.upload.address() }

// StoreCAFile is the authority of the store's certificate, in PEM form.
func (w *World) StoreCAFile() string { return filepath.Join(w.Dir, "store", "ca.crt") }

func (w *World) storeDeployment(ctx context.Context) (*appsv1.Deployment, error) {
	client, err := kubernetes.NewForConfig(w.Cluster.Config)
	if err != nil {
		return nil, err
	}
	return client.AppsV1().Deployments(w.Namespace()).Get(ctx, storeName, metav1.GetOptions{})
}

// startStore starts as many replicas as the chart's Deployment asks for, with a folder each, as peers of each other.
func (w *World) startStore(ctx context.Context, deployment *appsv1.Deployment) error {
	if err := w.renewCertificate(ctx, deployment); err != nil {
		return fmt.Errorf("the store's certificate: %w", err)
	}
	var err error
	w.Store, err = w.newStore(ctx, "store", int(*deployment.Spec.Replicas))
	return err
}

// NewDurableStore starts a further store, whose replicas share a folder as those of a chart with store.durable share a
// volume, so that it takes what users push. It is the operator's once it is World.Store and the operator has restarted.
func (w *World) NewDurableStore(ctx context.Context) (*Store, error) {
	folder := filepath.Join(w.Dir, "pushed-modules")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	return w.newStore(ctx, "durable-store", 2, "--durable", "--peers=", "--bucket=file://"+folder)
}

// newStore starts replicas whose state is in a folder, with further arguments.
func (w *World) newStore(ctx context.Context, dir string, replicas int, more ...string) (*Store, error) {
	var err error
	s := &Store{}
	if s.modules, err = startService(false); err != nil {
		return nil, err
	}
	// One that is not ready takes uploads: that is how it gets what it lacks.
	if s.upload, err = startService(true); err != nil {
		return nil, err
	}
	ports, err := chain.FreePorts(3 * replicas)
	if err != nil {
		return nil, err
	}
	address := func(n int) string { return fmt.Sprintf("127.0.0.1:%d", ports[n]) }
	var modules, uploads []endpoint
	for i := range replicas {
		modules = append(modules, endpoint{address(3 * i), address(3 * i)})
		uploads = append(uploads, endpoint{address(3*i + 1), address(3 * i)})
	}
	s.modules.setEndpoints(modules)
	s.upload.setEndpoints(uploads)
	s.Replicas = make([]*Replica, replicas)
	// At once: each looks for the others first.
	var starts errgroup.Group
	for i := range replicas {
		starts.Go(func() (err error) {
			s.Replicas[i], err = w.startReplica(ctx, filepath.Join(w.Dir, dir, fmt.Sprint(i)), map[string]string{
				"modules-bind-address": modules[i].address,
				"upload-bind-address":  uploads[i].address,
				"metrics-bind-address": address(3*i + 2),
				"peers":                others(uploads, i),
			}, more)
			return err
		})
	}
	return s, starts.Wait()
}

// others are the addresses of all endpoints but one, as a list.
func others(endpoints []endpoint, one int) string {
	var list []string
	for i, endpoint := range endpoints {
		if i != one {
			list = append(list, endpoint.address)
		}
	}
	return strings.Join(list, ",")
}

// renewCertificate replaces the certificate that the chart made for names of a cluster's DNS by one for this machine, as
// cert-manager might renew it.
func (w *World) renewCertificate(ctx context.Context, deployment *appsv1.Deployment) error {
	name, err := tlsSecret(deployment)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(w.Cluster.Config)
	if err != nil {
		return err
	}
	secrets := client.CoreV1().Secrets(w.Namespace())
	secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	dir := filepath.Join(w.Dir, "store")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	certificate, err := chain.NewCertificate(dir)
	if err != nil {
		return err
	}
	for _, file := range []string{certificate.CAFile, certificate.CertFile, certificate.KeyFile} {
		if secret.Data[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			return err
		}
	}
	_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	return err
}

func tlsSecret(deployment *appsv1.Deployment) (string, error) {
	for _, volume := range deployment.Spec.Template.Spec.Volumes {
		if source := volume.VolumeSource.Secret; source != nil {
			return source.SecretName, nil
		}
	}
	return "", errors.New("the store's Deployment has no volume with a certificate")
}

func (w *World) startReplica(ctx context.Context, dir string, addresses map[string]string, more []string) (*Replica, error) {
	p, err := w.newPod(ctx, storeName, dir)
	if err != nil {
		return nil, err
	}
	command, err := p.command("store", addresses)
	if err != nil {
		return nil, err
	}
	command.Args = append(command.Args, "--kubeconfig="+p.kubeconfig)
	if !p.has("metrics-bind-address") {
		command.Args = append(command.Args, "--metrics-bind-address="+addresses["metrics-bind-address"])
	}
	command.Args = append(command.Args, more...)
	command.Ready = readyAt(addresses["modules-bind-address"])
	replica := &Replica{Folder: p.emptyDir(), MetricsURL: "https://" + addresses["metrics-bind-address"] + "/metrics"}
	replica.Process, err = chain.Start(ctx, command)
	return replica, err
}

// emptyDir is the folder of the pod's volume of that kind.
func (p *pod) emptyDir() string {
	for _, volume := range p.template.Volumes {
		if volume.EmptyDir != nil {
			return p.folders[volume.Name]
		}
	}
	return ""
}

// LoseFolder removes what the replica keeps, as when its node is gone.
func (r *Replica) LoseFolder() error {
	entries, err := os.ReadDir(r.Folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(r.Folder, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Stop stops what runs of the store.
func (s *Store) Stop() error {
	// At once: each serves for a while after it was told to stop.
	var stops errgroup.Group
	for _, replica := range s.Replicas {
		if replica != nil {
			stops.Go(replica.Stop)
		}
	}
	errs := []error{stops.Wait()}
	for _, service := range []*service{s.modules, s.upload} {
		if service != nil {
			errs = append(errs, service.Stop())
		}
	}
	return errors.Join(errs...)
}

// readyAt is the readiness probe of a pod.
func readyAt(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		answer, err := chain.Probe{URL: "http://" + address + "/readyz"}.Do(ctx)
		if err != nil {
			return err
		}
		return chain.Status(http.StatusOK)(answer)
	}
}
