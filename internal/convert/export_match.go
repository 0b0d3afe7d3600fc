// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	modeClient = "CLIENT"
	modeServer = "SERVER"
	modeBoth   = "CLIENT_AND_SERVER"
)

// listeners says in Istio's words which listeners are meant. Its CLIENT is GATEWAY and SIDECAR_OUTBOUND in one.
func (e *export) listeners(spec wasmv1alpha1.WasmPluginSpec) {
	ports := map[wasmv1alpha1.Context]string{}
	entries := map[string][]any{}
	match := spec.Match
	if len(match) == 0 {
		match = []wasmv1alpha1.TrafficSelector{{}}
	}
	for _, entry := range match {
		key, list := portsOf(entry)
		entries[key] = list
		for _, context := range contexts(entry.Context) {
			if known, twice := ports[context]; twice && known != key {
				e.lose("spec.match: has %s twice, with ports and without or with others; write it once", context)
			}
			ports[context] = key
		}
	}
	if len(spec.TargetRefs) > 0 { // they name no sidecars
		e.targeted(ports[wasmv1alpha1.ContextGateway], entries)
		return
	}
	e.modes(ports, entries, len(spec.Selector.MatchLabels) > 0)
}

func (e *export) targeted(key string, entries map[string][]any) {
	if key != "" {
		e.spec["match"] = []any{selector(modeBoth, entries[key])}
	}
}

func (e *export) modes(ports map[wasmv1alpha1.Context]string, entries map[string][]any, selected bool) {
	client, isClient := e.client(ports, selected)
	inbound, isInbound := ports[wasmv1alpha1.ContextSidecarInbound]
	if isClient && isInbound && client == inbound {
		if client != "" { // without ports it is every listener, which needs no words
			e.spec["match"] = []any{selector(modeBoth, entries[client])}
		}
		return
	}
	var match []any
	if isClient {
		match = append(match, selector(modeClient, entries[client]))
	}
	if isInbound {
		match = append(match, selector(modeServer, entries[inbound]))
	}
	e.spec["match"] = match
}

// client are the ports of what is one to Istio.
func (e *export) client(ports map[wasmv1alpha1.Context]string, selected bool) (key string, is bool) {
	gateway, isGateway := ports[wasmv1alpha1.ContextGateway]
	outbound, isOutbound := ports[wasmv1alpha1.ContextSidecarOutbound]
	switch {
	case isGateway && isOutbound && gateway == outbound:
	case isGateway || isOutbound:
		e.halfClient(isGateway && isOutbound, selected)
	}
	if isGateway {
		return gateway, true
	}
	return outbound, isOutbound
}

// halfClient is one context of Istio's two. Labels are those of a gateway or of sidecars, so that the other one is seldom
// there; a whole namespace may have both.
func (e *export) halfClient(differ, selected bool) {
	switch {
	case differ:
		e.lose("spec.match: GATEWAY and SIDECAR_OUTBOUND have other ports, and are one there, CLIENT; the ports of GATEWAY would hold")
	case selected:
		e.note("spec.match: CLIENT means a gateway's listeners there and the outbound ones of sidecars, whichever the labels pick")
	default:
		e.lose("spec.match: CLIENT means a gateway's listeners there and the outbound ones of sidecars, and the whole namespace may have both")
	}
}

func contexts(context wasmv1alpha1.Context) []wasmv1alpha1.Context {
	switch context {
	case "":
		return []wasmv1alpha1.Context{wasmv1alpha1.ContextGateway}
	case wasmv1alpha1.ContextAny:
		return []wasmv1alpha1.Context{wasmv1alpha1.ContextGateway, wasmv1alpha1.ContextSidecarInbound, wasmv1alpha1.ContextSidecarOutbound}
	default:
		return []wasmv1alpha1.Context{context}
	}
}

// portsOf is the same key for the same ports, "" for all.
func portsOf(entry wasmv1alpha1.TrafficSelector) (string, []any) {
	numbers := make([]int32, 0, len(entry.Ports))
	for _, port := range entry.Ports {
		numbers = append(numbers, port.Number)
	}
	slices.Sort(numbers)
	var key strings.Builder
	var list []any
	for _, number := range slices.Compact(numbers) {
		key.WriteString(strconv.Itoa(int(number)) + " ")
		list = append(list, map[string]any{"number": number})
	}
	return key.String(), list
}

func selector(mode string, ports []any) map[string]any {
	entry := map[string]any{"mode": mode}
	if len(ports) > 0 {
		entry["ports"] = ports
	}
	return entry
}

// floats says whether all numbers survive as 64-bit floating point.
func floats(value *apiextensionsv1.JSON) bool {
	decoder := json.NewDecoder(bytes.NewReader(value.Raw))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return true // its end
		}
		number, isNumber := token.(json.Number)
		if !isNumber {
			continue
		}
		float, err := strconv.ParseFloat(number.String(), 64)
		if err != nil {
			return false
		}
		whole, isWhole := new(big.Int).SetString(number.String(), 10)
		if kept, _ := big.NewFloat(float).Int(nil); isWhole && whole.Cmp(kept) != 0 {
			return false
		}
	}
}
