// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
)

// Kind says what kept the store from doing what it was asked for.
type Kind string

const (
	// Invalid means that the request can't be meant, or that this client is set up wrongly.
	Invalid Kind = "Invalid"
	// Unreachable means that the store did not answer, or can't serve at the moment.
	Unreachable Kind = "Unreachable"
	// Denied means that the token is not accepted, or lacks a right.
	Denied Kind = "Denied"
	// NotFound means that the store has no such module or tag.
	NotFound Kind = "NotFound"
	// Conflict means that the tag names another module already, or was moved meanwhile.
	Conflict Kind = "Conflict"
	// TooLarge means that the module, or all of its namespace's, are larger than the store takes.
	TooLarge Kind = "TooLarge"
	// Full means that the storage has no room left.
	Full Kind = "Full"
	// Refused means that the content is not what it should be: another digest, or no plugin.
	Refused Kind = "Refused"
	// Unsupported means that this store is set up without what was asked for.
	Unsupported Kind = "Unsupported"
)

// maxMessage bounds how much of the store's own words an error repeats.
const maxMessage = 512

// Error is why the store did not do what it was asked for, in a sentence for users. It holds no token and no capability.
type Error struct {
	// Kind classifies the error.
	Kind Kind

	sentence string
	cause    error
}

func newError(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, sentence: fmt.Sprintf(format, args...)}
}

// Error is the sentence.
func (e *Error) Error() string {
	return e.sentence
}

// Unwrap is what the sentence is about, where that is an error of the context, or of a way of the caller's own.
func (e *Error) Unwrap() error {
	return e.cause
}

// Temporary says whether the same request may succeed later, without a change of anything but the store.
func (e *Error) Temporary() bool {
	return e.Kind == Unreachable || e.Kind == Full
}

// KindOf is the kind of an error of this package, however it is wrapped, and "" for any other error.
func KindOf(err error) Kind {
	if known, ok := errors.AsType[*Error](err); ok {
		return known.Kind
	}
	return ""
}

// request is what an error's sentence tells of the request.
type request struct {
	method, path string
	// subject is what it is about, in words; right is what the token needs for it.
	subject, right string
}

// ofNetwork is the error of a request that got no answer. The words of the network are not repeated, since they may hold
// what the other side sent.
func (r request) ofNetwork(err error) *Error {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	known := newError(Unreachable, "%s: the store did not answer; check that its pods are ready and that its upload URL is right", r.subject)
	switch {
	case errors.Is(err, context.Canceled):
		known = newError(Unreachable, "%s: the request to the store was stopped", r.subject)
		known.cause = context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		known = newError(Unreachable, "%s: the store did not answer in time", r.subject)
		known.cause = context.DeadlineExceeded
	case errors.As(err, &authority):
		known = newError(Unreachable, "%s: the store's certificate is not signed by the given authority; check the CA file", r.subject)
	case errors.As(err, &hostname):
		known = newError(Unreachable, "%s: the store's certificate is for other names; check the upload URL", r.subject)
	case errors.As(err, &invalid):
		known = newError(Unreachable, "%s: the store's certificate is expired or not valid for a server", r.subject)
	}
	return known
}

// statuses are what a response's status stands for, and the rest of the sentence.
var statuses = map[int]struct {
	kind     Kind
	sentence string
}{
	http.StatusBadRequest:            {Invalid, "the store does not understand the request"},
	http.StatusUnauthorized:          {Denied, "the store does not accept the token; it must be issued by this cluster for the audience " + Audience},
	http.StatusNotFound:              {NotFound, "the store has nothing of that name"},
	http.StatusConflict:              {Conflict, "the tag names another module already; push under another tag, or say which one you replace"},
	http.StatusPreconditionFailed:    {Conflict, "the tag does not name the module that it should be moved from; look again and decide anew"},
	http.StatusRequestEntityTooLarge: {TooLarge, "it is larger than the store takes"},
	http.StatusInsufficientStorage:   {Full, "the store has no room left for it"},
	http.StatusUnprocessableEntity:   {Refused, "the store refuses the content"},
	http.StatusNotImplemented:        {Unsupported, "this store takes no uploads, since its storage is not declared durable"},
}

// ofStatus is the error that a response's status stands for.
func (r request) ofStatus(code int) *Error {
	known, ok := statuses[code]
	switch {
	case ok:
		return newError(known.kind, "%s: %s", r.subject, known.sentence)
	case code == http.StatusForbidden:
		return newError(Denied, "%s: the token lacks a right in the store; it needs the verb %s", r.subject, r.right)
	case code >= http.StatusInternalServerError || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return newError(Unreachable, "%s: the store can't do it at the moment (status %d)", r.subject, code)
	default:
		return newError(Invalid, "%s: what answers is not the store, or one of another release (status %d); check its upload URL", r.subject, code)
	}
}

// printable is the store's own words as one line of bounded length.
func printable(message string) string {
	clean := strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, strings.ToValidUTF8(message, "?"))
	if len(clean) > maxMessage {
		clean = strings.ToValidUTF8(clean[:maxMessage], "")
	}
	return strings.TrimSpace(clean)
}
