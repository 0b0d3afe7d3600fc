// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"fmt"
	"slices"
	"strings"
)

// text is a JSON string of some length.
func text(length int) string { return `"` + strings.Repeat("x", length) + `"` }

// repeated is n times an item; %d in it is its number.
func repeated(n int, item string) []string {
	var items []string
	for i := range n {
		items = append(items, strings.ReplaceAll(item, "%d", fmt.Sprint(i)))
	}
	return items
}

// list is a JSON list of n items; %d in an item is its number.
func list(n int, item string) string { return "[" + strings.Join(repeated(n, item), ", ") + "]" }

const (
	ruleURLText     = "must be printable ASCII without spaces or a fragment (#)"
	ruleURLScheme   = "has an unknown scheme; use oci://, https://, http:// or store://"
	ruleURLHost     = "has no host; write for example oci://registry.example.com/plugin:1.0"
	ruleURLUser     = "must not contain a user name or password; the module must be readable without them"
	ruleURLDigest   = "has an @ that begins no digest; a digest is @sha256: and 64 lower-case hex digits, and a user name or password must not stand here: name a Secret in imagePullSecret"
	ruleURLImage    = "has a character that no image's name has; write for example oci://registry.example.com/plugin:1.0"
	ruleURLValid    = "is not a valid URL; check the host and %-escapes"
	ruleURLPort     = "has a port that is empty, 0 or above 65535"
	ruleURLNumber   = "has a host that is a number, or an address in an unusual form; write its name, or an address such as 192.0.2.1 (for a user of Docker Hub docker.io/USER/…)"
	ruleURLAddress  = "names a link-local address, that of a cloud's metadata service, or an IPv6 address that wraps one of IPv4; write the host that serves the module"
	ruleDigest      = "differs from the digest in url; keep one of them, or make them equal"
	ruleDelivery    = "Direct works neither with imagePullSecret nor with a store:// url, since the proxy fetches from url itself; set Store or leave it out"
	ruleOneRules    = "at most one of the fields in [rules rulesText] may be set"
	ruleOneText     = "at most one of the fields in [rulesFrom rulesText] may be set"
	ruleOneSource   = "exactly one of the fields in [configMapKeyRef secretKeyRef] must be set"
	ruleSigned      = "needs an image in a registry, since that is where cosign keeps signatures; use an oci:// url, or pin the module with sha256"
	ruleSigner      = "needs keys or identities; without them there is nobody who may sign"
	ruleTrustRoot   = "is what identities are checked against, and there are none; set identities, or take this out"
	ruleOneRoot     = "exactly one of the fields in [inline configMapKeyRef] must be set"
	ruleOneIssuer   = "exactly one of the fields in [issuer issuerRegExp] must be set"
	ruleOneSubject  = "exactly one of the fields in [subject subjectRegExp] must be set"
	ruleWholeIssuer = "must begin with ^ and end with $, so that it matches no longer name; write for example ^https://.*[.]example[.]com$"
	ruleWholeSigner = "must begin with ^ and end with $, so that it matches no longer name; write for example ^https://github[.]com/example/.*$"
	ruleRegExp      = "is not a regular expression of RE2's syntax"
	ruleOneKey      = "exactly one of the fields in [inline configMapKeyRef secretKeyRef] must be set"
	aKeyReference   = `{"name": "users", "key": "rules.json"}`
	aRulesSource    = `{"configMapKeyRef": ` + aKeyReference + `}`
	anIdentity      = `{"issuer": "https://issuer.example.com", "subject": "alice@example.com"}`
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
	badURL(ruleURLUser, "store://user:password@plugin"),
	badURL(ruleURLDigest, "oci://user:password@registry.example.com/plugin:1.0"),
	badURL(ruleURLDigest, "oci://user:password@registry.example.com"),
	badURL(ruleURLDigest, "user:password@registry.example.com/plugin:1.0"),
	badURL(ruleURLDigest, "https:/user:password@registry.example.com/plugin:1.0"),
	badURL(ruleURLDigest, "oci://user@registry.example.com/plugin@sha256:"+hex("a")),
	badURL(ruleURLDigest, "oci://registry.example.com/plugin@sha256:"+hex("a")[1:]),
	badURL(ruleURLDigest, "plugin@sha512:"+hex("a")+hex("a")),
	badURL(ruleURLImage, "javascript:alert(1)"),
	badURL(ruleURLImage, "oci://registry.example.com/plugin?version=1"),
	badURL(ruleURLImage, "oci://registry.example.com/%41"),
	badURL(ruleURLValid, "https://example.com/%zz"),
	badURL(ruleURLValid, "https://[::1/plugin.wasm"),
	badURL(ruleURLValid, "https://example.com:port/plugin.wasm"),
	badURL(ruleURLPort, "https://example.com:0/plugin.wasm"),
	badURL(ruleURLPort, "https://example.com:/plugin.wasm"),
	badURL(ruleURLPort, "oci://registry.example.com:123456/plugin:1.0"),
	badURL(ruleURLPort, "registry.example.com:0/plugin:1.0"),
	badURL(ruleURLPort, "file:/etc/passwd"),
	badURL(ruleURLPort, "oci://[2001:db8::1]:0/plugin:1.0"),
	badURL(ruleURLNumber, "http://2852039166/plugin.wasm"),
	badURL(ruleURLNumber, "http://2852039166"),
	badURL(ruleURLNumber, "http://0xA9FEA9FE:80/plugin.wasm"),
	badURL(ruleURLNumber, "http://0251.0376.0251.0376/plugin.wasm"),
	badURL(ruleURLNumber, "http://0xa9.254.0251.254/plugin.wasm"),
	badURL(ruleURLNumber, "http://169.254.43518?plugin"),
	badURL(ruleURLNumber, "http://192.0.2.1./plugin.wasm"),
	badURL(ruleURLNumber, "http://192.0.2.256/plugin.wasm"),
	badURL(ruleURLNumber, "http://192.0.2.1.1/plugin.wasm"),
	badURL(ruleURLNumber, "oci://2852039166:5000/plugin:1.0"),
	badURL(ruleURLNumber, "2852039166/plugin:1.0"),
	badURL(ruleURLAddress, "http://169.254.169.254/plugin.wasm"),
	badURL(ruleURLAddress, "http://169.254.0.23"),
	badURL(ruleURLAddress, "oci://169.254.169.254:5000/plugin:1.0"),
	badURL(ruleURLAddress, "169.254.169.254/plugin:1.0"),
	badURL(ruleURLAddress, "http://100.100.100.200/plugin.wasm"),
	badURL(ruleURLAddress, "http://168.63.129.16:80/plugin.wasm"),
	badURL(ruleURLAddress, "http://192.0.0.192?plugin"),
	badURL(ruleURLAddress, "http://[fe80::1]/plugin.wasm"),
	badURL(ruleURLAddress, "http://[FEBF::1]/plugin.wasm"),
	badURL(ruleURLAddress, "http://[fd00:ec2::254]/plugin.wasm"),
	badURL(ruleURLAddress, "http://[fd00:0EC2:0:0::254]/plugin.wasm"),
	badURL(ruleURLAddress, "http://[fd20:ce::254]/plugin.wasm"),
	badURL(ruleURLAddress, "http://[::ffff:169.254.169.254]/plugin.wasm"),
	badURL(ruleURLAddress, "http://[0:0:0:0:0:ffff:a9fe:a9fe]/plugin.wasm"),
	badURL(ruleURLAddress, "http://[::a9fe:a9fe]/plugin.wasm"),
	badURL(ruleURLAddress, "http://[64:ff9b::a9fe:a9fe]/plugin.wasm"),
	badURL(ruleURLAddress, "oci://[::ffff:169.254.169.254]:5000/plugin:1.0"),
	{"spec.sha256", "minLength", `{"sha256": "` + hex("a")[1:] + `"}`},
	{"spec.sha256", "maxLength", `{"sha256": "` + hex("a") + `a"}`},
	{"spec.sha256", "pattern", `{"sha256": "` + hex("A") + `"}`},
	{"spec.sha256", "pattern", `{"sha256": "` + hex("g") + `"}`},
	{"spec.sha256", ruleDigest, `{"sha256": "` + hex("a") + `", "url": "oci://registry.example.com/plugin@sha256:` + hex("b") + `"}`},
	{"spec.imagePullPolicy", "enum", `{"imagePullPolicy": "Never"}`},
	{"spec.imagePullSecret", "minLength", `{"imagePullSecret": ""}`},
	{"spec.imagePullSecret", "maxLength", `{"imagePullSecret": ` + text(254) + `}`},
	{"spec.delivery", "enum", `{"delivery": "Mail"}`},
	{"spec.delivery", ruleDelivery, `{"delivery": "Direct", "imagePullSecret": "regcred"}`},
	{"spec.delivery", ruleDelivery, `{"delivery": "Direct", "url": "store://plugin"}`},
	{"spec.verification", "minProperties", `{"verification": {}}`},
	{"spec.verification", ruleSigned, `{"verification": {"keys": [` + aVerifiedModule + `]}, "url": "https://example.com/plugin.wasm"}`},
	{"spec.verification", ruleSigned, `{"verification": {"keys": [` + aVerifiedModule + `]}, "url": "store://plugin"}`},
	{"spec.verification", ruleSigner, `{"verification": {"trustRoot": {"inline": "{}"}}}`},
	{"spec.verification.keys", "minItems", `{"verification": {"keys": []}}`},
	{"spec.verification.keys", "maxItems", `{"verification": {"keys": ` + list(9, aVerifiedModule) + `}}`},
	{"spec.verification.keys[]", ruleOneKey, `{"verification": {"keys": [{}]}}`},
	{"spec.verification.keys[]", ruleOneKey, `{"verification": {"keys": [{"inline": "x", "secretKeyRef": ` + aKeyReference + `}]}}`},
	{"spec.verification.keys[].inline", "minLength", `{"verification": {"keys": [{"inline": ""}]}}`},
	{"spec.verification.keys[].inline", "maxLength", `{"verification": {"keys": [{"inline": ` + text(8193) + `}]}}`},
	{"spec.verification.identities", "minItems", `{"verification": {"identities": []}}`},
	{"spec.verification.identities", "maxItems", `{"verification": {"identities": ` + list(9, anIdentity) + `}}`},
	badIdentity("", ruleOneIssuer, `{"subject": "alice"}`),
	badIdentity("", ruleOneIssuer, `{"subject": "alice", "issuer": "x", "issuerRegExp": "^x$"}`),
	badIdentity("", ruleOneSubject, `{"issuer": "x"}`),
	badIdentity("", ruleOneSubject, `{"issuer": "x", "subject": "alice", "subjectRegExp": "^alice$"}`),
	badIdentity(".issuer", "minLength", `{"subject": "alice", "issuer": ""}`),
	badIdentity(".issuer", "maxLength", `{"subject": "alice", "issuer": `+text(513)+`}`),
	badIdentity(".subject", "minLength", `{"issuer": "x", "subject": ""}`),
	badIdentity(".subject", "maxLength", `{"issuer": "x", "subject": `+text(513)+`}`),
	badIdentity(".issuerRegExp", "minLength", `{"subject": "alice", "issuerRegExp": ""}`),
	badIdentity(".issuerRegExp", "maxLength", `{"subject": "alice", "issuerRegExp": `+text(513)+`}`),
	badIdentity(".issuerRegExp", ruleWholeIssuer, `{"subject": "alice", "issuerRegExp": "example[.]com$"}`),
	badIdentity(".issuerRegExp", ruleRegExp, `{"subject": "alice", "issuerRegExp": "^($"}`),
	badIdentity(".subjectRegExp", "minLength", `{"issuer": "x", "subjectRegExp": ""}`),
	badIdentity(".subjectRegExp", "maxLength", `{"issuer": "x", "subjectRegExp": `+text(513)+`}`),
	badIdentity(".subjectRegExp", ruleWholeSigner, `{"issuer": "x", "subjectRegExp": "^https://github[.]com/"}`),
	badIdentity(".subjectRegExp", ruleRegExp, `{"issuer": "x", "subjectRegExp": "^(?=alice)$"}`),
	{"spec.verification.trustRoot", ruleTrustRoot, `{"verification": {"keys": [` + aVerifiedModule + `], "trustRoot": {"inline": "{}"}}}`},
	badTrustRoot("", ruleOneRoot, `{}`),
	badTrustRoot("", ruleOneRoot, `{"inline": "{}", "configMapKeyRef": `+aKeyReference+`}`),
	badTrustRoot(".inline", "minLength", `{"inline": ""}`),
	badTrustRoot(".inline", "maxLength", `{"inline": `+text(65537)+`}`),
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
	badKeyReferences("spec.verification.keys[]", `{"verification": {"keys": [%s]}}`, "configMapKeyRef", "secretKeyRef"),
	badKeyReferences("spec.verification.trustRoot", `{"verification": {"identities": [`+anIdentity+`], "trustRoot": %s}}`, "configMapKeyRef"),
	badKeyReferences("spec.rulesFrom[]", `{"rulesFrom": [%s]}`, "configMapKeyRef", "secretKeyRef"),
	badKeyReferences("spec.overrides[].rulesFrom[]", `{"overrides": [{"match": {"hosts": ["a.example.com"]}, "rulesFrom": [%s]}]}`, "configMapKeyRef", "secretKeyRef"),
)

