// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// operatorNamespace is where config/default installs the operator.
const operatorNamespace = "wasmplugin-system"

// moduleStore is the operator's binary, running as the store with a folder that it may lose.
type moduleStore struct {
	*chain.Process
	// url is where proxies fetch modules, uploadURL where all others come to.
	url, uploadURL, folder, caFile, tokenFile string
}

// startStore runs a store that takes uploads, with the rights that config/store gives it, until the container of specs ends.
func startStore(ctx context.Context) *moduleStore {
	GinkgoHelper()
	ports, err := chain.FreePorts(2)
	Expect(err).NotTo(HaveOccurred())
	modules, uploads := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	dir := GinkgoT().TempDir()
	certificate, err := chain.NewCertificate(dir)
	Expect(err).NotTo(HaveOccurred())
	kubeconfig := filepath.Join(dir, "store.kubeconfig")
	Expect(cluster.WriteKubeconfig(kubeconfig, tokenOf(ctx, operatorNamespace, "wasmplugin-operator-store"))).To(Succeed())
	s := &moduleStore{
		url: "http://" + modules, uploadURL: "https://" + uploads,
		folder: GinkgoT().TempDir(), caFile: certificate.CAFile, tokenFile: filepath.Join(dir, "token"),
	}
	Expect(os.WriteFile(s.tokenFile, []byte(tokenOf(ctx, operatorNamespace, "wasmplugin-operator", store.Audience)), 0o600)).To(Succeed())
	s.Process, err = chain.Start(ctx, chain.Command{
		Name: "store",
		Path: operatorBinary(),
		Args: []string{
			"store", "--kubeconfig=" + kubeconfig, "--bucket=file://" + s.folder, "--durable", "--drain=0s",
			"--modules-bind-address=" + modules, "--upload-bind-address=" + uploads, "--metrics-bind-address=0",
			"--tls-cert-file=" + certificate.CertFile, "--tls-key-file=" + certificate.KeyFile,
		},
		LogFile: filepath.Join(dir, "store.log"),
		Ready: func(ctx context.Context) error {
			_, err := chain.Probe{URL: "http://" + modules + "/readyz"}.Until(ctx, chain.Status(http.StatusOK))
			return err
		},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Stop)
	return s
}

// storeRights are the arguments of kubectl for the store's rights and, in the store, the operator's.
func storeRights(args ...string) []string {
	for _, name := range []string{"service_account", "role", "role_binding", "modules_role", "modules_role_binding"} {
		args = append(args, "-f", filepath.Join(repository, "config", "store", name+".yaml"))
	}
	return args
}

func tokenOf(ctx context.Context, namespace, account string, audiences ...string) string {
	GinkgoHelper()
	token, err := cluster.ServiceAccountToken(ctx, namespace, account, audiences...)
	Expect(err).NotTo(HaveOccurred())
	return token
}

// client speaks to the store with a token.
func (s *moduleStore) client(token string) *store.Client {
	GinkgoHelper()
	made, err := store.NewClient(store.ClientOptions{URL: s.uploadURL, CAFile: s.caFile, Token: token})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(made.CloseIdleConnections)
	return made
}

// flags have the operator deliver by the store, with a folder of modules of its own.
func (s *moduleStore) flags(cache string) []string {
	return []string{
		"--resolve-modules=true", "--allow-loopback-addresses", "--module-cache-dir=" + cache,
		"--store-url=" + s.url, "--store-upload-url=" + s.uploadURL, "--store-ca-file=" + s.caFile, "--store-token-file=" + s.tokenFile,
	}
}

// loseFolder is what a node's end does to a store that keeps modules on it.
func (s *moduleStore) loseFolder(ctx context.Context) {
	GinkgoHelper()
	Expect(s.Stop()).To(Succeed())
	entries, err := os.ReadDir(s.folder)
	Expect(err).NotTo(HaveOccurred())
	Expect(entries).NotTo(BeEmpty())
	for _, entry := range entries {
		Expect(os.RemoveAll(filepath.Join(s.folder, entry.Name()))).To(Succeed())
	}
	Expect(s.Start(ctx)).To(Succeed())
}

// served is what a proxy gets at a URL: its status and what it is, as a digest.
func served(ctx context.Context, url string) func(Gomega) string {
	return func(g Gomega) string {
		answer, err := chain.Probe{URL: url}.Do(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		if answer.Status != http.StatusOK {
			return http.StatusText(answer.Status)
		}
		return digestOf([]byte(answer.Body))
	}
}

// deliveredBy is where proxies fetch the plugin's module, and what they check it with.
func deliveredBy(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin) (url, sum any) {
	GinkgoHelper()
	remote := []string{"patch", "value", "typed_config", "config", "vm_config", "code", "remote"}
	return inConfig(ctx, plugin, slices.Concat(remote, []string{"http_uri", "uri"})...), inConfig(ctx, plugin, append(remote, "sha256")...)
}

// newAccount makes a ServiceAccount, which may do nothing yet.
func newAccount(ctx context.Context, namespace, name string) {
	GinkgoHelper()
	Expect(k8s.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})).To(Succeed())
}

// letPush gives an account of a namespace the right to push one module there, and no other right.
func letPush(ctx context.Context, namespace, account, module string) {
	GinkgoHelper()
	Expect(k8s.Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{store.Group}, Resources: []string{store.Resource}, ResourceNames: []string{module}, Verbs: []string{"push"},
		}},
	})).To(Succeed())
	Expect(k8s.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: account},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}},
	})).To(Succeed())
}
