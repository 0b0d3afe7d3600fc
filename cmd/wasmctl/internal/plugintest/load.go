// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/httpcase"
	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
)

const (
	moduleName  = "filter.wasm"
	casePattern = "testdata/*.http"
)

// plugin is a module with its cases.
type plugin struct {
	name, rootID string
	path         string
	module       []byte
	groups       []group
	// count is that of all cases.
	count int
}

// group are the cases with the same rules, which share a VM.
type group struct {
	rules string
	cases []indexed
}

// indexed is a case, and which one it is of all.
type indexed struct {
	httpcase.Case
	index int
}

func (o *testOptions) load() (*plugin, error) {
	switch info, err := os.Stat(o.dir); {
	case err != nil:
		return nil, fmt.Errorf("there is no folder %s", o.dir)
	case !info.IsDir():
		return nil, fmt.Errorf("%s is no folder; a path of Envoy follows --envoy with =", o.dir)
	}
	config, err := readConfig(o.dir)
	if err != nil {
		return nil, err
	}
	p := &plugin{name: config.Name, path: o.module}
	if len(config.RootIDs) > 0 {
		p.rootID = config.RootIDs[0]
	}
	if p.path == "" {
		p.path = filepath.Join(o.dir, moduleName)
	}
	if p.module, err = readModule(p.path); err != nil {
		return nil, err
	}
	cases, err := o.readCases()
	if err != nil {
		return nil, err
	}
	return p, p.group(cases, string(config.DefaultRules), filepath.Join(o.dir, runtimeconfig.FileName))
}

// readConfig reads the plugin's description; a folder without one is a plugin of its name, without rules.
func readConfig(dir string) (*runtimeconfig.Config, error) {
	content, err := os.ReadFile(filepath.Join(dir, runtimeconfig.FileName)) //nolint:gosec // the user names the folder
	if errors.Is(err, os.ErrNotExist) {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		return &runtimeconfig.Config{Name: filepath.Base(absolute)}, nil
	}
	if err != nil {
		return nil, err
	}
	config, err := runtimeconfig.Parse(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return config, nil
}

func readModule(path string) ([]byte, error) {
	module, err := cli.ReadModule(path, "run wasmctl build first, or name another module with --module")
	if err != nil {
		return nil, err
	}
	if err := proxywasm.CheckHeader(module); err != nil {
		return nil, fmt.Errorf("%s: the module %w; run wasmctl build again, or name another one with --module", path, err)
	}
	return module, nil
}

// readFile reads a file of a bounded size.
func readFile(path string, most int64) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(content)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return content, err
}

func (o *testOptions) readCases() ([]httpcase.Case, error) {
	paths := o.cases
	if len(paths) == 0 {
		found, err := os.ReadDir(filepath.Join(o.dir, filepath.Dir(casePattern)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, entry := range found {
			if filepath.Ext(entry.Name()) == filepath.Ext(casePattern) {
				paths = append(paths, filepath.Join(o.dir, filepath.Dir(casePattern), entry.Name()))
			}
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("there are no cases; write one into %s, or name a file with --cases", filepath.Join(o.dir, casePattern))
	}
	var all []httpcase.Case
	for _, path := range paths {
		content, err := readFile(path, httpcase.MaxFileSize)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no file %s", path)
		}
		if err != nil {
			return nil, err
		}
		cases, err := httpcase.Parse(path, content)
		if err != nil {
			return nil, err
		}
		all = append(all, cases...)
	}
	return all, nil
}

// group puts cases with the same rules together, in the form in which the operator would deliver them.
func (p *plugin) group(cases []httpcase.Case, defaults, configPath string) error {
	p.count = len(cases)
	for i, c := range cases {
		raw, place := c.Rules, fmt.Sprintf("%s:%d: @rules", c.File, c.RulesLine)
		if raw == "" {
			raw, place = defaults, configPath+": defaultRules"
		}
		text := ""
		if raw != "" {
			var err error
			if text, err = rules.Canonical([]byte(raw)); err != nil {
				return fmt.Errorf("%s %w", place, err)
			}
		}
		at := slices.IndexFunc(p.groups, func(g group) bool { return g.rules == text })
		if at < 0 {
			at = len(p.groups)
			p.groups = append(p.groups, group{rules: text})
		}
		p.groups[at].cases = append(p.groups[at].cases, indexed{c, i})
	}
	return nil
}