func badIdentity(path, rule, identity string) badValue {
	return badValue{"spec.verification.identities[]" + path, rule, `{"verification": {"identities": [` + identity + `]}}`}
}

func badTrustRoot(path, rule, trustRoot string) badValue {
	return badValue{"spec.verification.trustRoot" + path, rule, `{"verification": {"identities": [` + anIdentity + `], "trustRoot": ` + trustRoot + `}}`}
}

// badKeyReferences are those of references to a key; %s in fields is the object with the reference.
func badKeyReferences(path, fields string, references ...string) []badValue {
	var all []badValue
	for _, reference := range references {
		for _, field := range []string{"name", "key"} {
			for _, bad := range [][2]string{{"required", ""}, {"minLength", text(0)}, {"maxLength", text(254)}} {
				rule, value := bad[0], bad[1]
				members := map[string]string{"name": `"users"`, "key": `"rules.json"`}
				members[field] = value
				var pairs []string
				for _, member := range []string{"name", "key"} {
					if members[member] != "" {
						pairs = append(pairs, fmt.Sprintf("%q: %s", member, members[member]))
					}
				}
				item := fmt.Sprintf("{%q: {%s}}", reference, strings.Join(pairs, ", "))
				all = append(all, badValue{path + "." + reference + "." + field, rule, fmt.Sprintf(fields, item)})
			}
		}
	}
	return all
}
