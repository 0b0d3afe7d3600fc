// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"regexp"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// newestIstio has all that a plugin can ask for.
const newestIstio = "1.31"

// variableName is what the custom resource definition takes.
var variableName = regexp.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*$`)

// Verify says what an operator with all that can be installed would refuse in a plugin, "" for nothing.
func Verify(plugin *wasmv1alpha1.WasmPlugin, rootNamespace string) string {
	_, err := translate.Translate(translate.Input{Plugin: plugin, Options: translate.Options{
		RootNamespace: rootNamespace, AllowRootNamespaceScope: true, IstioVersion: newestIstio,
		ResolveModules: true, StoreURL: "http://store.example.com",
	}})
	for _, env := range plugin.Spec.VMConfig.Env {
		if err == nil && !variableName.MatchString(env.Name) {
			return "spec.vmConfig.env has a name that no variable has here; give it letters, digits and -._ only"
		}
	}
	invalid, refused := errors.AsType[*translate.InvalidSpecError](err)
	switch {
	case err == nil:
		return ""
	case refused:
		return fmt.Sprintf("%s %s", invalid.Field, invalid.Problem)
	}
	return err.Error()
}
