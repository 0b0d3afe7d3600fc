// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"crypto/rand"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// User is a user of the cluster beside its administrator, known by a bearer token. Rights come from RBAC.
type User struct {
	Name   string
	Token  string
	Groups []string
}

// ClusterOptions say what a cluster is like.
type ClusterOptions struct {
	// Dir is the state folder. It is made if it is not there, and must not hold an older cluster.
	Dir string
	// Users can be given only here: kube-apiserver reads them once.
	Users []User
	// APIServerArgs are added to those of kube-apiserver, such as
	// --enable-admission-plugins=OwnerReferencesPermissionEnforcement.
	APIServerArgs []string
}

// Cluster is a Kubernetes API with RBAC and no nodes.
type Cluster struct {
	Etcd, APIServer *Process
	// ControllerManager is nil until StartControllerManager.
	ControllerManager *Process
	// Config is the administrator's, without client-side rate limits.
	Config *rest.Config
	// Kubeconfig is a file with the administrator's rights.
	Kubeconfig string

	dir   string
	bin   *Binaries
	certs *credentials
}

// StartCluster starts etcd and kube-apiserver and waits until both answer.
func StartCluster(ctx context.Context, bin *Binaries, options ClusterOptions) (*Cluster, error) {
	dir, err := stateFolder(options.Dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "etcd")); err == nil {
		return nil, fmt.Errorf("%s holds a cluster already; choose another state folder or remove it", dir)
	}
	c := &Cluster{dir: dir, bin: bin, Kubeconfig: filepath.Join(dir, "admin.kubeconfig")}
	if c.certs, err = newCredentials(dir); err != nil {
		return nil, fmt.Errorf("cannot write the cluster's certificates: %w", err)
	}
	if err := c.start(ctx, options); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, options ClusterOptions) error {
	forEtcd, err := reservePorts(2)
	if err != nil {
		return err
	}
	defer forEtcd.release()
	forAPIServer, err := reservePorts(1)
	if err != nil {
		return err
	}
	defer forAPIServer.release()
	admin := User{Name: "admin", Token: rand.Text(), Groups: []string{"system:masters"}}
	if err := writeTokens(filepath.Join(c.dir, "tokens.csv"), append([]User{admin}, options.Users...)); err != nil {
		return err
	}
	c.Config = &rest.Config{
		Host:            "https://" + local(forAPIServer.ports[0]),
		BearerToken:     admin.Token,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.certs.serving.CA},
		QPS:             -1,
	}
	if err := c.WriteKubeconfig(c.Kubeconfig, admin.Token); err != nil {
		return err
	}
	if c.Etcd, err = Start(ctx, c.etcd(forEtcd)); err != nil {
		return err
	}
	c.APIServer, err = Start(ctx, c.apiServer(forEtcd.ports[0], forAPIServer, options.APIServerArgs))
	return err
}

func (c *Cluster) etcd(reserved *reservation) Command {
	clientURL, peerURL := "http://"+local(reserved.ports[0]), "http://"+local(reserved.ports[1])
	return Command{
		Name: "etcd",
		Path: c.bin.Etcd,
		Args: []string{
			"--name=default",
			"--data-dir=" + filepath.Join(c.dir, "etcd"),
			"--listen-client-urls=" + clientURL,
			"--advertise-client-urls=" + clientURL,
			"--listen-peer-urls=" + peerURL,
			"--initial-advertise-peer-urls=" + peerURL,
			"--initial-cluster=default=" + peerURL,
			// The data need not outlive the machine, and a single member need not wait for others to vote.
			"--unsafe-no-fsync",
			"--heartbeat-interval=20",
			"--election-timeout=200",
		},
		LogFile: filepath.Join(c.dir, "etcd.log"),
		Ready: func(ctx context.Context) error {
			return httpOK(ctx, clientURL+"/readyz")
		},
		reserved: reserved,
	}
}

