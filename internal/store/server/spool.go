// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// spoolsAtOnce bounds the temporary files of uploads, of up to MaxModule each.
const spoolsAtOnce = 4

// spooled is an upload that has arrived whole, in a file that is gone when it is closed or the process ends.
type spooled struct {
	file   *os.File
	module store.TaggedModule
	leave  func()
}

// spool receives an upload, whose digest is not known before its end, and looks whether it is a plugin.
func (s *Server) spool(request *http.Request) (_ *spooled, err error) {
	if err := s.enter(request.Context()); err != nil {
		return nil, err
	}
	content := &spooled{leave: func() { <-s.spools }}
	defer func() {
		if err != nil {
			content.close()
		}
	}()
	// A folder is on a volume with room for modules; beside a bucket there is only the system's place.
	if content.file, err = os.CreateTemp(s.storage.folder, "upload-*"+unfinished); err != nil {
		return nil, err
	}
	if err := os.Remove(content.file.Name()); err != nil {
		return nil, err
	}
	source := &source{reader: request.Body, left: s.options.MaxModule, hash: sha256.New()}
	size, err := io.Copy(content.file, source)
	switch {
	case source.err != nil:
		return nil, source.err
	case err != nil:
		return nil, err
	}
	content.module = store.TaggedModule{Digest: digestPrefix + source.digits(), Size: size}
	return content, content.inspect()
}

// enter waits for room.
func (s *Server) enter(ctx context.Context) error {
	select {
	case s.spools <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inspect maps the file, so that a large module takes no memory that the system can't have back.
func (c *spooled) inspect() error {
	if c.module.Size == 0 {
		return refuse(http.StatusUnprocessableEntity, "the upload is empty")
	}
	content, err := syscall.Mmap(int(c.file.Fd()), 0, int(c.module.Size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map an upload: %w", err)
	}
	_, refused := module.Inspect(content)
	if err := syscall.Munmap(content); err != nil {
		return fmt.Errorf("unmap an upload: %w", err)
	}
	if refused != nil {
		return refuse(http.StatusUnprocessableEntity, "%s", refused)
	}
	return nil
}

func (c *spooled) rewind() error {
	_, err := c.file.Seek(0, io.SeekStart)
	return err
}

func (c *spooled) close() {
	if c.file != nil {
		_ = c.file.Close()
	}
	c.leave()
}
