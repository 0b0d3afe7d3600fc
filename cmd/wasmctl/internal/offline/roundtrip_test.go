// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// FuzzAccepted: nothing that an API server takes by our CRD is lost in our types, and what they write it takes again.
func FuzzAccepted(f *testing.F) {
	const head = `{"apiVersion":"wasm.solarmesh.io/v1alpha1","kind":"WasmPlugin","metadata":{"name":"auth","namespace":"shop"},"spec":`
	for _, spec := range []string{
		`{"url":"oci://registry.example.com/auth:1","scope":"Namespace","rules":{"b":9223372036854775807,"a":[1.50,"<&>",null,{"c":{}}]}}`,
		`{"url":"https://example.com/a.wasm","selector":{"matchLabels":{"app":"shop","empty":""}},"priority":0,"match":[{"context":"ANY","ports":[{"number":80}]}],
			"overrides":[{"match":{"hosts":["a.example.com"],"routes":["x"]},"rules":{}},{"match":{"hosts":["b.example.com"]},"mode":"Disable"}]}`,
		`{"url":"store://auth:1","targetRefs":[{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"x"}],"rulesText":"a\u0000b",
			"vmConfig":{"env":[{"name":"A","value":""},{"name":"B","valueFrom":"HOST"}]},"envoy":{"capabilityRestriction":{"allowedCapabilities":["proxy_log"]}}}`,
		`{"url":"oci://h/a:1","scope":"Namespace","verification":{"keys":[{"configMapKeyRef":{"name":"a","key":"b"}}]},"imagePullSecret":"s",
			"rulesFrom":[{"configMapKeyRef":{"name":"users","key":"a","optional":true}}],"activation":{"mode":"Safe","deadlineSeconds":30,"onDeadline":"Hold"}}`,
	} {
		f.Add([]byte(head + spec + "}"))
	}
	server, err := newAPIServer()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		object := accepted(t, server, raw)
		if object == nil {
			return
		}
		written, err := json.Marshal(object.plugin)
		if err != nil {
			t.Fatal(err)
		}
		if accepted(t, server, written) == nil {
			t.Errorf("%s is taken, but not %s", raw, written)
		}
		if was, is := spec(t, raw), spec(t, written); !reflect.DeepEqual(was, is) {
			t.Errorf("%v\nbecame\n%v", was, is)
		}
	})
}

// accepted is an object that an API server takes, nil for others.
func accepted(t *testing.T, server *apiServer, raw []byte) *judged {
	t.Helper()
	document := cli.Document{JSON: raw}
	if json.Unmarshal(raw, &document.Head) != nil {
		return nil
	}
	object := decodePlugin(document)
	if object.plugin == nil {
		return nil
	}
	problems, err := server.judge(t.Context(), object)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) > 0 {
		return nil
	}
	return &object
}

// spec is that of an object, without what is the same as nothing.
func spec(t *testing.T, raw []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var object struct{ Spec map[string]any }
	if err := decoder.Decode(&object); err != nil {
		t.Fatal(err)
	}
	return withoutEmpty(object.Spec)
}

// withoutEmpty leaves rules as they are: there null and 0 are values.
func withoutEmpty(value any) any {
	switch value := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for name, member := range value {
			if name != "rules" {
				member = withoutEmpty(member)
			}
			if member != nil {
				kept[name] = member
			}
		}
		if len(kept) > 0 {
			return kept
		}
	case []any:
		var kept []any
		for _, member := range value {
			kept = append(kept, withoutEmpty(member))
		}
		if len(kept) > 0 {
			return kept
		}
	case json.Number, string, bool:
		if value != json.Number("0") && value != "" && value != false {
			return value
		}
	}
	return nil
}
