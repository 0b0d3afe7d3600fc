// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// secret is a text, and what gives it away: its beginning and its end, as they are and as base64, which differs by where
// the text begins in what was encoded.
type secret struct {
	what    string
	needles []string
}

func newSecret(what, text string) secret {
	const enough = 10
	s := secret{what: what, needles: []string{text[:enough], text[len(text)-enough:]}}
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("-", before) + text))
		// A character stands for six bits. Those at the ends hold bits of the neighbours too.
		first, end := (8*before+5)/6, 8*(before+len(text))/6
		s.needles = append(s.needles, encoded[first:first+enough], encoded[end-enough:end])
	}
	return s
}

// in says whether a text gives the secret away.
func (s secret) in(text string) bool {
	return slices.ContainsFunc(s.needles, func(needle string) bool { return strings.Contains(text, needle) })
}

// place is somewhere to search.
type place struct{ where, text string }

// checkLeaks looks for the registry's password and for a rule, in whatever people other than their owners may read.
func checkLeaks(ctx context.Context, gw gateway, rule string) {
	GinkgoHelper()
	password, rules := newSecret("the registry's password", world.PullPassword), newSecret("the rule", rule)
	found, pair := objects(ctx, gw.Gateway.Namespace)
	places := slices.Concat(found, metrics(ctx), logs(), files(), processes())
	Expect(len(places)).To(BeNumerically(">", 100))
	var leaks []string
	for _, p := range places {
		if password.in(p.text) {
			leaks = append(leaks, password.what+" is in "+p.where)
		}
		if rules.in(p.text) && p.where != gw.LogFile() {
			leaks = append(leaks, rules.what+" is in "+p.where)
		}
	}
	Expect(leaks).To(BeEmpty())
	Expect(password.in(pair)).To(BeFalse(), "%s is in the pair", password.what)
	Expect(rules.in(pair)).To(BeTrue(), "%s isn't found where it must be", rules.what)
}

// rulesSecret is the name of the Secret with the rule.
const rulesSecret = "rules"

// objects are all objects of the cluster, of whatever kind, but for the Secrets themselves, and without the specs of a
// namespace's EnvoyFilters, which come by themselves.
func objects(ctx context.Context, namespace string) (places []place, pair string) {
	GinkgoHelper()
	config := rest.CopyConfig(world.Cluster.Config)
	config.WarningHandlerWithContext = rest.NoWarnings{} // of kinds that are listed only here
	known, err := discovery.NewDiscoveryClientForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	lists, err := known.ServerPreferredResources()
	Expect(err).NotTo(HaveOccurred())
	client, err := dynamic.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list"}}, lists) {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		Expect(err).NotTo(HaveOccurred())
		for _, resource := range list.APIResources {
			list, err := client.Resource(group.WithResource(resource.Name)).List(ctx, metav1.ListOptions{})
			Expect(err).NotTo(HaveOccurred())
			for _, object := range list.Items {
				if object.GetKind() == "Secret" && slices.Contains(secretSpaces, object.GetNamespace()) &&
					slices.Contains([]string{pullSecret, rulesSecret}, object.GetName()) {
					continue
				}
				if object.GetNamespace() == namespace && object.GetKind() == "EnvoyFilter" {
					pair += text(&unstructured.Unstructured{Object: object.Object["spec"].(map[string]any)})
					delete(object.Object, "spec")
				}
				places = append(places, place{fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName()), text(&object)})
			}
		}
	}
	return places, pair
}

func text(object *unstructured.Unstructured) string {
	GinkgoHelper()
	return fmt.Sprint(object.Object)
}

// metrics are those of the manager, of the store and of istiod.
func metrics(ctx context.Context) []place {
	GinkgoHelper()
	urls := []string{world.MetricsURL, world.Istiod.MetricsURL}
	for _, replica := range world.Store.Replicas {
		urls = append(urls, replica.MetricsURL)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // made by the manager itself
	}}
	var places []place
	for _, url := range urls {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Authorization", "Bearer "+world.Cluster.Config.BearerToken)
		response, err := client.Do(request)
		Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(response.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(response.Body.Close()).To(Succeed())
		Expect(response.StatusCode).To(Equal(http.StatusOK), "%s: %s", url, content)
		places = append(places, place{url, string(content)})
	}
	return places
}

// logs are those of all processes.
func logs() []place {
	GinkgoHelper()
	return filesIn(world.Dir, func(path string) bool { return filepath.Ext(path) == ".log" })
}

// files are what the manager, the checker and the store keep.
func files() []place {
	GinkgoHelper()
	everything := func(string) bool { return true }
	return append(filesIn(filepath.Join(world.Dir, "pod"), everything), filesIn(filepath.Join(world.Dir, "store"), everything)...)
}

func filesIn(dir string, wanted func(path string) bool) []place {
	GinkgoHelper()
	var paths []string
	Expect(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && wanted(path) {
			paths = append(paths, path)
		}
		return err
	})).To(Succeed())
	var places []place
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has been replaced or collected since
		}
		Expect(err).NotTo(HaveOccurred())
		places = append(places, place{path, string(content)})
	}
	return places
}

// processes are the arguments and environments that the system shows of the operator's processes, where it shows any.
func processes() []place {
	GinkgoHelper()
	running := []*chain.Process{world.Operator, world.Checker}
	for _, replica := range world.Store.Replicas {
		running = append(running, replica.Process)
	}
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		return nil
	}
	var places []place
	for _, process := range running {
		for _, file := range []string{"cmdline", "environ"} {
			path := fmt.Sprintf("/proc/%d/%s", process.PID(), file)
			content, err := os.ReadFile(path)
			Expect(err).NotTo(HaveOccurred())
			places = append(places, place{path, string(content)})
		}
	}
	return places
}
