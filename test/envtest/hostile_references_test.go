// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// postSpec creates a plugin from these very fields, whether they are of the schema or not.
func postSpec(ctx context.Context, namespace, name, fields string) (*wasmv1alpha1.WasmPlugin, error) {
	GinkgoHelper()
	plugin := newPlugin(namespace)
	plugin.Name = name
	return plugin, post(ctx, pathOfPlugins, namespace, `{"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin",
		"metadata": {"name": "`+name+`"}, "spec": {"url": "oci://registry.example.com/plugin:1.0", "scope": "Namespace", `+fields+`}}`)
}

var _ = Describe("Hostile: references", Serial, func() {
	var mine, theirs string

	BeforeEach(func(ctx SpecContext) {
		mine, theirs = newNamespace(ctx), newNamespace(ctx)
		Expect(k8s.Create(ctx, newConfigMap(theirs, "users", `{"a": 1}`))).To(Succeed())
		secret := newSecret(theirs, `{"a": 1}`)
		consent(secret)
		Expect(k8s.Create(ctx, secret)).To(Succeed())
		grantSecrets(ctx, theirs)
		grantSecrets(ctx, mine)
		proxy.Reset()
	})

	ofNobodyElse := func() {
		GinkgoHelper()
		for _, request := range proxy.Requests() {
			Expect(request.Path).NotTo(ContainSubstring(theirs))
		}
	}

	It("have no namespace: one that is written beside is dropped, and nothing of it is read", func(ctx SpecContext) {
		elsewhere := fmt.Sprintf(`"namespace": %q, "key": "rules.json"`, theirs)
		for name, fields := range map[string]string{
			"config-map": `"rulesFrom": [{"configMapKeyRef": {"name": "users", ` + elsewhere + `}}]`,
			"secret":     `"rulesFrom": [{"secretKeyRef": {"name": "creds", ` + elsewhere + `}}]`,
			"override":   `"overrides": [{"match": {"hosts": ["a.example.com"]}, "rulesFrom": [{"configMapKeyRef": {"name": "users", ` + elsewhere + `}}]}]`,
		} {
			plugin, err := postSpec(ctx, mine, name, fields)
			Expect(err).NotTo(HaveOccurred())
			Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonReferenceNotFound, "doesn't exist in namespace "+mine), name)
		}
		Expect(versions(ctx, newPlugin(mine))).To(BeEmpty())
		ofNobodyElse()
	})

	DescribeTable("lead nowhere by a path", func(ctx SpecContext, name string) {
		name = strings.ReplaceAll(name, "THEIRS", theirs)
		for kind, fields := range map[string]string{
			"config-map": `"rulesFrom": [{"configMapKeyRef": {"name": "` + name + `", "key": "rules.json"}}]`,
			"secret":     `"rulesFrom": [{"secretKeyRef": {"name": "` + name + `", "key": "rules.json"}}]`,
		} {
			plugin, err := postSpec(ctx, mine, kind, fields)
			if err != nil {
				Expect(err).To(Satisfy(apierrors.IsInvalid))
				continue
			}
			Eventually(ctx, stateOf(plugin)).Should(haveCondition(wasmv1alpha1.ConditionAccepted, metav1.ConditionFalse, Not(BeEmpty())), kind)
		}
		Expect(versions(ctx, newPlugin(mine))).To(BeEmpty())
		ofNobodyElse()
	},
		Entry("of a namespace", "THEIRS/users"),
		Entry("upwards", "../../THEIRS/configmaps/users"),
		Entry("upwards only", ".."),
		Entry("escaped", "..%2f..%2fTHEIRS%2fconfigmaps%2fusers"),
		Entry("with a query", "users?x=y"),
	)
})

