// SPDX-License-Identifier: Apache-2.0

package author

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/scaffold"
)

// folderMode is as others make source code: what the user's umask takes away is taken away.
const folderMode = 0o777

// checkFree refuses a folder in which something would be overwritten.
func checkFree(folder string) error {
	entries, err := os.ReadDir(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s is there and is no folder that can be used, take another name or move it away: %w", folder, err)
	case len(entries) > 0:
		return fmt.Errorf("the folder %s exists and isn't empty; take another name, or move it away", folder)
	}
	return nil
}

// makeFolder makes the folder beside itself and renames it, so that there is all of it or nothing.
func makeFolder(ctx context.Context, folder string, files []scaffold.File) error {
	hidden, err := os.MkdirTemp(filepath.Dir(folder), "."+filepath.Base(folder)+"-")
	if err != nil {
		return fmt.Errorf("make the folder %s: %w", folder, err)
	}
	defer os.RemoveAll(hidden) // where it wasn't renamed
	// Only its owner could read a temporary folder; within it there is one as any other.
	inner := filepath.Join(hidden, filepath.Base(folder))
	if err := os.Mkdir(inner, folderMode); err != nil {
		return fmt.Errorf("make the folder %s: %w", folder, err)
	}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeNew(filepath.Join(inner, filepath.FromSlash(file.Path)), file.Content); err != nil {
			return fmt.Errorf("make the folder %s: %w", folder, err)
		}
	}
	// An empty folder may be there already. What was put into it meanwhile keeps it from being removed.
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make the folder %s: %w", folder, err)
	}
	if err := os.Rename(inner, folder); err != nil {
		return fmt.Errorf("make the folder %s: %w", folder, err)
	}
	return nil
}

func writeNew(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return err
	}
	return os.WriteFile(path, content, cli.FileMode)
}
