// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzRoundTrip: what can be read can be written, and then stays as it is however often it is read and written; a copy is
// the same.
func FuzzRoundTrip(f *testing.F) {
	for _, seed := range []string{
		`{"apiVersion":"wasm.solarmesh.io/v1alpha1","kind":"WasmPlugin","metadata":{"name":"a","namespace":"b"},"spec":{"url":"oci://h/a:1",
			"rules":{"b": 9007199254740993, "a": [1e400, "<&>", null]},"selector":{"matchLabels":{"istio":"gateway"}}}}`,
		`{"spec":{"rules":null,"overrides":[{"match":{"hosts":["a"]},"rules":{}},{"mode":"Disable"}],"targetRefs":[{"group":"","kind":"Gateway","name":"x"}],
			"priority":0,"vmConfig":{"env":[{"name":"A","value":""},{"name":"B","valueFrom":"HOST"}]}}}`,
		`{"spec":{"verification":{"keys":[{"inline":"x"},{"configMapKeyRef":{"name":"a","key":"b"}}]},"rollout":{"canary":{"holdSeconds":0}},
			"envoy":{"capabilityRestriction":{"allowedCapabilities":["a"]}},"activation":{"mode":"Safe","deadlineSeconds":1}}}`,
		`{"status":{"observedGeneration":1,"conditions":[{"type":"Ready","status":"True","lastTransitionTime":null}],"proxies":{"matched":0}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		plugin := &WasmPlugin{}
		if json.Unmarshal(raw, plugin) != nil {
			return
		}
		before := plugin.DeepCopy()
		if !reflect.DeepEqual(plugin, before) {
			t.Errorf("the copy of %s is %v", raw, before)
		}
		written, err := json.Marshal(plugin)
		if err != nil {
			t.Fatalf("%s can't be written: %v", raw, err)
		}
		// What was empty, and not absent, is absent from then on.
		once := rewritten(t, written)
		if twice := rewritten(t, once); !bytes.Equal(twice, once) {
			t.Errorf("%s, then %s", once, twice)
		}
		if !reflect.DeepEqual(plugin, before) {
			t.Error("writing changed it")
		}
	})
}

// rewritten is what becomes of an object that is read and written.
func rewritten(t *testing.T, raw []byte) []byte {
	t.Helper()
	plugin := &WasmPlugin{}
	if err := json.Unmarshal(raw, plugin); err != nil {
		t.Fatalf("%s can't be read: %v", raw, err)
	}
	written, err := json.Marshal(plugin)
	if err != nil {
		t.Fatalf("%s can't be written: %v", raw, err)
	}
	return written
}
