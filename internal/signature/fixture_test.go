// SPDX-License-Identifier: Apache-2.0

package signature

import (
	_ "embed"
	"encoding/json"
	"maps"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// cosignJSON was written by cosign; see test/signatures.
//
//go:embed testdata/cosign.json
var cosignJSON []byte

type fixtures struct {
	Image, Other string
	Keys         map[string]string
	TrustRoots   map[string]json.RawMessage
	Signatures   map[string][]module.Attachment
}

func load(t testing.TB) fixtures {
	t.Helper()
	var loaded fixtures
	if err := json.Unmarshal(cosignJSON, &loaded); err != nil {
		t.Fatal(err)
	}
	return loaded
}

// policy trusts keys by name and, if a trust root is named, identities.
func (f fixtures) policy(keys []string, trustRoot string, identities ...Identity) Policy {
	made := Policy{Identities: identities, TrustRoot: f.TrustRoots[trustRoot]}
	for _, key := range keys {
		made.Keys = append(made.Keys, Key{Name: "keys." + key, PEM: []byte(f.Keys[key])})
	}
	return made
}

// found are the signatures of several cases.
func (f fixtures) found(t testing.TB, cases ...string) []module.Attachment {
	t.Helper()
	var all []module.Attachment
	for _, name := range cases {
		if len(f.Signatures[name]) == 0 {
			t.Fatalf("no fixture %q", name)
		}
		for _, attachment := range f.Signatures[name] {
			attachment.Annotations = maps.Clone(attachment.Annotations)
			all = append(all, attachment)
		}
	}
	return all
}

var (
	alice       = Identity{Issuer: "https://accounts.example.com", Subject: "alice@example.com"}
	bob         = Identity{Issuer: "https://accounts.example.com", Subject: "bob@example.com"}
	aliceOfElse = Identity{Issuer: "https://accounts.example.org", Subject: "alice@example.com"}
	anyone      = Identity{IssuerRegExp: `^https://accounts\.example\.com$`, SubjectRegExp: `^.*@example\.com$`}
)

func wantKind(t *testing.T, err error, want module.Kind) {
	t.Helper()
	if got := module.KindOf(err); got != want {
		t.Fatalf("got %q (%v), want %q", got, err, want)
	}
}
