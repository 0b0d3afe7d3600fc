// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strings"
)

// A policy says which requests need credentials, and which credentials they need.
type policy struct {
	realm string
	rules []rule
}

// A rule asks for one of its credentials on the requests that it applies to.
type rule struct {
	matches func(requestPath, rulePath string) bool
	path    string
	methods []string // upper case
	// Hashes, since subtle.ConstantTimeCompare tells by its time whether two lengths are equal.
	credentials [][sha256.Size]byte
}

// allows reports whether a request may pass: whether every rule that applies to it accepts its credentials. target is
// the request's path with its query, authorization the value of that header.
func (p *policy) allows(method, target, authorization string) bool {
	paths := readings(target)
	for _, r := range p.rules {
		if r.appliesTo(method, paths[:]) && !r.accepts(authorization) {
			return false
		}
	}
	return true
}

func (r *rule) appliesTo(method string, paths []string) bool {
	// Methods are case-sensitive, but there are servers that serve "get" like "GET".
	return slices.Contains(r.methods, strings.ToUpper(method)) &&
		slices.ContainsFunc(paths, func(p string) bool { return r.matches(p, r.path) })
}

func (r *rule) accepts(authorization string) bool {
	scheme, encoded, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return false
	}
	presented, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return false
	}
	hash := sha256.Sum256(presented)
	found := 0
	// Every credential is compared, so that the time does not tell which one it was.
	for _, credential := range r.credentials {
		found |= subtle.ConstantTimeCompare(hash[:], credential[:])
	}
	return found == 1
}

// readings returns the paths that a server may take a request's target for. Servers differ in whether they decode
// before they resolve "..", after it, or never resolve it. A rule that matches any reading applies, so that no way of
// writing a path leads past a rule.
func readings(target string) [3]string {
	raw, _, _ := strings.Cut(target, "?")
	decoded := percentDecode(raw)
	return [...]string{decoded, clean(decoded), percentDecode(clean(raw))}
}

// percentDecode decodes what is well encoded and keeps the rest as it is. url.PathUnescape would refuse the whole path
// for one bad sequence, which some servers let pass.
func percentDecode(p string) string {
	if !strings.Contains(p, "%") {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			high, highOK := hexDigit(p[i+1])
			low, lowOK := hexDigit(p[i+2])
			if highOK && lowOK {
				b.WriteByte(high<<4 | low)
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// clean returns the simplest form of a path: backslashes as slashes, without parameters (";v=1"), repeated slashes and
// dot segments. A slash at the end stays.
func clean(p string) string {
	var kept []string
	var last string
	for segment := range strings.SplitSeq(strings.ReplaceAll(p, `\`, "/"), "/") {
		last, _, _ = strings.Cut(segment, ";")
		switch last {
		case "", ".":
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		default:
			kept = append(kept, last)
		}
	}
	cleaned := "/" + strings.Join(kept, "/")
	// The path ends in a slash, or in a dot segment, which names a folder too.
	if len(kept) > 0 && last != kept[len(kept)-1] {
		cleaned += "/"
	}
	return cleaned
}
