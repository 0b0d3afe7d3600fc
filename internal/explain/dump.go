// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// What is read of istiod's config_dump. It is read as JSON and not as messages: a mesh may hold extensions that this program
// has no types for, and one such would make a whole listener unreadable.
type (
	listener struct {
		Name    string `json:"name"`
		Address struct {
			Socket struct {
				Address string `json:"address"`
				Port    uint32 `json:"portValue"`
			} `json:"socketAddress"`
		} `json:"address"`
		Chains    []filterChain `json:"filterChains"`
		Default   *filterChain  `json:"defaultFilterChain"`
		Direction string        `json:"trafficDirection"`
	}
	filterChain struct {
		Name  string `json:"name"`
		Match struct {
			Port        *uint32  `json:"destinationPort"`
			ServerNames []string `json:"serverNames"`
			Transport   string   `json:"transportProtocol"`
		} `json:"filterChainMatch"`
		Filters []filter `json:"filters"`
	}
	filter struct {
		Name      string          `json:"name"`
		Disabled  bool            `json:"disabled"`
		Discovery json.RawMessage `json:"configDiscovery"`
		Config    json.RawMessage `json:"typedConfig"`
	}
	connectionManager struct {
		Type    string   `json:"@type"`
		Filters []filter `json:"httpFilters"`
		RDS     struct {
			Name string `json:"routeConfigName"`
		} `json:"rds"`
		Routes *routeConfiguration `json:"routeConfig"`
	}
	routeConfiguration struct {
		Name         string        `json:"name"`
		VirtualHosts []virtualHost `json:"virtualHosts"`
	}
	virtualHost struct {
		Name    string       `json:"name"`
		Domains []string     `json:"domains"`
		Routes  []route      `json:"routes"`
		Config  filterConfig `json:"typedPerFilterConfig"`
	}
	route struct {
		Name   string                     `json:"name"`
		Match  map[string]json.RawMessage `json:"match"`
		Config filterConfig               `json:"typedPerFilterConfig"`
	}
	// filterConfig is what a virtual host or a route says of filters, by their names.
	filterConfig map[string]struct {
		Type     string `json:"@type"`
		Disabled bool   `json:"disabled"`
	}
	// extension is a TypedExtensionConfig, or what stands in one.
	extension struct {
		Type   string          `json:"@type"`
		Name   string          `json:"name"`
		Plugin json.RawMessage `json:"config"`
	}
	wasmSetting struct {
		Name          string `json:"name"`
		RootID        string `json:"rootId"`
		FailOpen      bool   `json:"failOpen"`
		FailurePolicy string `json:"failurePolicy"`
		VM            struct {
			ID   string `json:"vmId"`
			Code struct {
				Remote struct {
					HTTP struct {
						URI string `json:"uri"`
					} `json:"httpUri"`
					SHA256 string `json:"sha256"`
				} `json:"remote"`
				Local struct {
					File string `json:"filename"`
				} `json:"local"`
			} `json:"code"`
		} `json:"vmConfig"`
		Configuration json.RawMessage `json:"configuration"`
	}
)

const (
	typePrefix    = "type.googleapis.com/"
	listenerType  = typePrefix + "envoy.config.listener.v3.Listener"
	routeType     = typePrefix + "envoy.config.route.v3.RouteConfiguration"
	extensionType = typePrefix + "envoy.config.core.v3.TypedExtensionConfig"
	httpWasm      = typePrefix + "envoy.extensions.filters.http.wasm.v3.Wasm"
	networkWasm   = typePrefix + "envoy.extensions.filters.network.wasm.v3.Wasm"
	managerType   = typePrefix + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	filterSetting = typePrefix + "envoy.config.route.v3.FilterConfig"
)

// dump is a config_dump of the types lds, rds and ecds.
type dump struct {
	listeners  []listener
	routes     map[string]routeConfiguration
	extensions map[string]delivered
}

// delivered is an extension that istiod sends, and how it stands in the dump. Setting is nil where it is no Wasm plugin.
type delivered struct {
	setting *wasmSetting
	raw     json.RawMessage
}

func decode(content []byte) (dump, error) {
	var list struct {
		Configs []json.RawMessage `json:"configs"`
	}
	if err := json.Unmarshal(content, &list); err != nil {
		return dump{}, errors.New("it is no config_dump in JSON")
	}
	d := dump{routes: map[string]routeConfiguration{}, extensions: map[string]delivered{}}
	for _, raw := range list.Configs {
		if err := d.add(raw); err != nil {
			return dump{}, err
		}
	}
	return d, nil
}

func (d *dump) add(raw json.RawMessage) error {
	var head struct {
		Type string `json:"@type"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return errors.New("an entry of its config_dump has no type")
	}
	into := func(value any) error {
		if err := json.Unmarshal(raw, value); err != nil {
			return fmt.Errorf("its %s has another form than Envoy's: %w", strings.TrimPrefix(head.Type, typePrefix), err)
		}
		return nil
	}
	switch head.Type {
	case listenerType:
		var one listener
		if err := into(&one); err != nil {
			return err
		}
		d.listeners = append(d.listeners, one)
	case routeType:
		var one routeConfiguration
		if err := into(&one); err != nil {
			return err
		}
		d.routes[one.Name] = one
	case httpWasm, networkWasm, extensionType:
		var one extension
		if err := into(&one); err != nil {
			return err
		}
		return d.addExtension(one, raw)
	}
	return nil
}

// addExtension takes Wasm HTTP filters by the name of their plugin, since istiod's dump doesn't say the other one. Ours have
// the same; Istio's own have it without a prefix.
func (d *dump) addExtension(one extension, raw json.RawMessage) error {
	name := one.Name
	if one.Type == extensionType {
		one = extension{}
		if err := json.Unmarshal(raw, &struct {
			Typed *extension `json:"typedConfig"`
		}{&one}); err != nil {
			return errors.New("an extension of its config_dump can't be read")
		}
	}
	if one.Type != httpWasm && one.Type != networkWasm {
		d.extensions[name] = delivered{raw: raw}
		return nil
	}
	setting := &wasmSetting{}
	if err := json.Unmarshal(one.Plugin, setting); err != nil {
		return errors.New("a plugin of its config_dump can't be read")
	}
	if name == "" {
		name = setting.Name
	}
	d.extensions[name] = delivered{setting, raw}
	return nil
}

// manager is a filter's connection manager; nil where it is none.
func (f filter) manager() (*connectionManager, error) {
	var head struct {
		Type string `json:"@type"`
	}
	if len(f.Config) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(f.Config, &head); err != nil {
		return nil, errors.New("a filter's configuration has no type")
	}
	if head.Type != managerType {
		return nil, nil
	}
	manager := &connectionManager{}
	if err := json.Unmarshal(f.Config, manager); err != nil {
		return nil, fmt.Errorf("its connection manager has another form than Envoy's: %w", err)
	}
	return manager, nil
}
