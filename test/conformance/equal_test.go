// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/solarmesh/wasmplugin-operator/test/conformance/ads"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

// equal compares our plugins with Istio's own of the same IDs: where they stand, and what they are given.
func equal(c table.Case, proxy table.Proxy, our, its *view) error {
	for _, plugin := range its.side.plugins {
		id := plugin.ID()
		if proxy.NativeAt == nil && proxy.NativeChain == nil {
			for _, place := range its.at[id] {
				if difference := cmp.Diff(its.chains[place], our.chains[place], cmp.AllowUnexported(placed{})); difference != "" {
					return fmt.Errorf("the filters of %s stand otherwise (-native +ours):\n%s", place, difference)
				}
			}
		}
		if len(its.at[id]) == 0 || len(our.at[id]) == 0 {
			continue
		}
		if err := equalConfig(c, plugin, our, its); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return nil
}

// equalConfig compares all of Envoy's PluginConfig, after what is known to differ.
func equalConfig(c table.Case, plugin table.Plugin, our, its *view) error {
	want, itsType, err := its.pluginConfig(its.filters[plugin.ID()])
	if err != nil {
		return err
	}
	got, ourType, err := our.pluginConfig(our.filters[plugin.ID()])
	if err != nil {
		return err
	}
	if itsType != ourType {
		return fmt.Errorf("is a %s, native is a %s", ourType, itsType)
	}
	want, got = proto.CloneOf(want), proto.CloneOf(got)
	if err := errors.Join(neutral(want), neutral(got), withoutBeyond(c.Beyond, want, got)); err != nil {
		return err
	}
	if _, says := want.GetVmConfig().GetEnvironmentVariables().GetKeyValues()[pullPolicyVariable]; !says {
		delete(got.GetVmConfig().GetEnvironmentVariables().GetKeyValues(), pullPolicyVariable)
	}
	if difference := cmp.Diff(want, got, protocmp.Transform()); difference != "" {
		return fmt.Errorf("Envoy's PluginConfig (-native +ours):\n%s", difference)
	}
	source := func(v *view) proto.Message { return v.filters[plugin.ID()].Discovery.GetConfigSource() }
	if difference := cmp.Diff(source(its), source(our), protocmp.Transform()); difference != "" {
		return fmt.Errorf("config_source (-native +ours):\n%s", difference)
	}
	return nil
}

// Variables that are for the agent, not for the plugin.
const (
	pullPolicyVariable      = "ISTIO_META_WASM_IMAGE_PULL_POLICY"
	resourceVersionVariable = "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"
)

// neutral takes out of a PluginConfig what always differs (table.Standing says why), and gives one form to what has two.
func neutral(config *wasmv3.PluginConfig) error {
	config.Name = ""
	config.GetVmConfig().VmId = ""
	environment := config.GetVmConfig().GetEnvironmentVariables()
	delete(environment.GetKeyValues(), resourceVersionVariable)
	slices.Sort(environment.GetHostEnvKeys())
	switch {
	case config.GetFailOpen(): //nolint:staticcheck // it is the form that ours has
		config.FailurePolicy = wasmv3.FailurePolicy_FAIL_OPEN
	case config.GetFailurePolicy() == wasmv3.FailurePolicy_UNSPECIFIED:
		config.FailurePolicy = wasmv3.FailurePolicy_FAIL_CLOSED
	}
	config.FailOpen = false //nolint:staticcheck // see above
	text, err := configurationOf(config)
	if err != nil {
		return err
	}
	config.Configuration = nil
	if text == "" {
		return nil
	}
	config.Configuration, err = anypb.New(wrapperspb.String(sameValue(text)))
	return err
}

// sameValue is one text for all texts of one JSON value.
func sameValue(text string) string {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return text
	}
	same, err := json.Marshal(exactNumbers(value)) // keys are sorted
	if err != nil {
		return text
	}
	return string(same)
}

func exactNumbers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			value[key] = exactNumbers(inner)
		}
	case []any:
		for i, inner := range value {
			value[i] = exactNumbers(inner)
		}
	case json.Number:
		if number, ok := new(big.Rat).SetString(value.String()); ok {
			return map[string]any{"number": number.RatString()}
		}
	}
	return value
}

// withoutBeyond clears the fields in which the case says that ours goes beyond Istio's own. They must differ.
func withoutBeyond(paths []string, want, got *wasmv3.PluginConfig) error {
	for _, path := range paths {
		wanted, err := take(want.ProtoReflect(), path)
		if err != nil {
			return err
		}
		has, err := take(got.ProtoReflect(), path)
		if err != nil {
			return err
		}
		if wanted.IsValid() && has.IsValid() && wanted.Equal(has) {
			return fmt.Errorf("%s is said to differ and does not", path)
		}
	}
	return nil
}

// take clears a field, given as names joined by dots, and returns what it held.
func take(message protoreflect.Message, path string) (protoreflect.Value, error) {
	name, rest, nested := strings.Cut(path, ".")
	field := message.Descriptor().Fields().ByName(protoreflect.Name(name))
	if field == nil {
		return protoreflect.Value{}, fmt.Errorf("%s has no field %s", message.Descriptor().FullName(), name)
	}
	if nested {
		return take(message.Mutable(field).Message(), rest)
	}
	if !message.Has(field) {
		return protoreflect.Value{}, nil
	}
	value := message.Get(field)
	message.Clear(field)
	return value, nil
}

// sameBothWays asks by the other variant of xDS, which must say the same, and validates every message.
func sameBothWays(ctx context.Context, v *view) error {
	other, err := xds.Ask(ctx, v.proxy, ads.StateOfTheWorld)
	if err != nil {
		return err
	}
	messages, others := v.config.Messages(), other.Messages()
	if len(messages) != len(others) {
		return fmt.Errorf("%s is told %d resources (%s) and %d (%s)",
			v.proxy, len(messages), ads.Delta, len(others), ads.StateOfTheWorld)
	}
	for i, message := range messages {
		// Comparing is fast where the bytes of nested messages are equal; the entries of a map have no order.
		if !proto.Equal(message, others[i]) {
			if difference := cmp.Diff(message, others[i], protocmp.Transform()); difference != "" {
				return fmt.Errorf("%s is told otherwise (-%s +%s):\n%s", v.proxy, ads.Delta, ads.StateOfTheWorld, difference)
			}
		}
		if err := validate(message); err != nil {
			return StopTrying(v.proxy.String() + " is told what Envoy would refuse").Wrap(err)
		}
	}
	return nil
}
