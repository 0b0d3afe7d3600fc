// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// defaultRealm is that of the basic_auth extension of Istio.
const defaultRealm = "istio"

// pathMatchers are the ways in which a rule can name its path.
var pathMatchers = []struct {
	field   string
	matches func(requestPath, rulePath string) bool
}{
	{"prefix", strings.HasPrefix},
	{"suffix", strings.HasSuffix},
	{"exact", func(requestPath, rulePath string) bool { return requestPath == rulePath }},
}

// parsePolicy reads the plugin's configuration. Its errors name the field that is wrong and quote no value, since a
// value can be a credential.
func parsePolicy(configuration []byte) (*policy, error) {
	if len(bytes.TrimSpace(configuration)) == 0 {
		return nil, errors.New("the configuration is empty; it needs the field basic_auth_rules, a list of rules")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(configuration, &whole); err != nil {
		return nil, syntaxError(configuration, err)
	}
	fields, err := parseObject(whole, "the configuration", "basic_auth_rules", "realm")
	if err != nil {
		return nil, err
	}
	p := &policy{realm: defaultRealm}
	if realm, ok := fields["realm"]; ok {
		if p.realm, err = parseRealm(realm); err != nil {
			return nil, err
		}
	}
	p.rules, err = parseRules(fields["basic_auth_rules"])
	return p, err
}

// syntaxError tells only where the fault is: the words of encoding/json quote a part of the text.
func syntaxError(configuration []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return errors.New("the configuration is not valid JSON")
	}
	before := configuration[:min(int(syntax.Offset), len(configuration))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Errorf("the configuration is not valid JSON: see line %d, byte %d", line, column)
}

func parseRealm(raw json.RawMessage) (string, error) {
	realm, err := parseString(raw, "realm")
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return "", errors.New(`realm must consist of printable ASCII characters other than " and \`)
	}
	return realm, nil
}

func parseRules(raw json.RawMessage) ([]rule, error) {
	items, err := parseList(raw, "basic_auth_rules")
	if err != nil {
		return nil, err
	}
	rules := make([]rule, len(items))
	for i, item := range items {
		if rules[i], err = parseRule(item, fmt.Sprintf("basic_auth_rules[%d]", i)); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

func parseRule(raw json.RawMessage, where string) (rule, error) {
	fields, err := parseObject(raw, where, "prefix", "suffix", "exact", "request_methods", "credentials")
	if err != nil {
		return rule{}, err
	}
	var r rule
	for _, matcher := range pathMatchers {
		value, ok := fields[matcher.field]
		if !ok {
			continue
		}
		if r.matches != nil {
			return rule{}, fmt.Errorf("%s has more than one of prefix, suffix and exact; make a rule of each", where)
		}
		r.matches = matcher.matches
		if r.path, err = parsePath(value, where, matcher.field); err != nil {
			return rule{}, err
		}
	}
	if r.matches == nil {
		return rule{}, fmt.Errorf("%s needs one of prefix, suffix and exact", where)
	}
	if r.methods, err = parseMethods(fields["request_methods"], where+".request_methods"); err != nil {
		return rule{}, err
	}
	r.credentials, err = parseCredentials(fields["credentials"], where+".credentials")
	return r, err
}

func parsePath(raw json.RawMessage, where, field string) (string, error) {
	where += "." + field
	written, err := parseString(raw, where)
	if err != nil {
		return "", err
	}
	if strings.Contains(written, "?") {
		return "", fmt.Errorf("%s must not contain a question mark: the query is no part of the path", where)
	}
	p := percentDecode(written)
	if field == "suffix" {
		return p, nil
	}
	if !strings.HasPrefix(p, "/") {
		return "", fmt.Errorf("%s must begin with a slash", where)
	}
	if clean(p) != p {
		return "", fmt.Errorf(`%s must be a path without "//", "/./", "/../", ";" and backslashes`, where)
	}
	return p, nil
}

func parseMethods(raw json.RawMessage, where string) ([]string, error) {
	methods, err := parseStrings(raw, where)
	if err != nil {
		return nil, err
	}
	for i, method := range methods {
		methods[i] = strings.ToUpper(method)
		if strings.Trim(methods[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
			return nil, fmt.Errorf("%s[%d] must be an HTTP method such as GET; list each method", where, i)
		}
	}
	if slices.Contains(methods, "GET") {
		// HEAD is answered by what answers GET, with all of its headers.
		methods = append(methods, "HEAD")
	}
	return methods, nil
}

func parseCredentials(raw json.RawMessage, where string) ([][sha256.Size]byte, error) {
	credentials, err := parseStrings(raw, where)
	if err != nil {
		return nil, err
	}
	hashes := make([][sha256.Size]byte, len(credentials))
	for i, credential := range credentials {
		plain := []byte(credential)
		if !strings.Contains(credential, ":") {
			plain, err = base64.StdEncoding.DecodeString(credential)
			if err != nil || !bytes.Contains(plain, []byte(":")) {
				return nil, fmt.Errorf("%s[%d] must be user:password, or the base64 encoding of it", where, i)
			}
		}
		if len(plain) == len(":") {
			return nil, fmt.Errorf("%s[%d] has neither a user nor a password", where, i)
		}
		hashes[i] = sha256.Sum256(plain)
	}
	return hashes, nil
}

// parseObject returns the fields of an object. encoding/json alone would take the last of two fields of one name, and
// a field whose name differs in case: a rule could be lost without a word.
func parseObject(raw json.RawMessage, where string, known ...string) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, fmt.Errorf("%s must be an object with the fields %s", where, strings.Join(known, ", "))
	}
	fields := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("%s is not valid JSON", where)
		}
		name, _ := token.(string)
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s has the unknown field %q; its fields are %s", where, name, strings.Join(known, ", "))
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%s has the field %s twice", where, name)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("%s.%s is not valid JSON", where, name)
		}
		fields[name] = value
	}
	return fields, nil
}

func parseList(raw json.RawMessage, where string) ([]json.RawMessage, error) {
	if raw == nil {
		return nil, fmt.Errorf("%s is missing; it must be a list", where)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return nil, fmt.Errorf("%s must be a list", where)
	}
	return list, nil
}

func parseStrings(raw json.RawMessage, where string) ([]string, error) {
	items, err := parseList(raw, where)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("%s must not be empty", where)
	}
	list := make([]string, len(items))
	for i, item := range items {
		if list[i], err = parseString(item, fmt.Sprintf("%s[%d]", where, i)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func parseString(raw json.RawMessage, where string) (string, error) {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", fmt.Errorf("%s must be a string", where)
	}
	if *s == "" {
		return "", fmt.Errorf("%s must not be empty", where)
	}
	return *s, nil
}
