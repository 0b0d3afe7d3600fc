// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/singleflight"
)

var (
	// errAbsent is of a key under which nothing stands.
	errAbsent = errors.New("the storage has nothing of that name")
	// errDigest is of content that is not what its digest promises. It is never kept.
	errDigest = errors.New("the content has another digest")
	// errTooLarge is of content beyond the bound for one module.
	errTooLarge = errors.New("the module is too large")
)

// bodyError is why the content of an upload can't be read to its end. Other errors of a write are the storage's.
type bodyError struct{ cause error }

func (e bodyError) Error() string { return "the upload broke off" }
func (e bodyError) Unwrap() error { return e.cause }

// object is something that is stored.
type object struct {
	size int64
	at   time.Time
}

// storage keeps modules under their digests: what stands there has been hashed while it was written, and appears at once
// and whole. In a folder it is hashed once more by each process that serves it, since disks lose what was not flushed.
type storage struct {
	bucket *blob.Bucket
	// folder is where the bucket is, if it is one.
	folder string
	limit  int64

	// commit keeps the deletion of an old object and the renewal of the same apart.
	commit   sync.RWMutex
	verified sync.Map // key → object, as it was when it was hashed
	hashing  singleflight.Group
}

// put stores a module whose digest is known.
func (s *storage) put(ctx context.Context, key, digits string, content io.Reader) (int64, error) {
	var size int64
	err := s.replace(ctx, key, contentType, func(writer io.Writer) (err error) {
		size, err = s.fill(writer, digits, content)
		return err
	})
	return size, err
}

// replace writes an object. It appears when all of it is written, and not at all if fill fails.
func (s *storage) replace(ctx context.Context, key, kind string, fill func(io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var file *os.File
	writer, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType:                 kind,
		DisableContentTypeDetection: true,
		BeforeWrite: func(as func(any) bool) error {
			as(&file)
			return nil
		},
	})
	if err != nil {
		return err
	}
	err = fill(writer)
	if err == nil && file != nil {
		err = file.Sync() // the name appears after the content, also after a power cut
	}
	if err != nil {
		cancel() // which makes Close drop what was written
		_ = writer.Close()
		return err
	}
	s.commit.RLock()
	defer s.commit.RUnlock()
	s.verified.Delete(key)
	return writer.Close()
}

func (s *storage) fill(writer io.Writer, digits string, content io.Reader) (int64, error) {
	source := &source{reader: content, left: s.limit, hash: sha256.New()}
	size, err := io.Copy(writer, source)
	switch {
	case source.err != nil:
		return 0, source.err
	case err != nil:
		return 0, err
	case source.digits() != digits:
		return 0, errDigest
	}
	return size, nil
}

// source hashes and bounds what is read through it, and remembers whether reading or writing failed.
type source struct {
	reader io.Reader
	left   int64
	hash   hash.Hash
	err    error
}

// Read reads on.
func (s *source) Read(buffer []byte) (int, error) {
	n, err := s.reader.Read(buffer)
	if s.left -= int64(n); s.left < 0 {
		s.err = errTooLarge
		return 0, s.err
	}
	_, _ = s.hash.Write(buffer[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = bodyError{err}
		return n, s.err
	}
	return n, err
}

func (s *source) digits() string {
	return hex.EncodeToString(s.hash.Sum(nil))
}

// open is the content of a module, to be closed.
func (s *storage) open(ctx context.Context, key, digits string) (*blob.Reader, error) {
	if s.folder != "" {
		if err := s.verify(ctx, key, digits); err != nil {
			return nil, err
		}
	}
	reader, err := s.bucket.NewReader(ctx, key, nil)
	return reader, absentOr(err)
}

// verify hashes what stands in a folder, once. What is damaged goes, so that it is fetched again.
func (s *storage) verify(ctx context.Context, key, digits string) error {
	found, err := s.stat(ctx, key)
	if err != nil {
		return err
	}
	if known, ok := s.verified.Load(key); ok && known == found {
		return nil
	}
	_, err, _ = s.hashing.Do(key, func() (any, error) {
		// Others wait for this too: it doesn't end with the request that came first.
		ctx := context.WithoutCancel(ctx)
		sum, err := s.sum(ctx, key)
		switch {
		case err != nil:
			return nil, err
		case sum != digits:
			return nil, errors.Join(errAbsent, s.remove(ctx, key, found.at))
		}
		s.verified.Store(key, found)
		return nil, nil
	})
	return err
}

func (s *storage) sum(ctx context.Context, key string) (string, error) {
	reader, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return "", absentOr(err)
	}
	defer func() { _ = reader.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, reader); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func (s *storage) stat(ctx context.Context, key string) (object, error) {
	attributes, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return object{}, absentOr(err)
	}
	return object{size: attributes.Size, at: attributes.ModTime}, nil
}

// remove deletes what was last written at a time. If it was written again since then, it stays.
func (s *storage) remove(ctx context.Context, key string, at time.Time) error {
	s.commit.Lock()
	defer s.commit.Unlock()
	found, err := s.stat(ctx, key)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err != nil || !found.at.Equal(at) {
		return err
	}
	s.verified.Delete(key)
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return err
	}
	return nil
}

// list is all that stands under a prefix, which ends with a slash or is empty.
func (s *storage) list(ctx context.Context, prefix string) (map[string]object, error) {
	if s.folder != "" {
		return s.listFolder(prefix)
	}
	all := map[string]object{}
	listing := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		found, err := listing.Next(ctx)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list what is stored: %w", err)
		}
		all[found.Key] = object{size: found.Size, at: found.ModTime}
	}
}

// read is a small object.
func (s *storage) read(ctx context.Context, key string) ([]byte, error) {
	content, err := s.bucket.ReadAll(ctx, key)
	return content, absentOr(err)
}

// write replaces a small object.
func (s *storage) write(ctx context.Context, key string, content []byte) error {
	return s.replace(ctx, key, jsonType, func(writer io.Writer) error {
		_, err := writer.Write(content)
		return err
	})
}

// create writes a small object where there is none: of several writers one wins, and the others get false.
func (s *storage) create(ctx context.Context, key string, content []byte) (bool, error) {
	if s.folder != "" {
		return s.createFile(ctx, key, content)
	}
	err := s.bucket.WriteAll(ctx, key, content, &blob.WriterOptions{ContentType: jsonType, IfNotExist: true})
	if gcerrors.Code(err) == gcerrors.FailedPrecondition || gcerrors.Code(err) == gcerrors.AlreadyExists {
		return false, nil
	}
	return err == nil, err
}

func absentOr(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return errAbsent
	}
	return err
}
