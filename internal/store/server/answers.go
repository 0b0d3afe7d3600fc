// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const (
	contentType = "application/wasm"
	jsonType    = "application/json"
	// stall is for how long the other side may take or send nothing. slowest is for how long a request may take.
	stall   = 30 * time.Second
	slowest = 10 * time.Minute
)

// refusal is an answer that is an error, with its sentence for users. The cause is for the log.
type refusal struct {
	code    int
	message string
	cause   error
}

func refuse(code int, format string, args ...any) *refusal {
	return &refusal{code: code, message: fmt.Sprintf(format, args...)}
}

// Error is the sentence.
func (r *refusal) Error() string { return r.message }

// Unwrap is what the log says.
func (r *refusal) Unwrap() error { return r.cause }

// refusalOf makes an answer of whatever went wrong.
func refusalOf(err error) *refusal {
	if known, ok := errors.AsType[*refusal](err); ok {
		return known
	}
	if _, ok := errors.AsType[bodyError](err); ok {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return refuse(http.StatusRequestTimeout, "the upload stood still for longer than %s, or took longer than %s", stall, slowest)
		}
		return refuse(http.StatusBadRequest, "the upload broke off")
	}
	switch {
	case errors.Is(err, errAbsent):
		return refuse(http.StatusNotFound, "there is nothing of that name")
	case errors.Is(err, errTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "the module is larger than the store takes")
	case errors.Is(err, errDigest):
		return refuse(http.StatusUnprocessableEntity, "the content does not have the digest of its name")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		full := refuse(http.StatusInsufficientStorage, "the store's storage is full")
		full.cause = err
		return full
	default:
		broken := refuse(http.StatusServiceUnavailable, "the store can't do it at the moment; try again")
		broken.cause = err
		return broken
	}
}

// respond sends a JSON body.
func respond(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // who left doesn't need to know
}

// respondError sends an error as a problem, and logs what is the store's own.
func (s *Server) respondError(w http.ResponseWriter, err error) {
	refused := refusalOf(err)
	if refused.cause != nil {
		s.log.Error(refused.cause, "A request failed", "status", refused.code)
	}
	switch refused.code {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	respond(w, refused.code, store.Problem{Message: refused.message})
}

// patience bounds how long a request may take, and stand still.
type patience struct {
	control *http.ResponseController
	until   time.Time
}

func newPatience(w http.ResponseWriter) patience {
	return patience{control: http.NewResponseController(w), until: time.Now().Add(slowest)}
}

// next is until when the next step must be done.
func (p patience) next() time.Time {
	if soon := time.Now().Add(stall); soon.Before(p.until) {
		return soon
	}
	return p.until
}

// watched is a response that counts what is sent, and gives up on readers that take nothing.
type watched struct {
	http.ResponseWriter

	patience patience
	code     int
	sent     int64
}

func watch(w http.ResponseWriter) *watched {
	return &watched{ResponseWriter: w, patience: newPatience(w), code: http.StatusOK}
}

// WriteHeader notes the status.
func (w *watched) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Write gives the reader some time.
func (w *watched) Write(content []byte) (int, error) {
	if err := w.patience.control.SetWriteDeadline(w.patience.next()); err != nil {
		return 0, err
	}
	n, err := w.ResponseWriter.Write(content)
	w.sent += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *watched) Unwrap() http.ResponseWriter {
	return w.ResponseWriter
}

// upload is a request's body that gives up on senders that send nothing.
type upload struct {
	io.Reader

	patience patience
}

// Read gives the sender some time.
func (u upload) Read(buffer []byte) (int, error) {
	if err := u.patience.control.SetReadDeadline(u.patience.next()); err != nil {
		return 0, err
	}
	n, err := u.Reader.Read(buffer)
	if errors.Is(err, io.EOF) {
		// From here on the server watches whether the sender left, and would take a passed deadline for that.
		_ = u.patience.control.SetReadDeadline(u.patience.until)
	}
	return n, err
}
