// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
)

const (
	fileScheme = "file"
	// folderMode lets a pod with another user, but the volume's group, go on with what is there.
	folderMode = 0o770
	// unfinished ends the names of files that are still being written.
	unfinished = ".tmp"
)

// openStorage opens what a URL names.
func openStorage(ctx context.Context, address string, limit int64) (*storage, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme == "" {
		return nil, errors.New("the bucket must be a URL, for example file:///var/lib/modules")
	}
	if parsed.Scheme == fileScheme {
		return openFolder(parsed, limit)
	}
	if !blob.DefaultURLMux().ValidBucketScheme(parsed.Scheme) {
		return nil, fmt.Errorf("this build knows no bucket of the scheme %q; s3, gs and azblob need the build with the tag cloudstore", parsed.Scheme)
	}
	bucket, err := blob.OpenBucket(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("open the bucket: %w", err)
	}
	return &storage{bucket: bucket, limit: limit}, nil
}

func openFolder(address *url.URL, limit int64) (*storage, error) {
	folder := filepath.FromSlash(address.Path)
	if address.Host != "" || address.RawQuery != "" || !filepath.IsAbs(folder) || filepath.Clean(folder) == string(filepath.Separator) {
		return nil, errors.New("a bucket that is a folder is written file:///ABSOLUTE/PATH, without a host and options")
	}
	bucket, err := fileblob.OpenBucket(folder, &fileblob.Options{
		CreateDir: true, DirFileMode: folderMode, Metadata: fileblob.MetadataDontWrite,
		// Beside its final name, since only there a rename is sure to work.
		NoTempDir: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	return &storage{bucket: bucket, folder: filepath.Clean(folder), limit: limit}, nil
}

// createFile creates a file with its content at once, unless there is one. A hard link is how that is done on every file
// system, also for replicas that share one: fileblob looks first and renames then.
func (s *storage) createFile(ctx context.Context, key string, content []byte) (created bool, err error) {
	unlinked := key + "." + rand.Text() + unfinished
	if err := s.write(ctx, unlinked, content); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.bucket.Delete(ctx, unlinked)) }()
	err = os.Link(filepath.Join(s.folder, filepath.FromSlash(unlinked)), filepath.Join(s.folder, filepath.FromSlash(key)))
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// listFolder walks the folder once. The bucket's own listing does so for each page, and fails when a file goes meanwhile.
func (s *storage) listFolder(prefix string) (map[string]object, error) {
	all := map[string]object{}
	root := cmp.Or(strings.TrimSuffix(prefix, "/"), ".")
	err := fs.WalkDir(os.DirFS(s.folder), root, func(key string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return unlessGone(err)
		}
		info, err := entry.Info()
		if err != nil {
			return unlessGone(err)
		}
		all[key] = object{size: info.Size(), at: info.ModTime()}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list what is stored: %w", err)
	}
	return all, nil
}

func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
