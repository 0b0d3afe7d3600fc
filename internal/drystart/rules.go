// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
	"github.com/solarmesh/wasmplugin-operator/internal/schema"
)

// rulesTimeout bounds the comparison of rules with the schema that a module carries.
const rulesTimeout = 5 * time.Second

// CheckRules compares the configuration of each plugin with the schema that the module carries, if it carries one, without
// starting anything. It returns a verdict for each, in their order.
//
// A schema that can't be used refuses nobody: the outcome is then Inconclusive.
func CheckRules(ctx context.Context, request Request) []Verdict {
	verdicts := make([]Verdict, len(request.Plugins))
	compiled, problem := carriedSchema(ctx, request.Module)
	for i := range request.Plugins {
		verdicts[i] = request.checkRules(ctx, i, compiled, problem)
	}
	return verdicts
}

// checkRules gives the verdict on one plugin's configuration, by the schema or by why there is none. What isn't JSON is the
// text of a plugin that takes none, and the plugin's to judge.
func (r Request) checkRules(ctx context.Context, instance int, compiled *schema.Schema, problem error) Verdict {
	verdict := Verdict{Outcome: Accepted}
	configuration := r.Plugins[instance].Configuration
	switch {
	case problem != nil:
		verdict = notCompared(problem)
	case compiled != nil && json.Valid([]byte(configuration)):
		verdict = compareRules(ctx, compiled, rulesOf(instance), configuration)
	}
	words := newLogs(r.Secrets)
	verdict.Reason = words.mask(verdict.Reason)
	return verdict
}

// rulesOf is where a plugin's rules stand: those of the first are the WasmPlugin's, of the others its overrides'.
func rulesOf(instance int) string {
	if instance == 0 {
		return "spec.rules"
	}
	return "rules"
}

func compareRules(ctx context.Context, compiled *schema.Schema, root, configuration string) Verdict {
	ctx, cancel := context.WithTimeout(ctx, rulesTimeout)
	defer cancel()
	found, err := compiled.Validate(ctx, root, []byte(configuration))
	switch {
	case err != nil:
		return notCompared(err)
	case len(found.Problems) > 0:
		return *refused(StageConfigure, "they do not fit the schema that the module carries: %s", found)
	}
	return Verdict{Outcome: Accepted}
}

func notCompared(problem error) Verdict {
	return Verdict{
		Outcome: Inconclusive,
		Reason:  fmt.Sprintf("the rules could not be compared with the schema that the module carries, since %v", problem),
	}
}

// carriedSchema is the schema of rules that a module carries; nil for none.
func carriedSchema(ctx context.Context, module []byte) (*schema.Schema, error) {
	config, found, err := runtimeconfig.Extract(module)
	if err != nil || !found {
		return nil, err
	}
	// What a later release may add to the file is no reason to ignore its schema.
	var carried struct {
		RulesSchema json.RawMessage `json:"rulesSchema"`
	}
	if json.Unmarshal(config, &carried) != nil {
		return nil, fmt.Errorf("its %s is not what it should be", runtimeconfig.FileName)
	}
	if len(carried.RulesSchema) == 0 || string(carried.RulesSchema) == "null" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, rulesTimeout)
	defer cancel()
	return schema.Compile(ctx, carried.RulesSchema)
}

// tryRules is try, for rules that fit the schema that the module carries: others aren't started.
func (m *module) tryRules(ctx context.Context, plugin Plugin, shared *vm) (Verdict, *vm) {
	compiled, problem := carriedSchema(ctx, m.request.Module)
	rules := m.request.checkRules(ctx, slices.Index(m.request.Plugins, plugin), compiled, problem)
	if rules.Outcome == Refused {
		return rules, shared
	}
	verdict, shared := m.try(ctx, plugin, shared)
	if verdict.Outcome == Accepted && rules.Outcome == Inconclusive {
		verdict.Outcome, verdict.Reason = rules.Outcome, rules.Reason
	}
	return verdict, shared
}
