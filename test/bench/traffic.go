// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// traffic is what went between an operator and the API server.
type traffic struct {
	// Requests by verb and resource: "PATCH wasmplugins/status".
	Requests map[string]int `json:"requests"`
	Total    int            `json:"total"`
	// Writes are those of plugins and EnvoyFilters.
	Writes int `json:"writes"`
	// SpecReads are reads of plugins and EnvoyFilters as a whole, not of metadata alone.
	SpecReads int `json:"specReads"`
	// Bytes of requests and answers, watches and headers included.
	Sent     int64 `json:"bytesSent"`
	Received int64 `json:"bytesReceived"`
}

func trafficOf(requests []chain.Request, sent, received int64) traffic {
	t := traffic{Requests: map[string]int{}, Total: len(requests), Sent: sent, Received: received}
	for _, r := range requests {
		verb, resource := wordsOf(r)
		t.Requests[verb+" "+resource]++
		switch {
		case !isOurs(resource):
		case r.Method != http.MethodGet:
			t.Writes++
		case !strings.Contains(r.Accept, "as=PartialObjectMetadata"):
			t.SpecReads++
		}
	}
	return t
}

// isOurs says whether a resource, or what a subresource is of, is a plugin or an EnvoyFilter.
func isOurs(resource string) bool {
	resource, _, _ = strings.Cut(resource, "/")
	return resource == "wasmplugins" || resource == "envoyfilters"
}

// wordsOf names a request as RBAC does.
func wordsOf(r chain.Request) (verb, resource string) {
	parts := strings.Split(strings.Trim(r.Path, "/"), "/")
	parts = parts[min(len(parts), map[string]int{"api": 2, "apis": 3}[parts[0]]):]
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if len(parts) == 0 {
		return r.Method, "discovery"
	}
	resource = parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	switch {
	case r.Method != http.MethodGet:
		return r.Method, resource
	case strings.Contains(r.Query, "watch=true"), strings.Contains(r.Query, "watch=1"):
		return "WATCH", resource
	case len(parts) == 1:
		return "LIST", resource
	default:
		return "GET", resource
	}
}
