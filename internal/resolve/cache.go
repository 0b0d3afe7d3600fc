// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	moduleSuffix  = ".wasm"
	verdictSuffix = ".json"
	// maxVerdict is more than a verdict's words take.
	maxVerdict = 16 << 10
)

// Cache keeps modules and verdicts in a folder, so that neither other rules nor a restart fetch a module again, and a
// restart tries nothing anew. All of it can be had again: what can't be read or written is left out.
type Cache struct {
	dir   string
	limit int64
	mutex sync.Mutex
}

// NewCache makes a cache of about limit bytes in a folder, which is made if it isn't there.
func NewCache(dir string, limit int64) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for modules: %w; name another with --module-cache-dir", err)
	}
	return &Cache{dir: dir, limit: limit}, nil
}

// Put keeps a module for a namespace. What one namespace was given is no other's.
func (c *Cache) Put(namespace, digest string, content []byte) {
	c.write(c.modulePath(namespace, digest), content)
}

// Has says whether a module was kept.
func (c *Cache) Has(namespace, digest string) bool {
	_, err := os.Stat(c.modulePath(namespace, digest))
	return err == nil
}

// Open is a module that was kept, to be read by whoever then calls Forget where it has another digest.
func (c *Cache) Open(namespace, digest string) (io.ReadCloser, bool) {
	path := c.modulePath(namespace, digest)
	file, err := os.Open(path) //nolint:gosec // a namespace and a digest
	if err != nil {
		return nil, false
	}
	c.touch(path)
	return file, true
}

// Forget removes a module that is no longer what was kept.
func (c *Cache) Forget(namespace, digest string) { _ = os.Remove(c.modulePath(namespace, digest)) }

func (c *Cache) modulePath(namespace, digest string) string {
	return filepath.Join(c.dir, namespace+"_"+strings.TrimPrefix(digest, "sha256:")+moduleSuffix)
}

func (c *Cache) verdict(id string) (verdict, bool) {
	path := filepath.Join(c.dir, id+verdictSuffix)
	raw, err := os.ReadFile(path) //nolint:gosec // a hash
	var known verdict
	if err != nil || json.Unmarshal(raw, &known) != nil {
		return verdict{}, false
	}
	c.touch(path)
	return known, true
}

func (c *Cache) keepVerdict(id string, known verdict) {
	raw, err := json.Marshal(known)
	if err == nil && len(raw) <= maxVerdict {
		c.write(filepath.Join(c.dir, id+verdictSuffix), raw)
	}
}

// touch keeps what is used from being the next to go.
func (*Cache) touch(path string) {
	now := time.Now()
	_ = os.Chtimes(path, now, now)
}

// write puts a whole file under its name, or none.
func (c *Cache) write(path string, content []byte) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if int64(len(content)) > c.limit {
		return
	}
	c.makeRoom(int64(len(content)))
	file, err := os.CreateTemp(c.dir, ".new-")
	if err != nil {
		return
	}
	_, err = file.Write(content)
	if closeErr := file.Close(); err != nil || closeErr != nil || os.Rename(file.Name(), path) != nil {
		_ = os.Remove(file.Name())
	}
}

// makeRoom removes what was not used for longest, and what an earlier process left half-written.
func (c *Cache) makeRoom(bytes int64) {
	files, total := c.files()
	for _, file := range files {
		unfinished := strings.HasPrefix(file.Name(), ".new-")
		if !unfinished && total+bytes <= c.limit {
			continue
		}
		if os.Remove(filepath.Join(c.dir, file.Name())) == nil {
			total -= file.Size()
		}
	}
}

// files are those of the folder, the oldest first, and the bytes that they take.
func (c *Cache) files() ([]fs.FileInfo, int64) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, 0
	}
	var (
		files []fs.FileInfo
		total int64
	)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			files, total = append(files, info), total+info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	return files, total
}
