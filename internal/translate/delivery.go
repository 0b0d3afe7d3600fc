// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Module is a resolved module, and where proxies fetch it.
type Module struct {
	// Digest is that of the module's bytes, sha256:….
	Digest string
	// URL is where proxies fetch it: never by a tag, which could lead elsewhere later.
	URL string
	// Checksum is what Istio's agent compares with what it fetched, in hex: of an image its manifest's digest, otherwise the
	// module's.
	Checksum string
}

// module is where proxies fetch the module and what they check. A module that wasn't resolved is at the spec's own URL.
func (in Input) module() (url, checksum string) {
	if in.Module.URL != "" {
		return in.Module.URL, in.Module.Checksum
	}
	return moduleURL(in.Plugin.Spec.URL), in.Plugin.Spec.SHA256
}

// identity tells one module from another, as well as it is known.
func (in Input) identity() (string, string) {
	if in.Module.URL != "" {
		return in.Module.Digest, ""
	}
	return in.Plugin.Spec.URL, in.Plugin.Spec.SHA256
}

// Delivery is where proxies fetch the module of a spec.
func (o Options) Delivery(spec wasmv1alpha1.WasmPluginSpec) wasmv1alpha1.Delivery {
	switch {
	case spec.Delivery != "":
		return spec.Delivery
	case o.StoreURL != "" && o.ResolveModules:
		return wasmv1alpha1.DeliveryStore
	default:
		return wasmv1alpha1.DeliveryDirect
	}
}

// Always says whether the operator looks again and again what a tag means.
func Always(spec wasmv1alpha1.WasmPluginSpec) bool {
	return pullPolicy(spec) == wasmv1alpha1.PullAlways
}

// moduleOfStore says whether the module is in the operator's own store.
func moduleOfStore(spec wasmv1alpha1.WasmPluginSpec) bool {
	return strings.HasPrefix(spec.URL, "store://")
}

func isImage(spec wasmv1alpha1.WasmPluginSpec) bool {
	return strings.HasPrefix(moduleURL(spec.URL), "oci://")
}

// checkDelivery refuses what this installation's operator can't do with a module.
func checkDelivery(in Input) error {
	spec := in.Plugin.Spec
	if err := oneOf("spec.delivery", spec.Delivery, wasmv1alpha1.DeliveryStore, wasmv1alpha1.DeliveryDirect); err != nil {
		return err
	}
	if field := needsResolving(spec); field != "" && !in.ResolveModules {
		return notSupported(field, "this installation's operator doesn't look at modules (--resolve-modules=false); take it out")
	}
	if Verifies(spec) && !isImage(spec) {
		return invalid("spec.verification", "asks for a signature, which images in a registry have; push the module to one, or pin it with sha256")
	}
	return checkStore(in)
}

// checkStore refuses what only a store can do, where there is none.
func checkStore(in Input) error {
	spec := in.Plugin.Spec
	store := in.Delivery(spec) == wasmv1alpha1.DeliveryStore
	switch {
	case store && in.StoreURL == "":
		return notSupported("spec.delivery", "Store needs a store, and this installation has none; set Direct, or install with store.enabled")
	case !store && moduleOfStore(spec) && in.StoreURL != "":
		return invalid("spec.delivery", "Direct doesn't work with a store:// url, which proxies can't read; take it out")
	case !store && moduleOfStore(spec):
		return notSupported("spec.url", "store:// needs a store, and this installation has none; install with store.enabled")
	case !store && spec.ImagePullSecret != "":
		return notSupported("spec.imagePullSecret", "proxies fetch the module themselves (delivery Direct), and get no credentials; deliver from a store (store.enabled)")
	}
	return nil
}

// needsResolving is the field that only an operator that looks at modules can put into effect.
func needsResolving(spec wasmv1alpha1.WasmPluginSpec) string {
	switch {
	case moduleOfStore(spec):
		return "spec.url: store://"
	case spec.ImagePullSecret != "":
		return "spec.imagePullSecret"
	case Verifies(spec):
		return "spec.verification"
	case spec.Delivery == wasmv1alpha1.DeliveryStore:
		return "spec.delivery: Store"
	}
	return ""
}

// checkDemands refuses what the installation as a whole demands of every module and this one doesn't have.
func checkDemands(in Input) error {
	spec := in.Plugin.Spec
	// Elsewhere than in an image's name these characters pin nothing.
	pinned := spec.SHA256 != "" || (isImage(spec) && strings.Contains(spec.URL, "@sha256:"))
	switch {
	case in.RequireDigest && !pinned:
		return &InvalidSpecError{
			Reason: wasmv1alpha1.ReasonDigestRequired, Field: "spec.url",
			Problem: "this installation runs modules by digest only (--require-digest); set spec.sha256, or end an image's URL in @sha256: and its digest",
		}
	case in.RequireSignature && !Verifies(spec):
		return &InvalidSpecError{
			Reason: wasmv1alpha1.ReasonSignatureRequired, Field: "spec.verification",
			Problem: "this installation runs signed modules only (--require-signature); say in verification who must have signed it",
		}
	}
	return nil
}

// Verifies says whether the spec asks for a signature.
func Verifies(spec wasmv1alpha1.WasmPluginSpec) bool {
	return !equality.Semantic.DeepEqual(spec.Verification, wasmv1alpha1.Verification{})
}

func notSupported(field, problem string) error {
	return &InvalidSpecError{Reason: wasmv1alpha1.ReasonNotSupported, Field: field, Problem: problem}
}
