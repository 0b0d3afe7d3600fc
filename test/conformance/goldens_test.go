// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// standingWarning is what istiod says of every EnvoyFilter.
const standingWarning = "EnvoyFilter exposes internal implementation details"

// istiod's admission webhook validates EnvoyFilters; here it is asked for those of the renderer's golden files.
var _ = Describe("istiod's validation", func() {
	for _, file := range goldens() {
		filters := envoyFilters(file)
		if len(filters) == 0 {
			continue // what is refused has none
		}
		It("takes "+filepath.Base(file), func(ctx SpecContext) {
			for _, filter := range filters {
				response := review(ctx, filter)
				Expect(response.Allowed).To(BeTrue(), "%s: %v", filter.GetName(), response.Result)
				Expect(response.Warnings).To(ConsistOf(ContainSubstring(standingWarning)), filter.GetName())
			}
		})
	}
	It("refuses what is wrong", func(ctx SpecContext) {
		filter := envoyFilter{Raw: []byte(`{"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
			"metadata": {"name": "wrong", "namespace": "default"},
			"spec": {"configPatches": [{"applyTo": "HTTP_FILTER", "patch": {"operation": "ADD", "value": {"name": 5}}}]}}`)}
		Expect(review(ctx, filter).Allowed).To(BeFalse())
	})
})

func goldens() []string {
	files, err := filepath.Glob(filepath.Join(repository, "internal", "translate", "testdata", "*.out.yaml"))
	if err != nil || len(files) == 0 {
		panic("no golden files")
	}
	return files
}

// envoyFilter is an EnvoyFilter as JSON.
type envoyFilter struct {
	metav1.PartialObjectMetadata
	Raw []byte
}

// envoyFilters are those of a golden file.
func envoyFilters(file string) []envoyFilter {
	content, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	var filters []envoyFilter
	for document := range strings.SplitSeq(string(content), "\n---\n") {
		var filter envoyFilter
		if filter.Raw, err = yaml.YAMLToJSON([]byte(document)); err != nil {
			panic(err)
		}
		if err := json.Unmarshal(filter.Raw, &filter.PartialObjectMetadata); err != nil {
			panic(err)
		}
		if filter.Kind == "EnvoyFilter" {
			filters = append(filters, filter)
		}
	}
	return filters
}

// review sends what the API server would send to istiod for a new object.
func review(ctx context.Context, filter envoyFilter) *admissionv1.AdmissionResponse {
	GinkgoHelper()
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:       types.UID(filter.GetName()),
			Kind:      metav1.GroupVersionKind{Group: "networking.istio.io", Version: "v1alpha3", Kind: "EnvoyFilter"},
			Resource:  metav1.GroupVersionResource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"},
			Namespace: filter.GetNamespace(),
			Name:      filter.GetName(),
			Operation: admissionv1.Create,
			Object:    runtime.RawExtension{Raw: filter.Raw},
		},
	})
	Expect(err).NotTo(HaveOccurred())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, istiod.URL+"/validate", bytes.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(answer.StatusCode).To(Equal(http.StatusOK), string(content))
	var reviewed admissionv1.AdmissionReview
	Expect(json.Unmarshal(content, &reviewed)).To(Succeed())
	Expect(reviewed.Response).NotTo(BeNil())
	return reviewed.Response
}
