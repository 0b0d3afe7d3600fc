// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"fmt"
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
