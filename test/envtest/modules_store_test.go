// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// privateURL is one that nobody can guess.
var privateURL = regexp.MustCompile(`^(http://127\.0\.0\.1:\d+)/modules/private/([A-Za-z0-9_-]{43})/([0-9a-f]{64})\.wasm$`)

// beKind matches an error of the store.
func beKind(kind store.Kind) gomegatypes.GomegaMatcher {
	return WithTransform(store.KindOf, Equal(kind))
}

// sayOfModule matches a plugin whose module is there, with words about it.
func sayOfModule(matcher gomegatypes.GomegaMatcher) gomegatypes.GomegaMatcher {
	return And(
		haveCondition(wasmv1alpha1.ConditionModuleResolved, metav1.ConditionTrue, wasmv1alpha1.ReasonResolved),
		WithTransform(func(plugin *wasmv1alpha1.WasmPlugin) string {
			return conditionOf(plugin, wasmv1alpha1.ConditionModuleResolved).Message
		}, matcher),
	)
}

var _ = Describe("The store of modules", Serial, Ordered, ContinueOnFailure, func() {
	var modules *moduleStore
	BeforeAll(func(ctx SpecContext) {
		kubectl(ctx, storeRights("apply")...)
		modules = startStore(ctx)
		manager := modules.client(tokenOf(ctx, operatorNamespace, "wasmplugin-operator", store.Audience))
		// The API server needs a moment to know new rights.
		Eventually(func() error { _, _, err := manager.Set(ctx, ""); return err }).Should(Succeed())
		restartOperator(ctx, modules.flags(GinkgoT().TempDir())...)
	})
	AfterAll(func(ctx SpecContext) {
		kubectl(ctx, storeRights("delete", "--ignore-not-found", "--wait=false")...)
	})
	JustAfterEach(func() {
		if modules != nil && CurrentSpecReport().Failed() {
			AddReportEntry("the store's log", modules.Log(), ReportEntryVisibilityFailureOrVerbose)
		}
	})

	It("gives a tenant's uploads to the plugins of its namespace, and to nobody else", func(ctx SpecContext) {
		ns, content, other := newNamespace(ctx), basicAuth(), tinyModule("two", true)
		newAccount(ctx, ns, "publisher")
		newAccount(ctx, ns, "stranger")
		letPush(ctx, ns, "publisher", "auth")
		publisher := modules.client(tokenOf(ctx, ns, "publisher", store.Audience))
		push := func(by *store.Client, namespace, name string, content []byte, ifMatch string) error {
			_, err := by.Push(ctx, namespace, name, "1.0", bytes.NewReader(content), ifMatch)
			return err
		}

		By("taking a module from whom it may")
		Eventually(func() error { return push(publisher, ns, "auth", content, "") }).Should(Succeed())
		Expect(push(publisher, ns, "other", content, "")).To(beKind(store.Denied), "another name")
		Expect(push(publisher, rootNamespace, "auth", content, "")).To(beKind(store.Denied), "another namespace")
		Expect(push(modules.client(tokenOf(ctx, ns, "stranger", store.Audience)), ns, "auth", other, "")).To(beKind(store.Denied), "another account")
		Expect(push(modules.client(tokenOf(ctx, ns, "publisher")), ns, "auth", other, "")).To(beKind(store.Denied), "a token for the API server")
		_, err := publisher.Tagged(ctx, ns, "auth", digestOf(content))
		Expect(err).To(beKind(store.Denied), "who pushes needn't read")

		By("having proxies fetch it where nobody can guess")
		plugin := newModulePlugin(ns, "uploaded", "store://auth:1.0")
		plugin.Spec.Rules = rulesOf(goodRules)
		createReady(ctx, plugin)
		digest := digestOf(content)
		Expect(refresh(ctx, plugin).Status.Delivery).To(Equal(wasmv1alpha1.DeliveryStore))
		Expect(plugin.Status.Module.Digest).To(Equal(digest))
		Expect(plugin.Status.Module.Source).To(Equal("store://auth@" + digest))
		url, capability := privately(ctx, modules, plugin, digest)
		Expect(served(ctx, url)(Default)).To(Equal(digest))
		Expect(served(ctx, modules.url+store.Path(digest, ""))(Default)).To(Equal("Not Found"))
		Expect(served(ctx, modules.url+store.Path(digest, store.NewCapability()))(Default)).To(Equal("Not Found"))

		By("not letting another namespace have it")
		elsewhere := newModulePlugin(newNamespace(ctx), "uploaded", "store://auth:1.0")
		Expect(k8s.Create(ctx, elsewhere)).To(Succeed())
		Eventually(ctx, stateOf(elsewhere)).Should(beUnresolved(verdict{"NotFound", elsewhere.Namespace + "/auth:1.0", false}))
		Expect(versions(ctx, elsewhere)).To(BeEmpty())

		By("moving a tag only for whom says from where")
		Expect(push(publisher, ns, "auth", other, "")).To(beKind(store.Conflict))
		Expect(push(publisher, ns, "auth", other, digestOf(other))).To(beKind(store.Conflict))
		Expect(push(publisher, ns, "auth", other, digest)).To(Succeed())
		Expect(push(publisher, ns, "auth", content, digest)).To(beKind(store.Conflict), "it moved meanwhile")
		inEffect := func(g Gomega) string { return stateOf(plugin)(g, ctx).Status.Module.Digest }
		Consistently(inEffect).Should(Equal(digest))
		refreshNow(ctx, plugin, "moved")
		Eventually(inEffect).Should(Equal(digestOf(other)))
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		moved, _ := privately(ctx, modules, plugin, digestOf(other))
		Expect(served(ctx, moved)(Default)).To(Equal(digestOf(other)))
		Expect(served(ctx, url)(Default)).To(Equal(digest), "proxies that have not heard of it fetch the old one")

		status, err := json.Marshal(refresh(ctx, plugin).Status)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(status) + operator.Log() + modules.Log()).NotTo(ContainSubstring(capability))
	})

	It("that loses its disk gets its modules back, and no running proxy notices", func(ctx SpecContext) {
		ns, server, cache := newNamespace(ctx), startOrigin(), GinkgoT().TempDir()
		content := tinyModule("lost", true)
		relaunch(ctx, modules.flags(cache)...)
		plugin := newModulePlugin(ns, "lost", server.file("/lost.wasm", content))
		createReady(ctx, plugin)
		Expect(refresh(ctx, plugin).Status.Delivery).To(Equal(wasmv1alpha1.DeliveryStore), "the default where there is a store")
		url, digest, sum := modules.url+store.Path(digestOf(content), ""), digestOf(content), strings.TrimPrefix(digestOf(content), "sha256:")
		fetched, checked := deliveredBy(ctx, plugin)
		Expect([]any{fetched, checked}).To(Equal([]any{url, sum}))
		Expect(served(ctx, url)(Default)).To(Equal(digest))
		before, message := versions(ctx, plugin), conditionOf(plugin, wasmv1alpha1.ConditionModuleResolved).Message
		lose := func(cache string) {
			GinkgoHelper()
			Expect(operator.Stop()).To(Succeed())
			modules.loseFolder(ctx)
			Expect(served(ctx, url)(Default)).To(Equal("Not Found"))
			proxy.Reset()
			operator = launch(ctx, modules.flags(cache)...)
		}

		By("from the operator's cache")
		lose(cache)
		Eventually(served(ctx, url)).Should(Equal(digest))
		quiet(ns)
		Expect(server.asked("/lost.wasm")).To(Equal(1))

		By("from where it came from")
		lose(GinkgoT().TempDir())
		Eventually(served(ctx, url)).Should(Equal(digest))
		quiet(ns)
		Expect(server.asked("/lost.wasm")).To(Equal(2))

		By("saying so when it is gone there, too")
		server.handle("/lost.wasm", answering(http.StatusNotFound))
		lose(GinkgoT().TempDir())
		Eventually(ctx, stateOf(plugin)).Should(And(beReady(), sayOfModule(And(
			ContainSubstring("The store lost the module, and it could not be put back"), ContainSubstring("status 404"), Not(ContainSubstring(body)),
		))))
		quiet(ns, "PATCH wasmplugins/lost/status")
		Expect(served(ctx, url)(Default)).To(Equal("Not Found"))

		By("and no longer when it is back")
		server.file("/lost.wasm", content)
		relaunch(ctx, modules.flags(GinkgoT().TempDir())...)
		Eventually(served(ctx, url)).Should(Equal(digest))
		Eventually(ctx, stateOf(plugin)).Should(And(beReady(), sayOfModule(Equal(message))))
		Expect(versions(ctx, plugin)).To(Equal(before), "its pair was never written")
	})

	It("is told which modules are in use, and keeps others for those that fetch again", func(ctx SpecContext) {
		server, content, flags := startOrigin(), tinyModule("deleted", true), modules.flags(GinkgoT().TempDir())
		relaunch(ctx, flags...)
		plugin := newModulePlugin(newNamespace(ctx), "deleted", server.file("/deleted.wasm", content))
		createReady(ctx, plugin)
		manager := modules.client(tokenOf(ctx, operatorNamespace, "wasmplugin-operator", store.Audience))
		set := func() store.ReferenceSet {
			GinkgoHelper()
			known, _, err := manager.Set(ctx, "")
			Expect(err).NotTo(HaveOccurred())
			return known
		}
		// told is what a new process says as soon as it leads.
		told := func() store.ReferenceSet {
			GinkgoHelper()
			before := set().Revision
			relaunch(ctx, flags...)
			Eventually(set).Should(HaveField("Revision", BeNumerically(">", before)))
			return set()
		}
		inUse := HaveField("References", ContainElement(store.Reference{Digest: digestOf(content)}))
		Expect(told()).To(inUse)

		Expect(k8s.Delete(ctx, plugin)).To(Succeed())
		Eventually(func() map[string]string { return versions(ctx, plugin) }).Should(BeEmpty())
		Expect(told()).NotTo(inUse)
		Expect(served(ctx, modules.url+store.Path(digestOf(content), ""))(Default)).To(Equal(digestOf(content)))
	})
})

// privately is the URL of an uploaded module in the plugin's pair, and the part of it that is secret.
func privately(ctx context.Context, modules *moduleStore, plugin *wasmv1alpha1.WasmPlugin, digest string) (url, capability string) {
	GinkgoHelper()
	fetched, checked := deliveredBy(ctx, plugin)
	parts := privateURL.FindStringSubmatch(fmt.Sprint(fetched))
	sum := strings.TrimPrefix(digest, "sha256:")
	Expect(parts).To(HaveExactElements(fetched, modules.url, Not(BeEmpty()), sum))
	Expect(checked).To(Equal(sum))
	return parts[0], parts[2]
}
