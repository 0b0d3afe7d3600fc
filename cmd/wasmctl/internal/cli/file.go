// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"os"
	"path/filepath"
)

// replacedMode is that of files that are for everybody to read.
const replacedMode = 0o644

// Replace writes a file under another name first, so that none is ever half-written.
func Replace(path string, content []byte) error {
	written, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(written.Name()) // where the renaming wasn't reached
	_, err = written.Write(content)
	if err := errors.Join(err, written.Chmod(replacedMode), written.Close()); err != nil {
		return err
	}
	return os.Rename(written.Name(), path)
}
