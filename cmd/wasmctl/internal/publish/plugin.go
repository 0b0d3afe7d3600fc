// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
	"github.com/solarmesh/wasmplugin-operator/internal/schema"
)

const schemaTimeout = 10 * time.Second

// plugin is a file that was found good to be pushed.
type plugin struct {
	file    string
	content []byte
	abi     string
	// config is what the module says of itself, raw the file that it carries; nil where it carries none.
	config *runtimeconfig.Config
	raw    []byte
}

// readPlugin reads a module's file, and refuses what the operator would refuse once it was pushed.
func readPlugin(ctx context.Context, file string) (*plugin, error) {
	content, err := cli.ReadModule(file, "build it with wasmctl build, or name the module's file")
	if err != nil {
		return nil, err
	}
	p := &plugin{file: file, content: content}
	if err := proxywasm.CheckHeader(content); err != nil {
		return nil, cli.Refused("%s %s", file, err)
	}
	if p.abi, err = module.Inspect(content); err != nil {
		return nil, cli.Refused("%s: %s", file, err)
	}
	carried, found, err := runtimeconfig.Extract(content)
	switch {
	case err != nil:
		return nil, cli.Refused("%s: %s; build it again with wasmctl build", file, err)
	case !found:
		return p, nil
	}
	p.raw = carried
	if p.config, err = runtimeconfig.Parse(carried); err != nil {
		return nil, cli.Refused("%s carries a file that can't be used: %s; mend it, and build the module again with wasmctl build", file, err)
	}
	return p, p.checkSchema(ctx)
}

// checkSchema refuses a schema that the operator couldn't use, and default rules that don't fit it.
func (p *plugin) checkSchema(ctx context.Context) error {
	if len(p.config.RulesSchema) == 0 {
		return nil
	}
	const again = "mend it, and build the module again with wasmctl build"
	ctx, cancel := context.WithTimeout(ctx, schemaTimeout)
	defer cancel()
	compiled, err := schema.Compile(ctx, p.config.RulesSchema)
	if err != nil {
		return cli.Refused("%s: rulesSchema of its %s: %s; %s", p.file, runtimeconfig.FileName, err, again)
	}
	if len(p.config.DefaultRules) == 0 {
		return nil
	}
	found, err := compiled.Validate(ctx, "defaultRules", p.config.DefaultRules)
	if err != nil {
		return cli.Refused("%s: defaultRules of its %s: %s; %s", p.file, runtimeconfig.FileName, err, again)
	}
	if len(found.Problems) > 0 {
		return cli.Refused("%s: defaultRules of its %s do not fit its own rulesSchema: %s; %s", p.file, runtimeconfig.FileName, found, again)
	}
	return nil
}

// digest is that of the module's bytes.
func (p *plugin) digest() string {
	sum := sha256.Sum256(p.content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
