// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxInput bounds what one file may hold.
const maxInput = 64 << 20

// stdinName stands for standard input on the command line.
const stdinName = "-"

// Text is a part of a file: what stands between two lines that begin with ---.
type Text struct {
	File    string
	Line    int // of its first line, from 1
	Content []byte
}

// ReadTexts reads the files in order and splits them.
func ReadTexts(ctx context.Context, in io.Reader, names []string) ([]Text, error) {
	var texts []Text
	stdin := false
	for _, name := range names {
		if name == stdinName && stdin {
			return nil, errors.New("standard input (-) is named twice, and can be read once")
		}
		stdin = stdin || name == stdinName
		content, err := readFile(ctx, in, name)
		if err != nil {
			return nil, err
		}
		if name == stdinName {
			name = "stdin"
		}
		texts = append(texts, Split(name, content)...)
	}
	return texts, nil
}

func readFile(ctx context.Context, in io.Reader, name string) ([]byte, error) {
	if name == stdinName {
		return readAll(ctx, "standard input", in)
	}
	file, err := os.Open(name) //nolint:gosec // the user names it
	if err != nil {
		return nil, fmt.Errorf("read a file: %w", FileError(err))
	}
	defer file.Close()
	return readAll(ctx, name, file)
}

// readAll gives up when the context ends: nobody may ever write to the other end of standard input or of a pipe.
func readAll(ctx context.Context, name string, source io.Reader) ([]byte, error) {
	type outcome struct {
		content []byte
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		content, err := io.ReadAll(io.LimitReader(source, maxInput+1))
		done <- outcome{content, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case read := <-done:
		switch {
		case read.err != nil:
			return nil, fmt.Errorf("read a file: %w", FileError(read.err))
		case len(read.content) > maxInput:
			return nil, fmt.Errorf("%s holds more than %d MiB; split it", name, maxInput>>20)
		}
		return read.content, nil
	}
}

// FileError is a sentence about a file, for the mistakes that are made most.
func FileError(err error) error {
	failed, ok := errors.AsType[*fs.PathError](err)
	switch {
	case !ok:
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s", failed.Path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to read %s", failed.Path)
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("%s is a folder; name the files in it", failed.Path)
	default:
		return err
	}
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// Split cuts a stream of YAML at the lines where a document begins or ends. Libraries of Kubernetes overlook those with
// something behind the --- and lose what follows.
func Split(file string, content []byte) []Text {
	content = bytes.TrimPrefix(content, byteOrderMark)
	var texts []Text
	start, startLine, number := 0, 1, 0
	cut := func(end int) {
		if len(bytes.TrimSpace(content[start:end])) > 0 {
			texts = append(texts, Text{file, startLine, content[start:end]})
		}
	}
	for offset := 0; offset < len(content); {
		number++
		next := len(content)
		if end := bytes.IndexByte(content[offset:], '\n'); end >= 0 {
			next = offset + end + 1
		}
		if line := content[offset:next]; isMark(line, "---") || isMark(line, "...") {
			cut(offset)
			// What stands behind the mark belongs to the document.
			start, startLine = offset+len("---"), number
		}
		offset = next
	}
	cut(len(content))
	return texts
}

func isMark(line []byte, mark string) bool {
	rest, found := bytes.CutPrefix(line, []byte(mark))
	return found && (len(rest) == 0 || bytes.ContainsAny(rest[:1], " \t\r\n"))
}
