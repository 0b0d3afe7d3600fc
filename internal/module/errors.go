// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Kind says what kept a module from being fetched.
type Kind string

const (
	// InvalidReference means that the URL or the digest can't be meant. No server was asked.
	InvalidReference Kind = "InvalidReference"
	// InvalidPullSecret means that the pull secret is no Docker configuration. No server was asked.
	InvalidPullSecret Kind = "InvalidPullSecret" //nolint:gosec // A reason, not a secret.
	// Unsupported means that the reference or the module is well-formed, but the fetcher or Envoy can't take it.
	Unsupported Kind = "Unsupported"
	// Blocked means that the way leads to where modules are not fetched from.
	Blocked Kind = "Blocked"
	// Unreachable means that no server answered, or one that can't serve at the moment.
	Unreachable Kind = "Unreachable"
	// Denied means that the server wants other credentials.
	Denied Kind = "Denied"
	// NotFound means that the server knows nothing of that name.
	NotFound Kind = "NotFound"
	// TooLarge means that a bound on sizes was passed.
	TooLarge Kind = "TooLarge"
	// BadArtifact means that what was served is no image or archive that holds a module.
	BadArtifact Kind = "BadArtifact"
	// NotWasm means that what was served is no WebAssembly module.
	NotWasm Kind = "NotWasm"
	// DigestMismatch means that what was served is not what the digest promised.
	DigestMismatch Kind = "DigestMismatch"
	// TimedOut means that the server was too slow.
	TimedOut Kind = "TimedOut"
	// NotSigned means that none of the keys and identities that may sign has signed the module.
	NotSigned Kind = "NotSigned"
	// InvalidKey means that what was given as a public key is none. No server was asked.
	InvalidKey Kind = "InvalidKey"
	// InvalidIdentity means that what was given as a signer's identity can't be meant. No server was asked.
	InvalidIdentity Kind = "InvalidIdentity"
	// InvalidTrustRoot means that identities are to be checked against a trust root that is missing, or is none. No server
	// was asked.
	InvalidTrustRoot Kind = "InvalidTrustRoot"
	// Busy means that too much is being fetched already, of this host, for this namespace or altogether.
	Busy Kind = "Busy"
)

// busyRetry is long enough for others to finish a fetch, and short enough for nobody to wonder.
const busyRetry = 2 * time.Second

// longestRetry bounds what a server may ask for: a typing error there must not stop a plugin for a year.
const longestRetry = time.Hour

// Error is why a module can't be had, in a sentence for users. It never holds a byte of what a server sent as a body, of
// the query of a URL, or of a credential; so it may stand in status, events and logs.
type Error struct {
	// Kind classifies the error.
	Kind Kind
	// RetryAfter is what the server asked for, at most an hour; 0 where it asked for nothing.
	RetryAfter time.Duration

	subject  string
	sentence string
}

// NewError makes an error of a sentence, for packages that judge what was fetched.
func NewError(kind Kind, format string, args ...any) *Error {
	return newError(kind, format, args...)
}

func newError(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, sentence: fmt.Sprintf(format, args...)}
}

// Error is the sentence, after the reference that it is about.
func (e *Error) Error() string {
	if e.subject == "" {
		return e.sentence
	}
	return e.subject + ": " + e.sentence
}

// Temporary says whether the same request may succeed later, without a change of the plugin or of the module.
func (e *Error) Temporary() bool {
	return e.Kind == Unreachable || e.Kind == TimedOut || e.Kind == Busy
}

// KindOf is the kind of an error of this package, however it is wrapped, and "" for any other error.
func KindOf(err error) Kind {
	if known, ok := errors.AsType[*Error](err); ok {
		return known.Kind
	}
	return ""
}

// about names the reference in an error that a part of the fetch returned. Errors that nobody made a sentence of are
// replaced, since they may repeat what the server said.
func about(ref Reference, err error) error {
	if known, ok := errors.AsType[*Error](err); ok {
		named := *known
		named.subject = ref.String()
		return &named
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: fetching was stopped: %w", ref, context.Canceled)
	}
	return &Error{Kind: Unreachable, subject: ref.String(), sentence: "the server's answer broke off"}
}

// ofStatus is the error that a response's status stands for. The hint says what to do when access is denied.
func ofStatus(response *http.Response, hint string) *Error {
	code := response.StatusCode
	switch {
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusProxyAuthRequired:
		return newError(Denied, "the server denies access (status %d); %s", code, hint)
	case code == http.StatusNotFound || code == http.StatusGone:
		return newError(NotFound, "there is nothing of that name (status %d); check the name, the tag and the digest", code)
	case transient(code):
		err := newError(Unreachable, "the server can't serve it at the moment (status %d)", code)
		err.RetryAfter = retryAfter(response.Header.Get("Retry-After"))
		return err
	default:
		return newError(BadArtifact, "the server answers with status %d where a module was expected", code)
	}
}

func transient(code int) bool {
	return code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly ||
		code >= http.StatusInternalServerError
}

// retryAfter reads the header's two forms, seconds and a date.
func retryAfter(header string) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(header); err == nil {
		wait = time.Until(date)
	}
	return min(max(wait, 0), longestRetry)
}
