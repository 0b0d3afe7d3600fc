// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"fmt"
	"net/http"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// Refusal is an answer in the place of the API server's.
type Refusal struct {
	// Name says it in a few words.
	Name string
	// Terminal says that a client is right not to ask again by itself, if what it wrote was answered so.
	Terminal bool
	Answer   chain.Intercept
}

// Refusals are all answers that a client must be able to take from an API server, or from what stands before it.
func Refusals() []Refusal {
	return []Refusal{
		{Name: "400", Terminal: true, Answer: status(http.StatusBadRequest, metav1.StatusReasonBadRequest, 0)},
		{Name: "401", Answer: status(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, 0)},
		{Name: "403", Answer: status(http.StatusForbidden, metav1.StatusReasonForbidden, 0)},
		{Name: "404", Answer: status(http.StatusNotFound, metav1.StatusReasonNotFound, 0)},
		{Name: "409", Answer: status(http.StatusConflict, metav1.StatusReasonConflict, 0)},
		{Name: "410", Answer: status(http.StatusGone, metav1.StatusReasonExpired, 0)},
		{Name: "413", Terminal: true, Answer: status(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, 0)},
		{Name: "422", Terminal: true, Answer: status(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, 0)},
		{Name: "429", Answer: status(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, 1)},
		{Name: "500", Answer: status(http.StatusInternalServerError, metav1.StatusReasonInternalError, 0)},
		{Name: "502-html", Answer: body(http.StatusBadGateway, "text/html", "<html><h1>502 Bad Gateway</h1></html>")},
		{Name: "503", Answer: status(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, 0)},
		{Name: "504", Answer: status(http.StatusGatewayTimeout, metav1.StatusReasonTimeout, 0)},
		{Name: "404-html", Answer: body(http.StatusNotFound, "text/html", "<html>default backend - 404</html>")},
		{Name: "truncated", Answer: body(http.StatusOK, "application/json", `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"na`)},
		{Name: "wrong-kind", Answer: body(http.StatusOK, "application/json", `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","namespace":"y"},"data":{}}`)},
	}
}

// status answers in the API server's form of an error.
func status(code int, reason metav1.StatusReason, retryAfter int) chain.Intercept {
	text := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"%s, on purpose","reason":%q,"code":%d}`,
		http.StatusText(code), reason, code)
	answer := body(code, "application/json", text)
	return func(w http.ResponseWriter, r *http.Request) bool {
		if retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		}
		return answer(w, r)
	}
}

func body(code int, contentType, text string) chain.Intercept {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text)) // a client that has gone is what it may be
		return true
	}
}
