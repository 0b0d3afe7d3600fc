// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
)

// longestRefusal is what a sentence takes that quotes nothing.
const longestRefusal = 200

// FuzzCanonical: two documents have one canonical form if, and only if, they mean the same. Numbers mean what is written.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"b": 1, "a": [1.50, null, {"c": "\u00fc"}]}`), []byte(`{"a":[1.50,null,{"c":"ü"}],"b":1}`))
	f.Add([]byte(`{"a":1,"a":2}`), []byte(`{"a":2}`))
	f.Add([]byte(`{"a":"\ud83d\ude00<&>"}`), []byte(`{"a":1e400}`))
	f.Add([]byte(nested(64)), []byte(nested(65)))
	f.Fuzz(func(t *testing.T, one, other []byte) {
		first, readable := checkCanonical(t, one)
		second, alsoReadable := checkCanonical(t, other)
		if !readable || !alsoReadable {
			return
		}
		if same := reflect.DeepEqual(decoded(t, one), decoded(t, other)); same != (first == second) {
			t.Errorf("mean the same: %t, but are %s and %s", same, first, second)
		}
	})
}

// checkCanonical holds one document against what is true of any.
func checkCanonical(t *testing.T, raw []byte) (text string, readable bool) {
	t.Helper()
	text, err := Canonical(raw)
	if err != nil {
		if len(err.Error()) > longestRefusal {
			t.Errorf("quotes the rules: %v", err)
		}
		return "", false
	}
	if again, err := Canonical([]byte(text)); err != nil || again != text {
		t.Errorf("isn't stable: %s, then %s, %v", text, again, err)
	}
	if !reflect.DeepEqual(decoded(t, raw), decoded(t, []byte(text))) {
		t.Errorf("%s became %s", raw, text)
	}
	var indented bytes.Buffer
	if json.Indent(&indented, raw, " ", "\t") == nil && indented.Len() < MaxBytes {
		if spaced, err := Canonical(indented.Bytes()); err != nil || spaced != text {
			t.Errorf("with spaces it is %s, %v, else %s", spaced, err, text)
		}
	}
	return text, true
}

// FuzzMerge compares with RFC 7386, read word by word.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1,"c":null}}`), []byte(`{"a":{"b":null,"d":[null]}}`), []byte(`{"a":1}`))
	f.Add([]byte(`{"a":[1]}`), []byte(`{"a":{"b":null,"c":1}}`), []byte(`{}`))
	f.Add([]byte(`{"a":1}`), []byte(`[]`), []byte(`null`))
	f.Fuzz(func(t *testing.T, base, patch, last []byte) {
		documents := [][]byte{base, patch, last}
		got, err := Merge(documents...)
		var want any
		for i, document := range documents {
			if _, refused := parse(document); refused != nil {
				checkBlamed(t, err, i)
				return
			}
			if i == 0 {
				want = decoded(t, document)
				continue
			}
			want = rfc7386(want, decoded(t, document))
		}
		if err == nil {
			checkMerged(t, got, want, documents)
		} else if len(base)+len(patch)+len(last) < MaxBytes/6 {
			t.Errorf("refuses what is good: %v", err)
		}
	})
}

func checkBlamed(t *testing.T, err error, index int) {
	t.Helper()
	var blamed *DocumentError
	if !errors.As(err, &blamed) || blamed.Index != index || len(err.Error()) > longestRefusal {
		t.Errorf("blames %v, want document %d", err, index)
	}
}

func checkMerged(t *testing.T, got string, want any, documents [][]byte) {
	t.Helper()
	if !reflect.DeepEqual(decoded(t, []byte(got)), want) {
		t.Errorf("%s make %s, want %v", documents, got, want)
	}
	if again, err := Canonical([]byte(got)); err != nil || again != got {
		t.Errorf("%s isn't canonical: %s, %v", got, again, err)
	}
	if twice, err := Merge(append(documents, documents[2])...); err != nil || twice != got {
		t.Errorf("the last one twice makes %s, %v, else %s", twice, err, got)
	}
	if nothing, err := Merge([]byte(got), []byte("{}")); err != nil || nothing != got {
		t.Errorf("an empty patch makes %s of %s, %v", nothing, got, err)
	}
}

// rfc7386 is the pseudo-code of its section 2.
func rfc7386(target, patch any) any {
	members, isObject := patch.(map[string]any)
	if !isObject {
		return patch
	}
	result, isObject := target.(map[string]any)
	if !isObject {
		result = map[string]any{}
	}
	result = maps.Clone(result)
	for name, value := range members {
		if value == nil {
			delete(result, name)
		} else {
			result[name] = rfc7386(result[name], value)
		}
	}
	return result
}

// FuzzMask: of a string under the key of a secret nothing is left in what others say, in whatever form they repeat it.
func FuzzMask(f *testing.F) {
	f.Add("ok:test", "bad value ", " at 3", `{"a":"b"}`)
	f.Add(`a"b<c`, `{\"x\":\"`, `\"}`, "plain text of a Secret")
	f.Add("pass", "pass", "word", `{"password":"pass"}`)
	f.Fuzz(func(t *testing.T, secret, before, after, document string) {
		// What replaces it is made of *, and so may make another one.
		if secret = strings.ToValidUTF8(secret, "?"); secret == "" || strings.Contains(secret, "*") || len(secret) > MaxBytes/8 {
			return
		}
		inline, err := json.Marshal(map[string]any{"list": []any{map[string]any{"apiTOKEN": []any{secret}}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, said := range []string{secret, quoted(secret, false), quoted(secret, true), quoted(quoted(secret, false), true)} {
			if masked := Mask(before+said+after, nil, inline); strings.Contains(masked, said) {
				t.Errorf("%q tells %q", masked, said)
			}
			if masked := Mask(before+said+after, [][]byte{[]byte(document), inline}); len(secret) >= shortestSecret && !strings.Contains(document, "*") && strings.Contains(masked, said) {
				t.Errorf("%q tells %q of a Secret", masked, said)
			}
		}
	})
}

// decoded reads a JSON object without loss.
func decoded(t *testing.T, raw []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value map[string]any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return value
}
