// SPDX-License-Identifier: Apache-2.0

package plugintest

import "strings"

const (
	listenerName = "cases"
	upstreamName = "server"

	typePrefix = "type.googleapis.com/"
	hcmType    = typePrefix + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	wasmType   = typePrefix + "envoy.extensions.filters.http.wasm.v3.Wasm"
	routerType = typePrefix + "envoy.extensions.filters.http.router.v3.Router"
	stringType = typePrefix + "google.protobuf.StringValue"
)

// object is one of JSON.
type object = map[string]any

// bootstrap is an Envoy with the plugin alone in front of the server. Ports are Envoy's choice. It adds no headers of its own
// where that can be switched off, so that messages are those of the cases.
func (p *plugin) bootstrap(rules string, serverPort int) object {
	return object{
		"admin": object{"address": loopback(0)},
		"static_resources": object{
			"clusters": []object{{
				"name": upstreamName, "type": "STATIC", "connect_timeout": "5s",
				"load_assignment": object{"cluster_name": upstreamName, "endpoints": []object{{
					"lb_endpoints": []object{{"endpoint": object{"address": loopback(serverPort)}}},
				}}},
			}},
			"listeners": []object{{
				"name": listenerName, "address": loopback(0),
				"filter_chains": []object{{"filters": []object{{
					"name": "envoy.filters.network.http_connection_manager", "typed_config": p.connectionManager(rules),
				}}}},
			}},
		},
	}
}

func (p *plugin) connectionManager(rules string) object {
	return object{
		"@type": hcmType, "stat_prefix": listenerName, "server_header_transformation": "PASS_THROUGH",
		"http_filters": []object{
			{"name": "envoy.filters.http.wasm", "typed_config": object{"@type": wasmType, "config": p.config(rules)}},
			{"name": "envoy.filters.http.router", "typed_config": object{"@type": routerType, "suppress_envoy_headers": true}},
		},
		"route_config": object{"virtual_hosts": []object{{
			"name": listenerName, "domains": []string{"*"},
			"routes": []object{{"match": object{"prefix": "/"}, "route": object{"cluster": upstreamName, "timeout": "0s"}}},
		}}},
	}
}

// config is Envoy's PluginConfig.
func (p *plugin) config(rules string) object {
	config := object{
		"name": p.name, "root_id": p.rootID,
		"vm_config": object{
			"vm_id": p.name, "runtime": "envoy.wasm.runtime.v8", "code": object{"local": object{"filename": p.path}},
		},
	}
	if strings.TrimSpace(rules) != "" {
		config["configuration"] = object{"@type": stringType, "value": rules}
	}
	return config
}

func loopback(port int) object {
	return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
}
