// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

const wasmType = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"

var (
	contentForm = regexp.MustCompile(`^[0-9a-f]{12}$`)
	// classE has the addresses that nobody routes, without those that istiod gives to ServiceEntries.
	classE = regexp.MustCompile(`^241(\.[0-9]{1,3}){3}$`)
)

// checkExpectation sees that it tells what the rendered half delivers.
func checkExpectation(t *testing.T, pair translate.Pair) {
	t.Helper()
	delivered := map[string]*anypb.Any{}
	for _, patch := range decode(t, pair.Config).ConfigPatches {
		config := &corev3.TypedExtensionConfig{}
		fromStruct(t, patch, config)
		delivered[config.Name] = config.TypedConfig
	}
	digest, err := translate.Digest(delivered)
	if got := pair.Expectation; err != nil || got.Digest != digest || !slices.Equal(got.Names, pair.Config.Instances) {
		t.Errorf("expects %+v, delivers %s of %v, %v", got, digest, pair.Config.Instances, err)
	}
	if !contentForm.MatchString(pair.Content) {
		t.Errorf("has the content %q", pair.Content)
	}
}

// checkTrial holds the trial of a pair against what must be true of any.
func checkTrial(t *testing.T, in translate.Input, pair translate.Pair) {
	t.Helper()
	trial, err := translate.Trial(in, "a.0")
	if in.Plugin.Spec.Type == wasmv1alpha1.PluginTypeNetwork {
		if !errors.Is(err, translate.ErrNoTrial) {
			t.Errorf("a network filter: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := translate.Trial(in, "a.0")
	if err != nil || !reflect.DeepEqual(trial, again) {
		t.Errorf("the same input gives another trial: %v", err)
	}
	checkObjects(t, in, trial, translate.TrialRoles)
	checkExpectation(t, trial)
	config, filter, stable := decode(t, trial.Config), decode(t, trial.Filter), decode(t, pair.Config)
	for _, half := range []*networking.EnvoyFilter{config, filter} {
		if !proto.Equal(half.WorkloadSelector, stable.WorkloadSelector) || !slices.EqualFunc(half.TargetRefs, stable.TargetRefs, samePolicy) || half.Priority == 0 {
			t.Errorf("selects %v %v with priority %d", half.WorkloadSelector, half.TargetRefs, half.Priority)
		}
	}
	if trial.Content != pair.Content {
		t.Errorf("has the content %s, the pair %s", trial.Content, pair.Content)
	}
	if in.Plugin.Spec.Activation.Mode != wasmv1alpha1.ActivationOff && !trial.Expectation.Reach.Equal(pair.Expectation.Reach) {
		t.Errorf("reaches %+v, the pair %+v", trial.Expectation.Reach, pair.Expectation.Reach)
	}
	checkGuards(t, config, filter)
	if got, want := nameless(t, config), nameless(t, stable); !slices.Equal(got, want) && in.Nudge == 0 {
		t.Errorf("tries %v of %v", got, want)
	}
	checkListeners(t, filter, checkDelivered(t, in, trial, config))
}

func samePolicy[M proto.Message](a, b M) bool { return proto.Equal(a, b) }

// nameless is what a half delivers, whatever the names, sorted.
func nameless(t *testing.T, config *networking.EnvoyFilter) []string {
	t.Helper()
	var delivered []string
	for _, patch := range config.ConfigPatches {
		extension := &corev3.TypedExtensionConfig{}
		fromStruct(t, patch, extension)
		plugin := decodePlugin(t, extension.TypedConfig)
		plugin.Name = ""
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(plugin)
		if err != nil {
			t.Fatal(err)
		}
		delivered = append(delivered, string(raw))
	}
	return slices.Sorted(slices.Values(delivered))
}

// checkListeners sees that each context has a listener to which nobody can connect, and which discovers every instance.
func checkListeners(t *testing.T, filter *networking.EnvoyFilter, instances []string) {
	t.Helper()
	taken := map[string]bool{}
	for _, patch := range filter.ConfigPatches {
		context := patch.Match.GetContext()
		if patch.ApplyTo != networking.EnvoyFilter_LISTENER || patch.Patch.Operation != networking.EnvoyFilter_Patch_ADD ||
			context == networking.EnvoyFilter_ANY || patch.Match.ObjectTypes != nil {
			t.Errorf("has a patch that adds no listener: %v", patch)
			continue
		}
		listener := &listenerv3.Listener{}
		validated(t, patch, listener)
		address := listener.Address.GetSocketAddress()
		socket := fmt.Sprintf("%s:%d", address.Address, address.GetPortValue())
		if taken[socket] || taken[listener.Name] || taken[context.String()] || !classE.MatchString(address.Address) || listener.BindToPort.GetValue() || listener.BindToPort == nil {
			t.Errorf("%s at %s in %s: there is another, or it is reachable", listener.Name, socket, context)
		}
		taken[socket], taken[listener.Name], taken[context.String()] = true, true, true
		if inbound := listener.TrafficDirection == corev3.TrafficDirection_INBOUND; inbound != (context == networking.EnvoyFilter_SIDECAR_INBOUND) {
			t.Errorf("%s of %s is for %s traffic", listener.Name, context, listener.TrafficDirection)
		}
		checkManager(t, listener, instances)
	}
	if len(taken) == 0 {
		t.Error("has no listener")
	}
}

func checkManager(t *testing.T, listener *listenerv3.Listener, instances []string) {
	t.Helper()
	manager := &hcmv3.HttpConnectionManager{}
	if err := listener.FilterChains[0].Filters[0].GetTypedConfig().UnmarshalTo(manager); err != nil {
		t.Fatal(err)
	}
	if err := manager.ValidateAll(); err != nil {
		t.Errorf("Envoy would refuse %s: %v", listener.Name, err)
	}
	var names []string
	for _, filter := range manager.HttpFilters {
		if source := filter.GetConfigDiscovery(); source != nil {
			names = append(names, filter.Name)
			if filter.Disabled || !slices.Equal(source.TypeUrls, []string{wasmType}) || source.ConfigSource.InitialFetchTimeout.GetSeconds() != 0 {
				t.Errorf("%s is discovered by %v", filter.Name, filter)
			}
		}
	}
	if last := manager.HttpFilters[len(manager.HttpFilters)-1]; last.Name != "envoy.filters.http.router" || !slices.Equal(names, instances) || len(manager.HttpFilters) != len(instances)+1 {
		t.Errorf("%s discovers %v of %v, and ends in %s", listener.Name, names, instances, last.Name)
	}
}

// TestTrialAttempts sees that nothing of an attempt is taken for another one's, but what a VM is told from others by.
func TestTrialAttempts(t *testing.T) {
	in := translate.Input{Plugin: withOverrides(`{"a":1}`, `{"b":2}`)}
	seen := map[string]bool{}
	var vms []string
	for _, attempt := range []string{"a.0", "a.1", "b.0"} {
		trial, err := translate.Trial(in, attempt)
		if err != nil {
			t.Fatal(err)
		}
		names := slices.Clone(trial.Expectation.Names)
		for _, patch := range decode(t, trial.Filter).ConfigPatches {
			listener := &listenerv3.Listener{}
			fromStruct(t, patch, listener)
			names = append(names, listener.Name, listener.Address.String())
		}
		for _, name := range names {
			if seen[name] {
				t.Errorf("attempt %s has %s, too", attempt, name)
			}
			seen[name] = true
		}
		for _, patch := range decode(t, trial.Config).ConfigPatches {
			config := &corev3.TypedExtensionConfig{}
			fromStruct(t, patch, config)
			vms = append(vms, decodePlugin(t, config.TypedConfig).GetVmConfig().VmId)
		}
		if want := "wasm.solarmesh.io/shop.auth~trial~" + trial.Content + "~" + attempt; trial.Expectation.Names[0] != want {
			t.Errorf("attempt %s is %s", attempt, trial.Expectation.Names[0])
		}
	}
	if len(slices.Compact(vms)) != 1 {
		t.Errorf("attempts have VMs of their own: %v", vms)
	}
}

func TestTrialRefuses(t *testing.T) {
	plugin := newPlugin("shop", "auth")
	plugin.Spec.URL = "file:///a"
	var invalid *translate.InvalidSpecError
	if _, err := translate.Trial(translate.Input{Plugin: plugin}, "a.0"); !errors.As(err, &invalid) || invalid.Field != "spec.url" {
		t.Errorf("a bad spec: %v", err)
	}
}

func TestEmptied(t *testing.T) {
	in := translate.Input{Plugin: newPlugin("shop", "auth")}
	trial, err := translate.Trial(in, "a.0")
	if err != nil {
		t.Fatal(err)
	}
	before := trial.Config.Object.DeepCopy()
	emptied := translate.Emptied(trial)
	if !reflect.DeepEqual(before, trial.Config.Object) || len(trial.Config.Instances) == 0 {
		t.Error("the trial itself was changed")
	}
	if emptied.Name != trial.Config.Name || emptied.Role != trial.Config.Role || emptied.Instances != nil || emptied.Hash == trial.Config.Hash || emptied.Hash == "" {
		t.Errorf("is %+v", emptied)
	}
	unstructured.RemoveNestedField(before.Object, "spec", "configPatches")
	if !reflect.DeepEqual(before, emptied.Object) || len(decode(t, emptied).ConfigPatches) != 0 || decode(t, emptied).Priority == 0 {
		t.Errorf("holds %v", emptied.Object)
	}
}
