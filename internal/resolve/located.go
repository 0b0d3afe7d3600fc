// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Located says where proxies fetch the module of a plugin.
func (m Module) Located(in translate.Input) translate.Module {
	spec := in.Plugin.Spec
	if in.Delivery(spec) == wasmv1alpha1.DeliveryStore {
		return translate.Module{
			Digest: m.Digest, URL: in.StoreURL + store.Path(m.Digest, m.Capability), Checksum: strings.TrimPrefix(m.Digest, digestPrefix),
		}
	}
	if m.Manifest == "" {
		// The source lacks the URL's query.
		return translate.Module{Digest: m.Digest, URL: spec.URL, Checksum: strings.TrimPrefix(m.Digest, digestPrefix)}
	}
	return translate.Module{Digest: m.Digest, URL: m.Source, Checksum: strings.TrimPrefix(m.Manifest, digestPrefix)}
}
