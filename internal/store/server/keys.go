// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// The keys under which things are stored:
//
//	modules/sha256/HEX.wasm                what proxies fetch, as in the path
//	modules/private/CAPABILITY/HEX.wasm    the same for modules that were pulled with a Secret
//	uploads/NAMESPACE/NAME/HEX.wasm        what tenants upload; a proxy gets it when the manager has verified it
//	tags/NAMESPACE/NAME/TAG/00000001       each place of a tag, in its order
//	references.json                        which modules are in use
const (
	modulesPrefix = "modules/"
	uploadsPrefix = "uploads/"
	tagsPrefix    = "tags/"
	referencesKey = "references.json"
	extension     = ".wasm"
	digestPrefix  = "sha256:"
)

func moduleKey(ref store.Reference) string {
	return strings.TrimPrefix(ref.Path(), "/")
}

func hexOf(digest string) string {
	return strings.TrimPrefix(digest, digestPrefix)
}

// label names a module of a namespace, and perhaps a tag of it.
type label struct{ namespace, name, tag string }

func (l label) String() string {
	return l.namespace + "/" + l.name + ":" + l.tag
}

func (l label) uploadKey(digest string) string {
	return uploadsPrefix + l.namespace + "/" + l.name + "/" + hexOf(digest) + extension
}

func (l label) tagPrefix() string {
	return tagsPrefix + l.namespace + "/" + l.name + "/" + l.tag + "/"
}

func (l label) tagKey(version int) string {
	return fmt.Sprintf("%s%08d", l.tagPrefix(), version)
}

// parseTagKey is the tag of a key, and which of its versions stands there.
func parseTagKey(key string) (of label, version int, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 5 || parts[0]+"/" != tagsPrefix {
		return label{}, 0, false
	}
	version, err := strconv.Atoi(parts[4])
	if err != nil || version < 1 {
		return label{}, 0, false
	}
	return label{namespace: parts[1], name: parts[2], tag: parts[3]}, version, true
}