var _ = Describe("Hostile: a Secret that a tenant may not read", Serial, func() {
	const password = "hunter2-that-nobody-repeats"
	var (
		namespace string
		server    *origin
		mutex     sync.Mutex
		sent      []string
	)

	BeforeEach(func(ctx SpecContext) {
		token := filepath.Join(GinkgoT().TempDir(), "token")
		Expect(os.WriteFile(token, []byte("token"), 0o600)).To(Succeed())
		resolving(ctx, "--insecure-registries=127.0.0.1", "--store-url=http://store.invalid", "--store-upload-url=https://127.0.0.1:1", "--store-token-file="+token)
		namespace, server, sent = newNamespace(ctx), startOrigin(), nil
		kubectl(ctx, "apply", "--namespace", namespace, "-f", filepath.Join(repository, "config", "rbac", "optional_module_secrets.yaml"))
		permit(ctx, namespace, author, pluginRule(everyVerb...), envoyFilterRule(everyVerb...))
	})
	makeTheirs := func(ctx context.Context, kind corev1.SecretType, data map[string]string) {
		GinkgoHelper()
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "theirs"}, Type: kind, StringData: data}
		Expect(k8s.Create(ctx, secret)).To(Succeed())
		Expect(clientOf(author).Get(ctx, client.ObjectKeyFromObject(secret), &corev1.Secret{})).To(Satisfy(apierrors.IsForbidden))
	}
	saysNothing := func(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin) {
		GinkgoHelper()
		for _, text := range []string{fmt.Sprint(refresh(ctx, plugin).Status), operator.Log()} {
			Expect(text).NotTo(ContainSubstring(password))
		}
	}

	It("is told to nobody as a key of signatures", func(ctx SpecContext) {
		makeTheirs(ctx, corev1.SecretTypeOpaque, map[string]string{"password": password})
		plugin := newModulePlugin(namespace, "signed", server.image("signed", wasmLayer, tinyModule("one", true)))
		plugin.Spec.Verification.Keys = []wasmv1alpha1.VerificationKey{
			{SecretKeyRef: wasmv1alpha1.KeyReference{Name: "theirs", Key: "password"}},
		}
		Expect(clientOf(author).Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(haveCondition(wasmv1alpha1.ConditionModuleResolved, metav1.ConditionFalse, "InvalidKey"))
		saysNothing(ctx, plugin)
		Expect(versions(ctx, plugin)).To(BeEmpty())
	})

	It("is sent to no registry but those that it names", func(ctx SpecContext) {
		makeTheirs(ctx, corev1.SecretTypeDockerConfigJson, map[string]string{
			corev1.DockerConfigJsonKey: `{"auths": {"registry.example.com": {"username": "ci", "password": "` + password + `"}}}`,
		})
		login := func(w http.ResponseWriter, r *http.Request) {
			mutex.Lock()
			sent = append(sent, r.Header.Get("Authorization"))
			mutex.Unlock()
			w.Header().Set("WWW-Authenticate", `Basic realm="registry.example.com"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		server.handle("/v2/", login)
		server.handle("/v2/stolen/manifests/1", login)
		plugin := newModulePlugin(namespace, "stolen", "oci://"+strings.TrimPrefix(server.URL, "http://")+"/stolen:1")
		plugin.Spec.ImagePullSecret = "theirs"
		Expect(clientOf(author).Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(haveCondition(wasmv1alpha1.ConditionModuleResolved, metav1.ConditionFalse, "Denied"))
		Expect(server.asked("/v2/")).To(BeNumerically(">", 0))
		mutex.Lock()
		defer mutex.Unlock()
		Expect(sent).To(HaveEach(BeEmpty()))
		saysNothing(ctx, plugin)
	})

	It("becomes rules only with its owner's consent, which is one to all authors of the namespace", func(ctx SpecContext) {
		grantSecrets(ctx, namespace)
		makeTheirs(ctx, corev1.SecretTypeOpaque, map[string]string{rulesKey: `{"password": "` + password + `"}`})
		plugin := newModulePlugin(namespace, "curious", server.file("/a.wasm", tinyModule("one", true)))
		plugin.Spec.Rules, plugin.Spec.RulesFrom = nil, []wasmv1alpha1.RulesSource{fromSecret("theirs")}
		Expect(clientOf(author).Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonReferenceNotPermitted, wasmv1alpha1.LabelRules+"=allowed"))
		saysNothing(ctx, plugin)
		Expect(versions(ctx, plugin)).To(BeEmpty())
		Expect(gets(namespace)).NotTo(ContainElement("secrets/theirs"), "the data aren't read")
	})

	DescribeTable("that has a name like a path is none", func(ctx SpecContext, name string) {
		url := server.image("path", wasmLayer, tinyModule("one", true))
		pulled, signed := newModulePlugin(namespace, "pulled", url), newModulePlugin(namespace, "signed", url)
		pulled.Spec.ImagePullSecret = name
		signed.Spec.Verification.Keys = []wasmv1alpha1.VerificationKey{{SecretKeyRef: wasmv1alpha1.KeyReference{Name: name, Key: "password"}}}
		for reason, plugin := range map[string]*wasmv1alpha1.WasmPlugin{"InvalidPullSecret": pulled, "InvalidKey": signed} {
			Expect(clientOf(author).Create(ctx, plugin)).To(Succeed())
			Eventually(ctx, stateOf(plugin)).Should(beUnresolved(verdict{reason, "doesn't exist in namespace " + namespace, false}))
		}
	},
		Entry("of another namespace", "../../istio-system/secrets/theirs"),
		Entry("escaped", "..%2ftheirs"),
	)

	// A registry says where to get a token; the operator goes there only if a module could come from there.
	It("row 3: goes to no token server at an address of the cluster's own", func(ctx SpecContext) {
		server.handle("/v2/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://169.254.169.254/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
		plugin := newModulePlugin(namespace, "led", "oci://"+strings.TrimPrefix(server.URL, "http://")+"/led:1")
		Expect(clientOf(author).Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beUnresolved(verdict{"Blocked", "token server at an internal address", false}))
	})
})
