// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"fmt"

	_ "github.com/cncf/xds/go/udpa/type/v1"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/request_id/uuid/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/internal_upstream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
)

// foreign are types that no Go module of Envoy's has: they are of Istio's own build.
var foreign = map[protoreflect.FullName]bool{
	"envoy.tcp.metadataexchange.config.MetadataExchange":        true,
	"io.istio.http.peer_metadata.Config":                        true,
	"istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig": true,
	"stats.PluginConfig":                                        true,
}

// validate holds a message, and every message that stands in it as an Any, to the rules of Envoy's API.
func validate(message proto.Message) error {
	if rules, ok := message.(interface{ ValidateAll() error }); ok {
		if err := rules.ValidateAll(); err != nil {
			return fmt.Errorf("%s: %w", message.ProtoReflect().Descriptor().FullName(), err)
		}
	}
	return validateNested(message.ProtoReflect())
}

func validateNested(message protoreflect.Message) error {
	if packed, ok := message.Interface().(*anypb.Any); ok {
		return validatePacked(packed)
	}
	var errs []error
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			if field.MapValue().Message() == nil {
				break
			}
			value.Map().Range(func(_ protoreflect.MapKey, inner protoreflect.Value) bool {
				errs = append(errs, validateNested(inner.Message()))
				return true
			})
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				errs = append(errs, validateNested(value.List().Get(i).Message()))
			}
		default:
			errs = append(errs, validateNested(value.Message()))
		}
		return true
	})
	return errors.Join(errs...)
}

// asRewritten is a plugin as its proxy's agent hands it to Envoy: the agent fetches the module, and a module that Envoy
// itself would fetch needs a digest. Istio's own plugins without one would be as invalid as ours.
func asRewritten(message proto.Message) {
	wasm, ok := message.(interface{ GetConfig() *wasmv3.PluginConfig })
	if !ok || wasm.GetConfig().GetVmConfig().GetCode().GetRemote() == nil {
		return
	}
	wasm.GetConfig().GetVmConfig().Code = &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{
		Local: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: "/var/lib/istio/data/plugin.wasm"}},
	}}
}

func validatePacked(packed *anypb.Any) error {
	if packed.GetTypeUrl() == "" || foreign[packed.MessageName()] {
		return nil
	}
	inner, err := packed.UnmarshalNew()
	if errors.Is(err, protoregistry.NotFound) {
		return fmt.Errorf("the type %s isn't known to this suite: import its package, or say that it is foreign", packed.MessageName())
	}
	if err != nil {
		return err
	}
	asRewritten(inner)
	return validate(inner)
}