func (c *Cluster) apiServer(etcd int, reserved *reservation, more []string) Command {
	return Command{
		Name: "kube-apiserver",
		Path: c.bin.KubeAPIServer,
		Args: append([]string{
			"--etcd-servers=http://" + local(etcd),
			"--bind-address=127.0.0.1",
			"--secure-port=" + strconv.Itoa(reserved.ports[0]),
			// Without these two it looks for another address of the machine, and fails where there is none.
			"--advertise-address=127.0.0.1",
			"--endpoint-reconciler-type=none",
			"--tls-cert-file=" + c.certs.serving.CertFile,
			"--tls-private-key-file=" + c.certs.serving.KeyFile,
			"--cert-dir=" + c.dir,
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + c.certs.serviceAccountPub,
			"--service-account-signing-key-file=" + c.certs.serviceAccountKey,
			"--service-cluster-ip-range=10.96.0.0/16",
			"--token-auth-file=" + filepath.Join(c.dir, "tokens.csv"),
			"--authorization-mode=RBAC",
			// No controller makes the default service accounts.
			"--disable-admission-plugins=ServiceAccount",
		}, more...),
		LogFile:  filepath.Join(c.dir, "kube-apiserver.log"),
		Ready:    c.ready,
		reserved: reserved,
	}
}

// ready waits for what kube-apiserver makes by itself too, so that specs can use it at once.
func (c *Cluster) ready(ctx context.Context) error {
	client, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	_, err = client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).
		Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return c.httpsOK(ctx, c.Config.Host+"/readyz")
}

// StartControllerManager starts kube-controller-manager with three controllers: the garbage collector, that of deleted
// namespaces, and that of aggregated ClusterRoles, without which "view", "edit" and "admin" are empty. Call it after the
// CRDs are installed: it looks for new kinds every 30 seconds only.
func (c *Cluster) StartControllerManager(ctx context.Context) error {
	reserved, err := reservePorts(1)
	if err != nil {
		return err
	}
	address := local(reserved.ports[0])
	c.ControllerManager, err = Start(ctx, Command{
		Name: "kube-controller-manager",
		Path: c.bin.KubeControllerManager,
		Args: []string{
			"--kubeconfig=" + c.Kubeconfig,
			"--authentication-kubeconfig=" + c.Kubeconfig,
			"--authorization-kubeconfig=" + c.Kubeconfig,
			"--controllers=garbage-collector-controller,namespace-controller,clusterrole-aggregation-controller",
			"--leader-elect=false",
			"--bind-address=127.0.0.1",
			"--secure-port=" + strconv.Itoa(reserved.ports[0]),
			"--tls-cert-file=" + c.certs.serving.CertFile,
			"--tls-private-key-file=" + c.certs.serving.KeyFile,
		},
		LogFile: filepath.Join(c.dir, "kube-controller-manager.log"),
		Ready: func(ctx context.Context) error {
			return c.httpsOK(ctx, "https://"+address+"/healthz")
		},
		reserved: reserved,
	})
	return err
}

// Stop stops everything that was started, in the reverse order.
func (c *Cluster) Stop() error {
	var errs []error
	for _, process := range []*Process{c.ControllerManager, c.APIServer, c.Etcd} {
		if process != nil {
			errs = append(errs, process.Stop())
		}
	}
	return errors.Join(errs...)
}

// ApplyIstioCRDs installs Istio's CRDs and waits until they are served.
func (c *Cluster) ApplyIstioCRDs(ctx context.Context) error {
	return ApplyFile(ctx, c.Config, c.bin.IstioCRDs)
}

func writeTokens(path string, users []User) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	w := csv.NewWriter(file)
	for i, user := range users {
		if user.Name == "" || user.Token == "" {
			return fmt.Errorf("user %d of the cluster needs a name and a token", i)
		}
		if err := w.Write([]string{user.Token, user.Name, user.Name, strings.Join(user.Groups, ",")}); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// stateFolder makes a folder and returns its absolute path: processes run in other working folders.
func stateFolder(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("a state folder is needed: set Dir")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}
