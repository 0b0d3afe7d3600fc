// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// configuration carries over a plugin's configuration in each of the forms that Envoy takes: texts, bytes, or a Struct.
func (d *draft) configuration(f *fields, name string) {
	if text, ok := f.values[name].(string); ok { // Istio 1.5's way
		f.skip(name)
		d.rulesOf(f.join(name), text)
		return
	}
	if !f.has(name) {
		return
	}
	text, ok := d.anyText(f.object(name))
	if ok && text != "" {
		d.rulesOf(f.join(name), text)
	}
}

// anyText is the text that Envoy gives to a plugin for an Any.
func (d *draft) anyText(f *fields) (string, bool) {
	kind := messageOf(f.text("@type"))
	switch kind {
	case "google.protobuf.StringValue":
		return f.text("value"), true
	case "google.protobuf.BytesValue":
		content, err := base64.StdEncoding.DecodeString(f.text("value"))
		if err != nil || !utf8.Valid(content) {
			d.refuse("%s holds bytes that are no text, and rules are text; give the plugin a configuration that is", f.path)
			return "", false
		}
		return string(content), true
	case "google.protobuf.Struct":
		text, err := encode(f.value("value"))
		if err != nil {
			d.refuse("%s can't be written as JSON", f.path)
		}
		return text, err == nil && text != "null"
	}
	d.refuse("%s is of type %q; a plugin's configuration is a StringValue, a BytesValue or a Struct of google.protobuf", f.path, kind)
	return "", false
}

// messageOf is a message's name without what stands before it in a type's URL.
func messageOf(typeURL string) string {
	return typeURL[strings.LastIndexByte(typeURL, '/')+1:]
}

// rulesOf makes rules of JSON, and keeps whatever else as it is.
func (d *draft) rulesOf(path, text string) {
	value, canonical := jsonRules(text)
	switch {
	case canonical && exact(value):
		d.plugin.Spec.Rules = value
		return
	case canonical:
		d.note("%s: has numbers that Kubernetes doesn't keep digit by digit, so it became rulesText, byte for byte", path)
	}
	d.plugin.Spec.RulesText = text
}

// jsonRules are the rules in a JSON object.
func jsonRules(text string) (*apiextensionsv1.JSON, bool) {
	canonical, err := rules.Canonical([]byte(text))
	if err != nil {
		return nil, false
	}
	return &apiextensionsv1.JSON{Raw: []byte(canonical)}, true
}

// structRules are rules that stand in an object as fields.
func (d *draft) structRules(path string, value any) *apiextensionsv1.JSON {
	if value == nil {
		return nil
	}
	text, err := encode(value)
	if err != nil {
		d.refuse("%s can't be written as JSON", path)
		return nil
	}
	canonical, err := rules.Canonical([]byte(text))
	if err != nil {
		d.refuse("%s %v", path, err)
		return nil
	}
	return &apiextensionsv1.JSON{Raw: []byte(canonical)}
}

func encode(value any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// exact says whether all numbers survive a file in YAML and an API server, which has 64-bit integers and floating point.
func exact(value *apiextensionsv1.JSON) bool {
	decoder := json.NewDecoder(bytes.NewReader(value.Raw))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return true // its end
		}
		if number, ok := token.(json.Number); ok && !exactNumber(number.String()) {
			return false
		}
	}
}

func exactNumber(text string) bool {
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return true
	}
	float, err := strconv.ParseFloat(text, 64)
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	zero := strings.Trim(mantissa, "-0.") == ""
	switch {
	case err != nil:
		return false
	case zero || float == 0: // never give big a tiny number's exponent, which may be huge
		return zero
	}
	written, there := new(big.Rat).SetString(text)
	kept, _ := new(big.Rat).SetString(strconv.FormatFloat(float, 'g', -1, 64))
	return there && written.Cmp(kept) == 0
}
