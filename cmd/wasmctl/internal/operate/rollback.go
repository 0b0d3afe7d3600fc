// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
)

func newRollback() *cobra.Command {
	return action{
		use: "rollback", short: "Makes the spec what is in force, where a change isn't",
		long: `rollback is for a change that was refused, was taken back, or is still on trial or on canary: proxies run what was in force
before, and only the spec says something else. It sets spec.url, by digest, and spec.rules to what is in force.

Nothing older is kept. Where the change is in force already, apply the manifest of before. The same holds where rules come
from rulesFrom or rulesText, or where there are overrides: what proxies run doesn't tell what those were.`,
		example: `  wasmctl rollback basic-auth -n istio-system --dry-run
  wasmctl rollback basic-auth -n istio-system`,
		change: rollBack,
	}.command()
}

func rollBack(ctx context.Context, c *cluster, plugin *wasmv1alpha1.WasmPlugin) (map[string]any, string, error) {
	name := plugin.Namespace + "/" + plugin.Name
	stable, err := c.envoyFilter(ctx, plugin, wasmv1alpha1.EnvoyFilterConfig)
	if err != nil {
		return nil, "", err
	}
	if stable == nil {
		return nil, "", cli.Refused("%s: nothing is in force to go back to; mend the spec, or delete it", name)
	}
	spec := plugin.Spec
	if len(spec.RulesFrom) > 0 || len(spec.Overrides) > 0 || spec.RulesText != "" {
		return nil, "", cli.Refused("%s: what is in force doesn't tell what rulesFrom, rulesText and overrides were; apply the manifest of before", name)
	}
	before, err := inForce(stable)
	if err != nil {
		return nil, "", cli.Refused("%s: %v; apply the manifest of before", name, err)
	}
	same, err := sameModule(ctx, c, plugin, before.module)
	if err != nil {
		return nil, "", err
	}
	changes, err := before.changes(spec, same)
	if err != nil {
		return nil, "", err
	}
	if len(changes) == 0 {
		return nil, "", cli.Refused("%s: its module and its rules are those in force, and nothing older is kept; apply the manifest of before", name)
	}
	return map[string]any{"spec": changes}, "module and rules are those in force again: " + before.module.Source, nil
}

// sameModule says whether the spec's URL leads to the module in force, as far as that is known: by what is, or was, on trial
// or on canary, and by what the operator says of this generation.
func sameModule(ctx context.Context, c *cluster, plugin *wasmv1alpha1.WasmPlugin, stands resolve.Module) (bool, error) {
	for _, role := range []wasmv1alpha1.EnvoyFilterRole{wasmv1alpha1.EnvoyFilterTrialConfig, wasmv1alpha1.EnvoyFilterCanaryConfig} {
		config, err := c.envoyFilter(ctx, plugin, role)
		if err != nil {
			return false, err
		}
		if module := moduleOf(config); module.Digest != "" {
			return module.Digest == stands.Digest, nil
		}
	}
	return plugin.Spec.URL == stands.Source, nil
}

// proven is what proxies run.
type proven struct {
	module resolve.Module
	rules  map[string]any
}

// inForce reads what a pair delivers.
func inForce(config *unstructured.Unstructured) (proven, error) {
	request, err := drystart.FromEnvoyFilter(config.Object)
	before := proven{module: moduleOf(config)}
	switch {
	case err != nil:
		return proven{}, err
	case len(request.Plugins) != 1:
		return proven{}, errors.New("what is in force has overrides, and doesn't tell which")
	case before.module.Source == "":
		return proven{}, errors.New("what is in force doesn't tell where its module came from")
	}
	before.rules, err = objectIn([]byte(request.Plugins[0].Configuration))
	switch {
	case err != nil:
		return proven{}, errors.New("what is in force has rules that are no JSON object")
	case hasNull(before.rules):
		return proven{}, errors.New("what is in force has a null in its rules, which a patch can't set")
	}
	return before, nil
}

func moduleOf(config *unstructured.Unstructured) resolve.Module {
	if config == nil {
		return resolve.Module{}
	}
	return resolve.Parse(config.GetAnnotations()[wasmv1alpha1.AnnotationModule])
}

// objectIn keeps numbers as they are. Nothing is no object.
func objectIn(text []byte) (map[string]any, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return object, decoder.Decode(&object)
}

// hasNull looks where a merge patch would take a null for a field to delete.
func hasNull(value map[string]any) bool {
	for _, field := range value {
		inner, isObject := field.(map[string]any)
		if field == nil || (isObject && hasNull(inner)) {
			return true
		}
	}
	return false
}

// changes are the fields of a spec that differ. Rules are replaced as a whole, so that nothing of the new ones is left.
func (p proven) changes(spec wasmv1alpha1.WasmPluginSpec, sameModule bool) (map[string]any, error) {
	changes := map[string]any{}
	if !sameModule {
		changes["url"] = p.module.Source
		changes["sha256"] = nil // an image's source ends with its digest
		if p.module.Manifest == "" {
			changes["sha256"] = strings.TrimPrefix(p.module.Digest, "sha256:")
		}
	}
	var raw []byte
	if spec.Rules != nil {
		raw = spec.Rules.Raw
	}
	now, err := objectIn(raw)
	if err != nil {
		return nil, fmt.Errorf("read spec.rules: %w", err)
	}
	if len(now)+len(p.rules) > 0 && !reflect.DeepEqual(now, p.rules) {
		changes["rules"] = replaced(now, p.rules)
	}
	return changes, nil
}

// replaced is the merge patch that makes one object of another: what is left out there must be named here.
func replaced(from, to map[string]any) any {
	if to == nil {
		return nil
	}
	patch := map[string]any{}
	for key, value := range to {
		inner, isObject := value.(map[string]any)
		was, wasObject := from[key].(map[string]any)
		if isObject && wasObject {
			value = replaced(was, inner)
		}
		patch[key] = value
	}
	for key := range from {
		if _, kept := to[key]; !kept {
			patch[key] = nil
		}
	}
	return patch
}
