// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const (
	storeScheme = "store://"
	defaultTag  = "latest"

	digestPrefix = "sha256:"
)

// Origin is where a module is: on a server, or uploaded into the store.
type Origin struct {
	reference module.Reference
	// name and tag are of a module in the store, of the plugin's namespace; digest is what it must be.
	name, tag, digest string
}

// ParseOrigin reads a module's URL and the SHA-256 that pins it.
func ParseOrigin(url, sha256 string) (Origin, error) {
	stored, isStored := strings.CutPrefix(url, storeScheme)
	if !isStored {
		reference, err := module.Parse(url, sha256)
		return Origin{reference: reference}, err
	}
	name, tag, tagged := strings.Cut(stored, ":")
	if !tagged {
		tag = defaultTag
	}
	origin := Origin{name: name, tag: tag}
	if sha256 != "" {
		origin.digest = digestPrefix + sha256
	}
	return origin, nil
}

// kind is the label of metrics.
func (o Origin) kind() string {
	switch {
	case o.Stored():
		return "store"
	case o.reference.OCI():
		return "oci"
	default:
		return "http"
	}
}

// Stored says whether the module was uploaded into the store.
func (o Origin) Stored() bool { return o.name != "" }

// moves says whether the origin may lead to another module one day.
func (o Origin) moves() bool {
	if o.Stored() {
		return o.digest == ""
	}
	return !o.reference.Pinned()
}

// read reads a module, in the place of one that was read before and refused.
func (w *work) read(ctx context.Context, origin Origin) (Module, error) {
	w.reading.Release()
	w.reading = nil
	if origin.Stored() {
		return w.readStored(ctx, origin)
	}
	secret, err := w.secret(ctx)
	if err != nil {
		return Module{}, err
	}
	fetched, err := w.fetcher.Fetch(ctx, origin.reference.For(w.Namespace), secret)
	if err != nil {
		return Module{}, err
	}
	w.reading = fetched
	metrics.ModuleBytes.WithLabelValues(origin.kind()).Add(float64(fetched.Size))
	found := Module{
		Digest: fetched.Digest, Manifest: fetched.ManifestDigest, Source: fetched.Source, Size: fetched.Size, ABI: fetched.ABI,
	}
	if fetched.ResolvedDigest != fetched.ManifestDigest {
		found.Resolved = fetched.ResolvedDigest
	}
	return found, nil
}

// readStored reads a module that was uploaded into the store.
func (w *work) readStored(ctx context.Context, origin Origin) (Module, error) {
	digest, err := w.tagDigest(ctx, origin)
	if err != nil {
		return Module{}, err
	}
	content, err := w.store.Tagged(ctx, w.Namespace, origin.name, digest)
	if err != nil {
		return Module{}, storeFailure(err)
	}
	if w.reading, err = w.hold(content); err != nil {
		return Module{}, storeFailure(err)
	}
	abi, err := module.Inspect(w.reading.Content)
	return Module{Digest: digest, Source: storeScheme + origin.name + "@" + digest, Size: w.reading.Size, ABI: abi}, err
}

func (w *work) tagDigest(ctx context.Context, origin Origin) (string, error) {
	if origin.digest != "" {
		return origin.digest, nil
	}
	digest, _, err := w.store.Tag(ctx, w.Namespace, origin.name, origin.tag)
	if err != nil {
		return "", storeFailure(err)
	}
	return digest, nil
}

// meaning is the origin as it is meant now, pinned, and whether that is still the known module.
func (w *work) meaning(ctx context.Context) (Origin, bool, error) {
	origin := w.Origin
	switch {
	case !origin.moves():
		return origin, true, nil
	case origin.Stored():
		digest, err := w.tagDigest(ctx, origin)
		origin.digest = digest
		return origin, digest == w.Known.Digest, err
	case !origin.reference.OCI():
		return origin, false, nil // only its bytes tell
	}
	secret, err := w.secret(ctx)
	if err != nil {
		return origin, false, err
	}
	digest, err := w.fetcher.Resolve(ctx, origin.reference, secret)
	origin.reference = origin.reference.At(digest)
	return origin, digest == w.Known.resolvedTo(), err
}

// pinned is the origin of the known module, whatever the spec's tag means by now.
func (w *work) pinned() Origin {
	origin := w.Origin
	if origin.Stored() {
		origin.digest = w.outcome.Module.Digest
		return origin
	}
	if resolved := w.outcome.Module.resolvedTo(); resolved != "" {
		origin.reference = origin.reference.At(resolved)
	}
	return origin
}

func (w *work) secret(ctx context.Context) ([]byte, error) {
	if w.PullSecret == nil {
		return nil, nil
	}
	return w.PullSecret(ctx)
}

// storeFailure is that of the operator's own store. Only what isn't there is the user's to mend, and what the module is the
// store can't help.
func storeFailure(err error) error {
	switch {
	case module.KindOf(err) != "":
		return err
	case store.KindOf(err) == store.NotFound:
		return &Failure{Reason: string(module.NotFound), Message: err.Error()}
	}
	return &Failure{Reason: wasmv1alpha1.ReasonStoreUnavailable, Message: err.Error(), Temporary: true}
}
