// SPDX-License-Identifier: Apache-2.0

// Package checker runs dry starts in a process of its own: to compile a large module takes hundreds of megabytes for
// seconds, nothing can interrupt it, and whoever is killed for its memory takes all with it that runs in its process.
//
// Server is that process, Child starts it where no container does, and Client asks it. They speak HTTP over a Unix
// socket; modules and rules are in no argument, file or log line.
package checker

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

const (
	pathCheck  = "/check"
	pathHealth = "/healthz"
	// anyHost stands in URLs where the socket is what counts.
	anyHost = "http://checker"

	// maxModule and maxQuestion bound a check: the module, and all else that it is started with.
	maxModule   = 256 << 20
	maxQuestion = 8 << 20
	maxAnswer   = 16 << 20

	// atOnce is how many checks run at a time, so that one that takes its minute stops no other.
	atOnce = 2
)

var errMalformed = errors.New("the request is no check: send its length in 4 bytes, JSON, and the module")

// question is a check as it is sent: the length of its JSON in four bytes, the JSON, then the module as it is.
type question struct {
	head    []byte
	module  []byte
	plugins int
}

func newQuestion(request drystart.Request) (question, error) {
	module := request.Module
	request.Module = nil
	text, err := json.Marshal(request)
	if err != nil {
		return question{}, fmt.Errorf("write the check: %w", err)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(min(len(text), maxQuestion+1)))
	return question{head: append(head, text...), module: module, plugins: len(request.Plugins)}, nil
}

// fits says whether a checker takes it.
func (q question) fits() bool {
	return len(q.head) <= maxQuestion && len(q.module) <= maxModule
}

func (q question) size() int64 { return int64(len(q.head)) + int64(len(q.module)) }

func (q question) body() io.Reader {
	return io.MultiReader(bytes.NewReader(q.head), bytes.NewReader(q.module))
}

// readQuestion reads a check of size bytes.
func readQuestion(body io.Reader, size int64) (drystart.Request, error) {
	const lengthSize = 4
	var request drystart.Request
	length := make([]byte, lengthSize)
	if _, err := io.ReadFull(body, length); err != nil {
		return request, errMalformed
	}
	text := int64(binary.BigEndian.Uint32(length))
	module := size - lengthSize - text
	if text > maxQuestion || module < 0 || module > maxModule {
		return request, errMalformed
	}
	content := make([]byte, text)
	if _, err := io.ReadFull(body, content); err != nil {
		return request, errMalformed
	}
	if json.Unmarshal(content, &request) != nil {
		// What the decoder says may repeat a rule.
		return request, errMalformed
	}
	request.Module = make([]byte, module)
	if _, err := io.ReadFull(body, request.Module); err != nil {
		return request, errMalformed
	}
	return request, nil
}
