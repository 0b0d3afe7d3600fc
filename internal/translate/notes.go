// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// notes says what a good spec does beyond what meets the eye.
func notes(in Input) []string {
	var notes []string
	spec := in.Plugin.Spec
	if in.Plugin.Namespace == in.RootNamespace {
		notes = append(notes, fmt.Sprintf("%s is the mesh's root namespace, so the plugin reaches matching proxies of all namespaces.", in.RootNamespace))
	}
	if spec.Phase == wasmv1alpha1.PhaseAuthz {
		notes = append(notes, "An EnvoyFilter can't stand between jwt_authn and rbac, so phase AUTHZ runs right after Istio's own authorization.")
	}
	if anchor := spec.Placement.Before + spec.Placement.After; anchor != "" {
		notes = append(notes, fmt.Sprintf("The plugin doesn't run in filter chains without %s, which spec.placement names.", anchor))
	}
	return notes
}
