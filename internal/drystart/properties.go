// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// ofProxies are properties that depend on the proxy, its connections and its routes.
var ofProxies = []string{
	"cluster_metadata", "cluster_name", "connection", "connection_id", "destination", "filter_state", "listener_direction",
	"listener_metadata", "metadata", "node", "request", "response", "route_metadata", "route_name", "source", "upstream",
	"upstream_filter_state", "upstream_host_metadata", "xds",
}

// setStreamProperty keeps a property with the request.
func (c *call) setStreamProperty() uint32 {
	path, value := c.text(0), c.text(2)
	if c.fault {
		return ok
	}
	c.state.keep(len(path), len(value), entryOverhead)
	c.stream().properties[path] = value
	return ok
}

// getStreamProperty knows the plugin's own properties, those that it has set, and those of the messages.
func (c *call) getStreamProperty() uint32 {
	text := c.text(0)
	if c.fault || text == "" {
		return c.getProperty()
	}
	path := strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
	value, found := c.ofStream(path)
	switch {
	case found:
	case c.isMissing(path):
		return notFound
	case slices.Contains(ofProxies, path[0]):
		c.guess("proxy_get_property " + strings.Join(path, "."))
		return notFound
	case len(path) == 1:
		if value, found = c.stream().properties[path[0]]; !found {
			return c.getProperty()
		}
	default:
		return notFound
	}
	c.give(2, []byte(value))
	return ok
}

// isMissing says whether the property is one that the message which is here lacks.
func (c *call) isMissing(path []string) bool {
	s := c.stream()
	if len(path) < 2 {
		return false
	}
	switch path[0] {
	case "request":
		known := slices.Contains([]string{"headers", "referer", "useragent", "id"}, path[1])
		return known && (s.request.visible != nil || s.logging)
	case "response":
		return path[1] == "headers" && (s.response.visible != nil || s.logging)
	}
	return false
}

// ofStream is a property of the messages.
func (c *call) ofStream(path []string) (string, bool) {
	s := c.stream()
	switch {
	case len(path) > 1 && path[0] == "request" && (s.request.visible != nil || s.logging):
		return ofRequest(s.request.headers, path[1:])
	case len(path) > 1 && path[0] == "response" && (s.response.visible != nil || s.logging):
		return ofResponse(s, path[1:])
	}
	return "", false
}

func ofRequest(headers Headers, path []string) (string, bool) {
	target, _ := headers.Get(headerPath)
	if len(path) == 2 && path[0] == "headers" {
		return headers.joined(strings.ToLower(path[1]))
	}
	if len(path) > 1 {
		return "", false
	}
	beforeQuery, query, _ := strings.Cut(target, "?")
	switch path[0] {
	case "path":
		return target, true
	case "url_path":
		return beforeQuery, true
	case "query":
		return query, true
	case "protocol":
		return "HTTP/1.1", true
	case "headers":
		return string(writePairs(headers)), true
	}
	name, known := map[string]string{
		"host": headerAuthority, "scheme": headerScheme, "method": headerMethod, "referer": "referer", "useragent": "user-agent",
		"id": headerRequestID,
	}[path[0]]
	if !known {
		return "", false
	}
	return headers.Get(name)
}

func ofResponse(s *stream, path []string) (string, bool) {
	headers := s.response.headers
	switch {
	case len(path) == 2 && path[0] == "headers":
		return headers.joined(strings.ToLower(path[1]))
	case len(path) == 1 && path[0] == "headers":
		return string(writePairs(headers)), true
	case len(path) == 1 && path[0] == "code" && s.reached:
		text, _ := headers.Get(headerStatus)
		code, err := strconv.ParseUint(text, 10, 16)
		return string(binary.LittleEndian.AppendUint64(nil, code)), err == nil
	}
	return "", false
}
