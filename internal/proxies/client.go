// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Istiod is one istiod to ask.
type Istiod struct {
	// Name is its Pod's, or its address, for messages.
	Name string
	// Address is HOST:PORT.
	Address string
	// ServerName is verified against its certificate.
	ServerName string
	// Revision is the one that it serves; empty for unknown.
	Revision string
}

// Asker asks one istiod. It is for one goroutine.
type Asker interface {
	// Ask returns what istiod has under /debug/RESOURCE. Its error is an *Error, or a *StatusError where istiod answers that
	// it has no such thing.
	Ask(ctx context.Context, resource string) ([]byte, error)
	// Close ends the connection.
	Close() error
}

// Reason says why an istiod can't be read.
type Reason string

// Values of Reason.
const (
	Unreachable    Reason = "Unreachable"
	Denied         Reason = "Denied"
	BadCertificate Reason = "BadCertificate"
	TimedOut       Reason = "TimedOut"
	Garbage        Reason = "Garbage"
	TooLarge       Reason = "TooLarge"
)

// labels are the reasons as metrics have them.
var labels = map[Reason]string{
	Unreachable: "unreachable", Denied: "denied", BadCertificate: "bad_certificate", TimedOut: "timed_out", Garbage: "garbage", TooLarge: "too_large",
}

// Label is the reason as metrics have it.
func (r Reason) Label() string { return labels[r] }

// Error says why an istiod can't be read. Its text is a sentence for users, and the same as long as the cause is.
type Error struct {
	Istiod string
	Reason Reason
	Text   string
	cause  error
}

func (e *Error) Error() string { return fmt.Sprintf("istiod %s: %s", e.Istiod, e.Text) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// StatusError is istiod's own answer that it can't say.
type StatusError struct {
	Code int
	Text string
}

func (e *StatusError) Error() string { return fmt.Sprintf("istiod answers %d: %s", e.Code, e.Text) }

// maxText bounds what is repeated of an answer.
const maxText = 200

// text is the beginning of what somebody else said, on one line.
func text(said string) string {
	said = strings.Join(strings.Fields(strings.ToValidUTF8(said, "?")), " ")
	if len(said) > maxText {
		said = strings.ToValidUTF8(said[:maxText], "") + "…"
	}
	return said
}

func tooLargeText(bound int) string {
	if bound < 1<<20 {
		return fmt.Sprintf("answers with more than %d bytes", bound)
	}
	return fmt.Sprintf("answers with more than %d MiB", bound>>20)
}

// withoutStatus tells an answer from the text of an error, by which xDS has no status: istiod means to put its headers before
// such a text, as JSON, and doesn't, since what should tell that there are some is never set (istio.io/istio 1.31,
// pilot/pkg/xds/debuggen.go, wroteHeader). All that is asked for is an object or a list.
func withoutStatus(body []byte) ([]byte, error) {
	if code, after, found := cutStatus(body); found {
		return nil, &StatusError{Code: code, Text: text(after)}
	}
	start := bytes.TrimLeft(body[:min(len(body), 2*maxText)], " \t\r\n")
	if bytes.HasPrefix(start, []byte("{")) || bytes.HasPrefix(start, []byte("[")) {
		return body, nil
	}
	return nil, &StatusError{Code: statusOf(start), Text: text(string(start))}
}

// cutStatus takes headers with a status off a text.
func cutStatus(body []byte) (code int, after string, found bool) {
	start := body[:min(len(body), 2*maxText)]
	if !bytes.HasPrefix(start, []byte(`{"statusCode"`)) {
		return 0, "", false
	}
	decoder := json.NewDecoder(bytes.NewReader(start))
	var headers struct{ StatusCode string }
	if err := decoder.Decode(&headers); err != nil {
		return 0, "", false
	}
	code, err := strconv.Atoi(headers.StatusCode)
	return code, string(start[decoder.InputOffset():]), err == nil
}

// statusOf is the status that istiod's handlers write with a text (debug.go there).
func statusOf(text []byte) int {
	switch {
	case bytes.HasPrefix(text, []byte("Proxy not connected")), bytes.HasPrefix(text, []byte("404 ")):
		return http.StatusNotFound
	case bytes.HasPrefix(text, []byte("You must provide")):
		return http.StatusBadRequest
	default:
		return http.StatusInternalServerError
	}
}
