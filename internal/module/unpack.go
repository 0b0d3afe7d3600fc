// SPDX-License-Identifier: Apache-2.0

package module

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
)

const (
	// moduleFile is the module's name in an image.
	moduleFile = "plugin.wasm"
	// maxWrappings is how deep archives may stand in each other, as in a .tar.gz.
	maxWrappings = 3
	// freeRatio is what any archive may unpack to, however small it is.
	freeRatio = 16 * mib
	// tarOverhead is the room for a tar's own blocks beside the module.
	tarOverhead = mib
	// tarMagicAt is where a tar says what it is.
	tarMagicAt   = 257
	tarBlock     = 512
	readAhead    = 32 * kib
	sparsePrefix = "GNU.sparse."
)

var (
	gzipMagic = []byte{0x1f, 0x8b}
	tarMagic  = []byte("ustar")
)

// unpacker finds the module in what was served, and reads it into a buffer as it comes. Nothing is ever written to disk.
type unpacker struct {
	limits  Limits
	content *buffer
}

// anything takes what a web server may serve: a module, or one in gzip or tar, as Istio's agent does.
func (u unpacker) anything(source io.Reader, wrappings int) error {
	reader := bufio.NewReaderSize(source, readAhead)
	head, err := peek(reader, tarBlock)
	packed := bytes.HasPrefix(head, gzipMagic)
	archived := len(head) >= tarMagicAt && bytes.HasPrefix(head[tarMagicAt:], tarMagic)
	switch {
	case err != nil:
		return err
	case !packed && !archived:
		return u.plain(reader)
	case wrappings == 0:
		return newError(BadArtifact, "the module is in more than %d archives inside each other", maxWrappings)
	case packed:
		inflated, err := u.inflate(reader)
		if err != nil {
			return err
		}
		return u.anything(inflated, wrappings-1)
	default:
		return u.firstFile(reader, wrappings-1)
	}
}

// firstFile reads the first file of a tar; directories, links and devices are none.
func (u unpacker) firstFile(source io.Reader, wrappings int) error {
	found := false
	err := u.eachEntry(source, func(header *tar.Header, file io.Reader) (bool, error) {
		if header.Typeflag != tar.TypeReg {
			return true, nil
		}
		found = true
		if err := u.checkFile(header); err != nil {
			return false, err
		}
		return false, u.anything(file, wrappings)
	})
	if err == nil && !found {
		return newError(BadArtifact, "the archive holds no file")
	}
	return err
}

// layer reads plugin.wasm from an image's layer, a tar in gzip. There must be exactly one, so that all who read the image
// take the same.
func (u unpacker) layer(source io.Reader) error {
	inflated, err := u.inflate(bufio.NewReaderSize(source, readAhead))
	if err != nil {
		return err
	}
	found := false
	err = u.eachEntry(inflated, func(header *tar.Header, file io.Reader) (bool, error) {
		if path.Base(header.Name) != moduleFile {
			return true, nil
		}
		if found {
			return false, newError(BadArtifact, "the image's last layer has more than one file %s", moduleFile)
		}
		found = true
		if header.Typeflag != tar.TypeReg {
			return false, newError(BadArtifact, "%s in the image is not a regular file", moduleFile)
		}
		if err := u.checkFile(header); err != nil {
			return false, err
		}
		return true, u.raw(file)
	})
	if err == nil && !found {
		return newError(BadArtifact, "the image's last layer has no file %s", moduleFile)
	}
	return err
}

// raw reads a module that no archive is around.
func (u unpacker) raw(source io.Reader) error {
	return u.plain(bufio.NewReaderSize(source, readAhead))
}

// plain reads what must be the module itself.
func (u unpacker) plain(reader *bufio.Reader) error {
	head, err := peek(reader, tarBlock)
	if err != nil {
		return err
	}
	if err := checkMagic(head); err != nil {
		return err
	}
	return damaged(u.content.fill(reader))
}

// eachEntry visits a tar's entries until the visitor wants no more.
func (u unpacker) eachEntry(source io.Reader, visit func(*tar.Header, io.Reader) (more bool, err error)) error {
	archive := tar.NewReader(source)
	for entries := 0; ; entries++ {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return damaged(err)
		case entries == u.limits.Entries:
			return newError(BadArtifact, "the archive holds more than %d files", u.limits.Entries)
		}
		if more, err := visit(header, archive); err != nil || !more {
			return err
		}
	}
}

// checkFile refuses what makes a name or a size mean different things to different readers.
func (u unpacker) checkFile(header *tar.Header) error {
	if path.IsAbs(header.Name) || slices.Contains(strings.Split(header.Name, "/"), "..") {
		return newError(BadArtifact, "a file of the archive has a path that leads out of it")
	}
	for record := range header.PAXRecords {
		if strings.HasPrefix(record, sparsePrefix) {
			return newError(BadArtifact, "a file of the archive has holes; pack it without --sparse")
		}
	}
	if header.Size > u.limits.Module {
		return newError(TooLarge, "the module is larger than %d bytes", u.limits.Module)
	}
	return nil
}

// inflate reads gzip, and watches what becomes of it.
func (u unpacker) inflate(source io.Reader) (io.Reader, error) {
	packed := &counter{Reader: source}
	reader, err := gzip.NewReader(bufio.NewReaderSize(packed, readAhead))
	if err != nil {
		return nil, damaged(err)
	}
	return &inflated{reader: reader, packed: packed, limits: u.limits}, nil
}

type counter struct {
	io.Reader

	count int64
}

func (c *counter) Read(buffer []byte) (int, error) {
	n, err := c.Reader.Read(buffer)
	c.count += int64(n)
	return n, err
}

// inflated is the content of a gzip, up to a size and to a ratio to what it was packed in.
type inflated struct {
	reader *gzip.Reader
	packed *counter
	limits Limits
	count  int64
}

func (i *inflated) Read(buffer []byte) (int, error) {
	n, err := i.reader.Read(buffer)
	i.count += int64(n)
	switch {
	case i.count > i.limits.Module+tarOverhead:
		return 0, newError(TooLarge, "it unpacks to more than %d bytes", i.limits.Module)
	case i.count > freeRatio && i.count/i.limits.Ratio > i.packed.count:
		return 0, newError(TooLarge, "it unpacks to more than %d times its size", i.limits.Ratio)
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	default:
		return n, damaged(err)
	}
}

// peek looks at the first bytes, of which there may be fewer.
func peek(reader *bufio.Reader, bytes int) ([]byte, error) {
	head, err := reader.Peek(bytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, damaged(err)
	}
	return head, nil
}

// damaged is the sentence for an archive that can't be read. What went wrong on the network has its own already.
func damaged(err error) error {
	if err == nil || KindOf(err) != "" || errors.Is(err, context.Canceled) {
		return err
	}
	return newError(BadArtifact, "the archive is damaged or cut short")
}
