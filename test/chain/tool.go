// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tool returns the path of one of the project's tools (see hack/tool), which is built on the first use; progress hears of
// that. It works from any folder of the repository.
func Tool(ctx context.Context, progress io.Writer, name string) (string, error) {
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	if progress == nil {
		progress = io.Discard
	}
	var out bytes.Buffer
	build := exec.CommandContext(ctx, filepath.Join(root, "hack", "tool"), name)
	build.Stdout, build.Stderr = &out, progress
	if err := runGuarded(ctx, build); err != nil {
		return "", fmt.Errorf("hack/tool could not build %s: %w", name, err)
	}
	path := strings.TrimSpace(out.String())
	if path == "" {
		return "", errors.New("hack/tool printed no path for " + name)
	}
	return path, nil
}
