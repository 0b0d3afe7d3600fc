// SPDX-License-Identifier: Apache-2.0

package author

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
	"github.com/solarmesh/wasmplugin-operator/internal/schema"
)

// load reads the description in a plugin's folder, and returns it also as it stands there.
func load(dir string) (*runtimeconfig.Config, []byte, error) {
	path := filepath.Join(dir, runtimeconfig.FileName)
	file, err := os.Open(path) //nolint:gosec // the user names the folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s isn't there; name a plugin's folder, or make one with wasmctl init", path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, runtimeconfig.MaxSize+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(content) > runtimeconfig.MaxSize {
		return nil, nil, runtimeconfig.ErrTooLarge
	}
	config, err := runtimeconfig.Parse(content)
	return config, content, err
}

// checkConfig refuses a description that would travel in the module, and be of no use there.
func checkConfig(ctx context.Context, config *runtimeconfig.Config) error {
	if len(config.RulesSchema) == 0 {
		return nil
	}
	compiled, err := schema.Compile(ctx, config.RulesSchema)
	if err != nil {
		return cli.Refused("%s: rulesSchema is no JSON Schema that can be used: %v", runtimeconfig.FileName, err)
	}
	if len(config.DefaultRules) == 0 {
		return nil
	}
	findings, err := compiled.Validate(ctx, "defaultRules", config.DefaultRules)
	if err != nil {
		return fmt.Errorf("%s: compare defaultRules with rulesSchema: %w", runtimeconfig.FileName, err)
	}
	if len(findings.Problems) > 0 {
		return cli.Refused("%s: defaultRules don't fit rulesSchema: %s; mend one of the two", runtimeconfig.FileName, findings)
	}
	return nil
}
