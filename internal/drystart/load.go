// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

const (
	pageSize = 64 << 10
	// envoyMaxPages is the memory that Envoy gives to a module, 1 GiB.
	envoyMaxPages = 1 << 30 / pageSize
	// maxNamed is how many of a module's faults a reason lists.
	maxNamed = 8
)

// features are those of V8 that wazero has, too. Threads are left out: a shared memory could not be moved as it grows.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesExceptionHandling | experimental.CoreFeaturesTypedFunctionReferences

// module is a loaded module, and what its VMs share.
type module struct {
	attempt  attempt
	request  Request
	abi      proxywasm.ABI
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	state    *sharedState
	// slow: some plugin was not ready in time.
	slow bool
}

// load does what Envoy does with a module before it runs any of it. It returns a module or why there is none.
func load(ctx context.Context, a attempt, request Request) (*module, *Verdict) {
	facts, problem := inspect(request.Module)
	if problem != nil && !errors.Is(problem, proxywasm.ErrUnknown) && !errors.Is(problem, errTooMuch) {
		return nil, refused(StageLoad, "the module %v", problem)
	}
	if verdict := checkFacts(facts, a); verdict != nil {
		return nil, verdict
	}
	switch {
	case errors.Is(problem, errTooMuch):
		return nil, exhausted(StageLoad, "the module %v", problem)
	case problem != nil:
		return nil, inconclusive("%v", problem)
	}
	config := wazero.NewRuntimeConfigInterpreter()
	if a.compile {
		config = wazero.NewRuntimeConfig()
	}
	m := &module{attempt: a, request: request, abi: facts.abi, state: newSharedState()}
	m.runtime = wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(features).WithCloseOnContextDone(true).
		WithMemoryLimitPages(envoyMaxPages).WithDebugInfoEnabled(false))
	if verdict := m.compile(ctx, facts.code); verdict != nil {
		m.close(ctx)
		return nil, verdict
	}
	return m, nil
}

// checkFacts refuses what Envoy refuses whatever the module's code is.
func checkFacts(facts binaryFacts, a attempt) *Verdict {
	if facts.abi == "" {
		return refused(StageLoad, "the module exports no proxy-wasm ABI version that Envoy knows (0.1.0, 0.2.0, 0.2.1); "+
			"is it a proxy-wasm plugin, built as a library?")
	}
	if unknown := unknownImports(facts); len(unknown) > 0 {
		return refused(StageLoad, "the module imports what Envoy does not provide: %s", list(unknown))
	}
	if facts.memoryPages > envoyMaxPages {
		return refused(StageLoad, "the module begins with %d MiB of memory; Envoy gives it 1024 MiB at most", mebibytes(facts.memoryPages*pageSize))
	}
	if needed := facts.memoryPages * pageSize; needed > a.memory {
		return exhausted(StageLoad, "the module begins with %d MiB of memory; the checker gives it %d MiB at most", mebibytes(needed), mebibytes(a.memory))
	}
	for _, entry := range facts.imports {
		// Envoy makes these for the module; here only host functions can be imported.
		if entry.kind == proxywasm.KindMemory || entry.kind == proxywasm.KindTable || entry.kind == proxywasm.KindTag {
			return inconclusive("import of a memory, table or tag, %s.%s", entry.module, entry.name)
		}
	}
	return nil
}

func unknownImports(facts binaryFacts) []string {
	var unknown []string
	for _, entry := range facts.imports {
		name := entry.module + "." + entry.name
		known := entry.kind == proxywasm.KindMemory || entry.kind == proxywasm.KindTable || entry.kind == proxywasm.KindTag
		if entry.kind == proxywasm.KindFunction {
			_, known = lookup(facts.abi, entry.module, entry.name)
		}
		if !known && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

func (m *module) compile(ctx context.Context, code []byte) *Verdict {
	if err := m.read(ctx, code); err != nil {
		// V8 knows more of WebAssembly than wazero does, so a module that wazero can't read may be a good one.
		return inconclusive("WebAssembly that the checker can't read: %s", firstLine(err.Error()))
	}
	if verdict := m.stopped(ctx, StageLoad); verdict != nil {
		return verdict
	}
	if wrong := m.wrongImports(); len(wrong) > 0 {
		return refused(StageLoad, "the module imports functions with other parameters than Envoy's: %s", list(wrong))
	}
	if reason := m.wrongExports(); reason != "" {
		return refused(StageLoad, "%s", reason)
	}
	return m.provide(ctx)
}

// read has wazero read the code. Its validation (1.12) reads past the end of some functions that are cut off, which is one
// more way not to be able to.
func (m *module) read(ctx context.Context, code []byte) (err error) {
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case runtime.Error:
			err = fault
		default:
			panic(fault)
		}
	}()
	m.compiled, err = m.runtime.CompileModule(ctx, code)
	return err
}

func (m *module) wrongImports() []string {
	var wrong []string
	for _, definition := range m.compiled.ImportedFunctions() {
		moduleName, name, _ := definition.Import()
		function, _ := lookup(m.abi, moduleName, name)
		if got := signatureOf(definition); got != function.signature {
			wrong = append(wrong, fmt.Sprintf("%s.%s %s, Envoy's is %s", moduleName, name, got, function.signature))
		}
	}
	return wrong
}

// wrongExports looks at the functions that Envoy looks up.
func (m *module) wrongExports() string {
	exported := m.compiled.ExportedFunctions()
	names, wanted := m.lookedUp(exported)
	for _, name := range names {
		definition, found := exported[name]
		if !found {
			continue
		}
		if got, want := signatureOf(definition), wanted[name]; got != want {
			return fmt.Sprintf("the module exports %s as %s, Envoy calls it as %s", name, got, want)
		}
	}
	if exported[exportMalloc] == nil && exported[exportAllocate] == nil {
		return "the module exports neither malloc nor proxy_on_memory_allocate, by which Envoy hands data to it"
	}
	return ""
}

// provide makes the host functions that the module imports.
func (m *module) provide(ctx context.Context) *Verdict {
	builders := map[string]wazero.HostModuleBuilder{}
	for _, definition := range m.compiled.ImportedFunctions() {
		moduleName, name, _ := definition.Import()
		builder, ok := builders[moduleName]
		if !ok {
			builder = m.runtime.NewHostModuleBuilder(moduleName)
			builders[moduleName] = builder
		}
		function, _ := lookup(m.abi, moduleName, name)
		builder.NewFunctionBuilder().
			WithGoModuleFunction(m.hostFunction(moduleName, name, function), definition.ParamTypes(), definition.ResultTypes()).
			Export(name)
	}
	for moduleName, builder := range builders {
		if _, err := builder.Instantiate(ctx); err != nil {
			return inconclusive("host functions of %s: %s", moduleName, firstLine(err.Error()))
		}
	}
	return nil
}

// allowed says whether the capability restriction leaves the function in.
func (m *module) allowed(capability string) bool {
	return len(m.request.Capabilities) == 0 || slices.Contains(m.request.Capabilities, capability)
}

func (m *module) close(ctx context.Context) {
	// What it returns are errors of the modules' own closing, and there are none with host functions alone.
	_ = m.runtime.Close(context.WithoutCancel(ctx))
}

func list(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func mebibytes(size uint64) uint64 { return (size + 1<<20 - 1) >> 20 }
