// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
)

// TestModuleNotes: a module whose start leaves something open is delivered, and the status says what.
func TestModuleNotes(t *testing.T) {
	carrying, err := runtimeconfig.Embed([]byte("\x00asm\x01\x00\x00\x00"), []byte(`{"rulesSchema": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	const done = "The module was fetched and started on trial."
	for name, test := range map[string]struct {
		verdict drystart.Verdict
		want    []string
	}{
		"started": {drystart.Verdict{Outcome: drystart.Accepted}, []string{done}},
		"a call": {
			drystart.Verdict{Outcome: drystart.Inconclusive, Call: "proxy_http_call to the cluster rules"},
			[]string{done, "Whether the plugin starts, only a proxy can tell: proxy_http_call to the cluster rules."},
		},
		"a broken schema": {
			drystart.CheckRules(t.Context(), drystart.Request{
				Module: carrying, Plugins: []drystart.Plugin{{Name: "auth", Configuration: "{}"}},
			})[0],
			[]string{done, "The rules could not be compared with the schema that the module carries, since the schema is no JSON Schema: " +
				"rulesSchema is a number, must be a boolean or an object."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := resolve.Module{Check: "done", Unsure: drystart.Summarize([]drystart.Verdict{test.verdict}).Unsure}
			if diff := cmp.Diff(test.want, moduleNotes(resolve.Outcome{Module: found})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestSlowLook: a plugin stays ready, and is repaired, while somebody looks whether its tag has moved.
func TestSlowLook(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.plugin.Spec.URL, world.plugin.Spec.ImagePullPolicy = "https://plugins.example.com/auth.wasm", wasmv1alpha1.PullAlways
		world.stand()
		world.slow, world.content = time.Minute, "two"
		for world.fetches == 0 {
			world.run(time.Second)
		}
		world.run(10 * time.Second)
		world.wantWrites()
		world.wantReady()
		delete(world.children, "auth-filter")
		delete(world.specs, "auth-filter")
		world.run(2 * time.Second)
		world.wantWrites("EnvoyFilter auth-filter")
		pass(2 * time.Minute)
		world.reconcileAll()
		if got := world.status.Module.Digest; got != digestOf("two") {
			t.Errorf("in effect is %s", got)
		}
	})
}

// TestOffWithoutModule: who switches a plugin off means what runs, whatever becomes of a module that it was to have.
func TestOffWithoutModule(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.stand()
		world.loseModule()
		if got := world.status.Activation.State; got != wasmv1alpha1.StateOn {
			t.Errorf("it is %s before", got)
		}
		world.changeSpec(func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Activation.Mode = wasmv1alpha1.ActivationOff })
		world.reconcileAll()
		world.wantWrites("EnvoyFilter auth-filter", "status")
		if spec, _ := world.specs["auth-filter"].(map[string]any); spec["configPatches"] != nil || world.status.Activation.State != wasmv1alpha1.StateOff {
			t.Errorf("it is %s: %v", world.status.Activation.State, spec)
		}
		world.changeSpec(func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.URL, spec.Activation.Mode = "%", wasmv1alpha1.ActivationImmediate
		})
		world.reconcileAll()
		if got := world.status.Activation.State; got != wasmv1alpha1.StateOff {
			t.Errorf("of a spec that is refused it is said to be %s", got)
		}
	})
}
