// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"fmt"
	"slices"
	"strings"
)

// text is a JSON string of some length.
func text(length int) string { return `"` + strings.Repeat("x", length) + `"` }

// list is a JSON list of n items; %d in an item is its number.
func list(n int, item string) string {
	var items []string
	for i := range n {
		items = append(items, strings.ReplaceAll(item, "%d", fmt.Sprint(i)))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

const (
	ruleURLText     = "must be printable ASCII without spaces or a fragment (#)"
	ruleURLScheme   = "unknown scheme; use oci://, https://, http:// or store://"
	ruleURLHost     = "has no host; write for example oci://registry.example.com/plugin:1.0"
	ruleURLUser     = "must not contain a user name or password; name a Secret in imagePullSecret"
	ruleURLValid    = "not a valid URL; check the host and %-escapes"
	ruleURLPort     = "has a port that is empty, 0 or above 65535"
	ruleDigest      = "sha256: differs from the digest in url; keep one of them, or make them equal"
	ruleDelivery    = "delivery: Direct works neither with imagePullSecret nor with a store:// url, since the proxy fetches from url itself; set Store or leave it out"
	ruleOneRules    = "at most one of the fields in [rules rulesText] may be set"
	ruleOneText     = "at most one of the fields in [rulesFrom rulesText] may be set"
	ruleOneSource   = "exactly one of the fields in [configMapKeyRef secretKeyRef] must be set"
	ruleOneKey      = "exactly one of the fields in [inline configMapKeyRef secretKeyRef] must be set"
	aKeyReference   = `{"name": "users", "key": "rules.json"}`
	aRulesSource    = `{"configMapKeyRef": ` + aKeyReference + `}`
	aVerifiedModule = `{"inline": "-----BEGIN PUBLIC KEY-----"}`
)

// hex is a digest.
func hex(digit string) string { return strings.Repeat(digit, 64) }

func badURL(rule, url string) badValue { return badValue{"spec.url", rule, `{"url": "` + url + `"}`} }

// badModuleValues are those of the fields about the module and its rules.
var badModuleValues = slices.Concat([]badValue{
	{"spec.url", "required", `{"url": null}`},
	{"spec.url", "type", `{"url": 1}`},
	badURL("minLength", ""),
	badURL("maxLength", "oci://registry.example.com/"+strings.Repeat("x", 2048)),
	badURL(ruleURLText, "oci://registry.example.com/a plugin"),
	badURL(ruleURLText, "oci://registry.example.com/plugin#fragment"),
	badURL(ruleURLText, "oci://registry.example.com/plügin"),
	badURL(ruleURLText, `oci://registry.example.com/plugin\n`),
	badURL(ruleURLScheme, "file:///etc/passwd"),
	badURL(ruleURLScheme, "ftp://example.com/plugin.wasm"),
	badURL(ruleURLScheme, "s3://bucket/plugin.wasm"),
	badURL(ruleURLScheme, "HTTP://example.com/plugin.wasm"),
	badURL(ruleURLScheme, "://example.com/plugin.wasm"),
	badURL(ruleURLHost, "oci://"),
	badURL(ruleURLHost, "oci:///plugin:1.0"),
	badURL(ruleURLHost, "https:///plugin.wasm"),
	badURL(ruleURLHost, "https://:8080/plugin.wasm"),
	badURL(ruleURLHost, "https://?query"),
	badURL(ruleURLHost, "/plugin:1.0"),
	badURL(ruleURLHost, ":1.0"),
	badURL(ruleURLUser, "https://user:password@example.com/plugin.wasm"),
	badURL(ruleURLUser, "https://user@example.com/plugin.wasm"),
	badURL(ruleURLUser, "https://user:password@example.com"),
	badURL(ruleURLUser, "http://user@example.com"),
	badURL(ruleURLUser, "oci://user:password@registry.example.com/plugin:1.0"),
	badURL(ruleURLUser, "user:password@registry.example.com/plugin:1.0"),
	badURL(ruleURLValid, "https://example.com/%zz"),
	badURL(ruleURLValid, "https://[::1/plugin.wasm"),
	badURL(ruleURLValid, "https://example.com:port/plugin.wasm"),
	badURL(ruleURLPort, "https://example.com:0/plugin.wasm"),
	badURL(ruleURLPort, "https://example.com:/plugin.wasm"),
	badURL(ruleURLPort, "oci://registry.example.com:123456/plugin:1.0"),
	badURL(ruleURLPort, "oci://[2001:db8::1]:0/plugin:1.0"),
	{"spec.sha256", "minLength", `{"sha256": "` + hex("a")[1:] + `"}`},
	{"spec.sha256", "maxLength", `{"sha256": "` + hex("a") + `a"}`},
	{"spec.sha256", "pattern", `{"sha256": "` + hex("A") + `"}`},
	{"spec.sha256", "pattern", `{"sha256": "` + hex("g") + `"}`},
	{"spec", ruleDigest, `{"sha256": "` + hex("a") + `", "url": "oci://registry.example.com/plugin@sha256:` + hex("b") + `"}`},
	{"spec.imagePullPolicy", "enum", `{"imagePullPolicy": "Never"}`},
	{"spec.imagePullSecret", "minLength", `{"imagePullSecret": ""}`},
	{"spec.imagePullSecret", "maxLength", `{"imagePullSecret": ` + text(254) + `}`},
	{"spec.delivery", "enum", `{"delivery": "Mail"}`},
	{"spec", ruleDelivery, `{"delivery": "Direct", "imagePullSecret": "regcred"}`},
	{"spec", ruleDelivery, `{"delivery": "Direct", "url": "store://plugin"}`},
	{"spec.verification", "minProperties", `{"verification": {}}`},
	{"spec.verification.keys", "required", `{"verification": {}}`},
	{"spec.verification.keys", "minItems", `{"verification": {"keys": []}}`},
	{"spec.verification.keys", "maxItems", `{"verification": {"keys": ` + list(9, aVerifiedModule) + `}}`},
	{"spec.verification.keys[]", ruleOneKey, `{"verification": {"keys": [{}]}}`},
	{"spec.verification.keys[]", ruleOneKey, `{"verification": {"keys": [{"inline": "x", "secretKeyRef": ` + aKeyReference + `}]}}`},
	{"spec.verification.keys[].inline", "minLength", `{"verification": {"keys": [{"inline": ""}]}}`},
	{"spec.verification.keys[].inline", "maxLength", `{"verification": {"keys": [{"inline": ` + text(8193) + `}]}}`},
	{"spec.pluginName", "minLength", `{"pluginName": ""}`},
	{"spec.pluginName", "maxLength", `{"pluginName": ` + text(257) + `}`},
	{"spec.rules", "type", `{"rules": [1]}`},
	{"spec.rules", "type", `{"rules": "text"}`},
	{"spec.rulesText", "minLength", `{"rulesText": ""}`},
	{"spec.rulesText", "maxLength", `{"rulesText": ` + text(262145) + `}`},
	{"spec", ruleOneRules, `{"rules": {}, "rulesText": "x"}`},
	{"spec", ruleOneText, `{"rulesFrom": [` + aRulesSource + `], "rulesText": "x"}`},
	{"spec.rulesFrom", "minItems", `{"rulesFrom": []}`},
	{"spec.rulesFrom", "maxItems", `{"rulesFrom": ` + list(17, aRulesSource) + `}`},
	{"spec.rulesFrom[]", ruleOneSource, `{"rulesFrom": [{}]}`},
	{"spec.rulesFrom[]", ruleOneSource, `{"rulesFrom": [{"configMapKeyRef": ` + aKeyReference + `, "secretKeyRef": ` + aKeyReference + `}]}`},
},
	badKeyReferences("spec.verification.keys[]", `{"verification": {"keys": [%s]}}`),
	badKeyReferences("spec.rulesFrom[]", `{"rulesFrom": [%s]}`),
	badKeyReferences("spec.overrides[].rulesFrom[]", `{"overrides": [{"match": {"hosts": ["a.example.com"]}, "rulesFrom": [%s]}]}`),
)

// badKeyReferences are those of both references to a key, in items of a list; %s in fields is the item.
func badKeyReferences(path, fields string) []badValue {
	var bad []badValue
	for _, reference := range []string{"configMapKeyRef", "secretKeyRef"} {
		for _, field := range []string{"name", "key"} {
			for rule, value := range map[string]string{"required": "", "minLength": text(0), "maxLength": text(254)} {
				members := map[string]string{"name": `"users"`, "key": `"rules.json"`}
				members[field] = value
				var pairs []string
				for member, json := range members {
					if json != "" {
						pairs = append(pairs, fmt.Sprintf("%q: %s", member, json))
					}
				}
				item := fmt.Sprintf("{%q: {%s}}", reference, strings.Join(pairs, ", "))
				bad = append(bad, badValue{path + "." + reference + "." + field, rule, fmt.Sprintf(fields, item)})
			}
		}
	}
	return bad
}
