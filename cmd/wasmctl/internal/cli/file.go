// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// FileMode is that of files that others may read; what the user's umask takes away is taken away.
const FileMode = 0o666

// Replace writes a file beside itself and renames it: the old one stays until the new one is whole.
func Replace(ctx context.Context, path string, content []byte) error {
	hidden, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return fmt.Errorf("%s can't be written: %w", path, Cause(err))
	}
	defer os.RemoveAll(hidden)
	inner := filepath.Join(hidden, filepath.Base(path))
	if err := os.WriteFile(inner, content, FileMode); err != nil {
		return fmt.Errorf("%s can't be written: %w", path, Cause(err))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Rename(inner, path); err != nil {
		return fmt.Errorf("%s can't be written: %w", path, Cause(err))
	}
	return nil
}

// Cause is an error of a file without the file's name, for a sentence that has it.
func Cause(err error) error {
	if of, ok := errors.AsType[*os.PathError](err); ok {
		return of.Err
	}
	if of, ok := errors.AsType[*os.LinkError](err); ok {
		return of.Err
	}
	return err
}

// ReadModule reads the file of a module, of which there is never more than Istio's agent loads. advice says what to do where
// there is none.
func ReadModule(path, advice string) ([]byte, error) {
	opened, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, fmt.Errorf("%w; %s", FileError(err), advice)
	}
	defer opened.Close()
	if info, err := opened.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file; %s", path, advice)
	}
	content, err := io.ReadAll(io.LimitReader(opened, store.MaxModule+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s can't be read (%w)", path, Cause(err))
	case len(content) == 0:
		return nil, Refused("%s is empty; %s", path, advice)
	case len(content) > store.MaxModule:
		return nil, Refused("%s is larger than %d MiB, which is the most that Istio's agent loads", path, store.MaxModule>>20)
	}
	return content, nil
}
