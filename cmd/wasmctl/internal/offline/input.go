// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"io"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

func readTexts(ctx context.Context, in io.Reader, names []string) ([]cli.Text, error) {
	return cli.ReadTexts(ctx, in, names)
}

func split(file string, content []byte) []cli.Text { return cli.Split(file, content) }

func fileError(err error) error { return cli.FileError(err) }
