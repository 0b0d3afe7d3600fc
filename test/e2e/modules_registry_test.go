// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// Namespaces whose Secrets the operator may get. Each belongs to one container of specs.
const (
	imagesSpace     = "e2e-images"
	tagsSpace       = "e2e-tags"
	signaturesSpace = "e2e-signatures"
	secretsSpace    = "e2e-secrets"
	journeySpace    = "e2e-journey"
	languagesSpace  = "e2e-languages"
)

var secretSpaces = []string{imagesSpace, tagsSpace, signaturesSpace, secretsSpace, journeySpace, languagesSpace}

// pullSecret is the name of the Secret with which each of them pulls from the registry.
const pullSecret = "regcred"

// chartValues are what the suite sets.
func chartValues() []string {
	list := "={" + strings.Join(secretSpaces, ",") + "}"
	return []string{"modules.secretNamespaces" + list, "rulesFrom.secretNamespaces" + list, "modules.resolveIntervalSeconds=10"}
}

// registrySpace is one of secretSpaces, with a pull secret.
func registrySpace(ctx context.Context, name string) space {
	GinkgoHelper()
	config, err := world.Registry.DockerConfig()
	Expect(err).NotTo(HaveOccurred())
	Expect(api.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: pullSecret},
		Type:       corev1.SecretTypeDockerConfigJson,
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: config},
	})).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		Expect(api.DeleteAllOf(ctx, &wasmv1alpha1.WasmPlugin{}, client.InNamespace(name))).To(Succeed())
	})
	return space{name}
}

// push puts a plugin that world.Plugin knows into the registry, and returns the image by digest, without the registry.
func push(ctx context.Context, image string, format chain.Format, path string) string {
	GinkgoHelper()
	digest, err := world.Registry.Push(ctx, image, format, moduleBytes(path))
	Expect(err).NotTo(HaveOccurred())
	repository, _, _ := strings.Cut(image, ":")
	return repository + "@" + digest
}

// imageURL is the URL of an image in the registry.
func imageURL(image string) string { return "oci://" + world.Registry.Address + "/" + image }

// pulled makes a plugin one whose module is an image in the registry.
func pulled(spec wasmv1alpha1.WasmPluginSpec, image string) wasmv1alpha1.WasmPluginSpec {
	spec.URL, spec.ImagePullSecret = imageURL(image), pullSecret
	return spec
}

// signingKey makes a key pair, and a ConfigMap with the public key under the name cosign.pub.
func (s space) signingKey(ctx context.Context, name string) {
	GinkgoHelper()
	public, err := world.Cosign.NewKey(ctx, s.namespace+"-"+name)
	Expect(err).NotTo(HaveOccurred())
	Expect(api.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}, Data: map[string]string{"cosign.pub": string(public)},
	})).To(Succeed())
}

func (s space) sign(ctx context.Context, image, key string, layout chain.Layout) {
	GinkgoHelper()
	Expect(world.Cosign.Sign(ctx, world.Registry, image, s.namespace+"-"+key, layout)).To(Succeed())
}

// signedBy asks for a signature by a key that signingKey made.
func signedBy(spec wasmv1alpha1.WasmPluginSpec, key string) wasmv1alpha1.WasmPluginSpec {
	spec.Verification.Keys = []wasmv1alpha1.VerificationKey{
		{ConfigMapKeyRef: wasmv1alpha1.KeyReference{Name: key, Key: "cosign.pub"}},
	}
	return spec
}

// hexDigest is the SHA-256 of a plugin's module.
func hexDigest(path string) string {
	GinkgoHelper()
	sum := sha256.Sum256(moduleBytes(path))
	return hex.EncodeToString(sum[:])
}

// has waits for a condition of the present generation, and for a message with all of the words.
func (s space) has(
	ctx context.Context, name, conditionType string, status metav1.ConditionStatus, reason string, words ...string,
) *wasmv1alpha1.WasmPlugin {
	GinkgoHelper()
	var plugin *wasmv1alpha1.WasmPlugin
	Eventually(ctx, func(g Gomega) {
		plugin = s.observed(ctx, name)
		got := condition(plugin, conditionType)
		g.Expect([]any{got.Status, got.Reason}).To(Equal([]any{status, reason}), got.Message)
		for _, word := range words {
			g.Expect(got.Message).To(ContainSubstring(word))
		}
	}).WithTimeout(patience).Should(Succeed())
	return plugin
}

// configOf is the spec of the half with a plugin's configuration, as JSON.
func (s space) configOf(ctx context.Context, name string) string {
	GinkgoHelper()
	half := &unstructured.Unstructured{}
	half.SetAPIVersion(envoyFilterList.GroupVersion().String())
	half.SetKind("EnvoyFilter")
	Expect(api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name + "-config"}, half)).To(Succeed())
	text, err := json.Marshal(half.Object["spec"])
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// refresh asks the operator to look at a plugin's Secrets and tag at once.
func (s space) refresh(ctx context.Context, name string) {
	GinkgoHelper()
	s.annotate(ctx, name, wasmv1alpha1.AnnotationRefresh, "1")
}

// watching sends a request again and again, at a pace that lasts through a change of any length.
type watching struct {
	cancel  context.CancelFunc
	done    chan struct{}
	answers []string
	sent    int
}

func watch(ctx context.Context, probe chain.Probe) *watching {
	ctx, cancel := context.WithCancel(ctx)
	w := &watching{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for ctx.Err() == nil {
			w.send(ctx, probe)
			<-pace.C
		}
	}()
	DeferCleanup(w.end)
	return w
}

func (w *watching) send(ctx context.Context, probe chain.Probe) {
	got, err := probe.Do(ctx)
	answer := fmt.Sprint(got.Status)
	switch {
	case ctx.Err() != nil:
		return // cut off by the end
	case err != nil:
		answer = err.Error()
	}
	w.sent++
	if !slices.Contains(w.answers, answer) {
		w.answers = append(w.answers, answer)
	}
}

func (w *watching) end() {
	w.cancel()
	<-w.done
}

// saw ends it, and expects that all answers had one status.
func (w *watching) saw(status int) {
	GinkgoHelper()
	w.end()
	Expect(w.answers).To(Equal([]string{fmt.Sprint(status)}))
	Expect(w.sent).To(BeNumerically(">=", enoughRequests))
}
