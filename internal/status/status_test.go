// SPDX-License-Identifier: Apache-2.0

package status

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/go-cmp/cmp"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	earlier = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	now     = metav1.NewTime(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))
	pair    = []wasmv1alpha1.EnvoyFilterStatus{
		{Name: "auth-config", Role: wasmv1alpha1.EnvoyFilterConfig, Hash: "0123456789abcdef"},
		{Name: "auth-filter", Role: wasmv1alpha1.EnvoyFilterFilter, Hash: "fedcba9876543210-3"},
	}
)

// observed is of an operator that leaves modules to the proxies.
func observed(accepted, applied Verdict, standing []wasmv1alpha1.EnvoyFilterStatus) Observation {
	return Observation{
		Generation: 3, Accepted: accepted, Applied: applied, EnvoyFilters: standing, Delivery: wasmv1alpha1.DeliveryDirect,
	}
}

// resolved is of one that resolves them.
func resolved(accepted, module, applied Verdict, standing []wasmv1alpha1.EnvoyFilterStatus) Observation {
	observation := observed(accepted, applied, standing)
	observation.ModuleResolved, observation.Delivery = module, wasmv1alpha1.DeliveryStore
	observation.Module = wasmv1alpha1.ModuleStatus{
		Digest: "sha256:" + strings.Repeat("ab", 32), ShortDigest: "abababab", Size: 2317312, ABI: "0.2.1",
		Source: "oci://registry.example.com/auth@sha256:" + strings.Repeat("cd", 32), VerifiedBy: "cosign key spec.verification.keys[0]",
	}
	return observation
}

// cases are what can happen to a plugin, one golden status each.
var cases = map[string]struct {
	observation Observation
	// kstatus is what helm --wait, Flux and Argo CD make of it.
	kstatus status.Status
}{
	"applied": {observed(Accepted(nil), Applied(), pair), status.CurrentStatus},
	"applied-with-notes": {
		observed(Accepted([]string{"istio-system is the mesh's root namespace."}), Applied(), pair), status.CurrentStatus,
	},
	"invalid-new": {
		observed(Rejected(wasmv1alpha1.ReasonInvalidSpec, "spec.url: has no host", false), NotApplied(false), nil), status.FailedStatus,
	},
	"invalid-after-good": {
		observed(Rejected(wasmv1alpha1.ReasonInvalidRules, "spec.rules: must be a JSON object", true), NotApplied(true), pair), status.FailedStatus,
	},
	"not-permitted-new": {
		observed(Rejected(wasmv1alpha1.ReasonReferenceNotPermitted, `spec.rulesFrom[0]: Secret "users" isn't read`, false), NotApplied(false), nil),
		status.FailedStatus,
	},
	"not-permitted-any-more": {
		observed(Rejected(wasmv1alpha1.ReasonReferenceNotPermitted, `spec.rulesFrom[0]: Secret "users" isn't read`, true), NotApplied(true), pair),
		status.FailedStatus,
	},
	"deleting": {
		observed(Accepted(nil), ApplyFailed(wasmv1alpha1.ReasonDeleting, "EnvoyFilter shop/auth-filter is being deleted", true), pair[:1]),
		status.InProgressStatus,
	},
	"conflict": {
		observed(Accepted(nil), ApplyFailed(wasmv1alpha1.ReasonConflict, "EnvoyFilter shop/auth-filter exists", false), nil), status.FailedStatus,
	},
	"refused": {
		observed(Accepted(nil), ApplyFailed(wasmv1alpha1.ReasonRefused, "admission webhook denied the request", false), pair[:1]), status.FailedStatus,
	},
	"module-resolved": {
		resolved(Accepted(nil), Resolved("The module was fetched, verified and started on trial.", "A note."), Applied(), pair), status.CurrentStatus,
	},
	"module-resolving": {resolved(Accepted(nil), Resolving(false), WithoutModule(false), nil), status.InProgressStatus},
	"module-unreachable": {
		resolved(Accepted(nil), NotResolved("Unreachable", "oci://registry.example.com/auth:1: no server answers", false, true), WithoutModule(false), nil),
		status.InProgressStatus,
	},
	"module-denied-after-good": {
		resolved(Accepted(nil), NotResolved("Denied", "oci://registry.example.com/auth:1: the server denies access", true, false), WithoutModule(true), pair),
		status.FailedStatus,
	},
	"module-not-looked-at": {
		resolved(Rejected(wasmv1alpha1.ReasonInvalidSpec, "spec.url: has no host", true), NotLookedAt(), NotApplied(true), pair), status.FailedStatus,
	},
	"rules-rejected": {
		resolved(RulesRejected("spec.rules: the plugin refuses them", true), Resolved("The module was fetched."), NotApplied(true), pair),
		status.FailedStatus,
	},
	"apply-failed": {
		observed(Accepted(nil), ApplyFailed(wasmv1alpha1.ReasonApplyFailed, "the server is unable", true), pair[:1]), status.InProgressStatus,
	},
}

func TestGolden(t *testing.T) {
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got := Of(test.observation, wasmv1alpha1.WasmPluginStatus{}, now)
			raw, err := yaml.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, raw, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(raw)); diff != "" {
				t.Errorf("differs (-want +got), rewrite with -update:\n%s", diff)
			}
			checkConditions(t, got)
			if got := kstatusOfObject(t, got); got != test.kstatus {
				t.Errorf("kstatus says %s, want %s", got, test.kstatus)
			}
			if !Equal(got, Of(test.observation, got, metav1.Now())) {
				t.Error("the same observation gives another status")
			}
		})
	}
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) != len(cases) {
		t.Errorf("%d golden files for %d cases, %v", len(files), len(cases), err)
	}
}

func checkConditions(t *testing.T, got wasmv1alpha1.WasmPluginStatus) {
	t.Helper()
	for _, conditionType := range []string{
		wasmv1alpha1.ConditionAccepted, wasmv1alpha1.ConditionModuleResolved, wasmv1alpha1.ConditionApplied,
		wasmv1alpha1.ConditionProgrammed, wasmv1alpha1.ConditionReady,
	} {
		if apimeta.FindStatusCondition(got.Conditions, conditionType) == nil {
			t.Errorf("%s is missing", conditionType)
		}
	}
	for _, condition := range got.Conditions {
		if condition.Message == "" || condition.Reason == "" || condition.ObservedGeneration != got.ObservedGeneration {
			t.Errorf("%+v", condition)
		}
		kstatusOnly := condition.Type == wasmv1alpha1.ConditionReconciling || condition.Type == wasmv1alpha1.ConditionStalled
		if kstatusOnly && condition.Status != metav1.ConditionTrue {
			t.Errorf("%s is present and %s", condition.Type, condition.Status)
		}
	}
}

func kstatusOfObject(t *testing.T, of wasmv1alpha1.WasmPluginStatus) status.Status {
	t.Helper()
	plugin := &wasmv1alpha1.WasmPlugin{
		TypeMeta:   metav1.TypeMeta{APIVersion: wasmv1alpha1.SchemeGroupVersion.String(), Kind: "WasmPlugin"},
		ObjectMeta: metav1.ObjectMeta{Name: "auth", Namespace: "shop", Generation: of.ObservedGeneration}, Status: of,
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(plugin)
	if err != nil {
		t.Fatal(err)
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

func TestTransitionTime(t *testing.T) {
	good := Of(cases["applied"].observation, wasmv1alpha1.WasmPluginStatus{}, earlier)
	bad := Of(cases["invalid-after-good"].observation, good, now)
	for conditionType, want := range map[string]metav1.Time{
		wasmv1alpha1.ConditionAccepted:       now,
		wasmv1alpha1.ConditionModuleResolved: earlier,
		wasmv1alpha1.ConditionApplied:        now,
		wasmv1alpha1.ConditionReady:          now,
		wasmv1alpha1.ConditionStalled:        now,
	} {
		if got := apimeta.FindStatusCondition(bad.Conditions, conditionType).LastTransitionTime; !got.Equal(&want) {
			t.Errorf("%s: %s, want %s", conditionType, got, want)
		}
	}
	if apimeta.FindStatusCondition(Of(cases["applied"].observation, bad, now).Conditions, wasmv1alpha1.ConditionStalled) != nil {
		t.Error("Stalled stays")
	}
}

func TestTransition(t *testing.T) {
	of := func(name string) wasmv1alpha1.WasmPluginStatus {
		return Of(cases[name].observation, wasmv1alpha1.WasmPluginStatus{}, now)
	}
	tests := map[string]struct {
		current, next wasmv1alpha1.WasmPluginStatus
		news          bool
	}{
		"well from the start":       {wasmv1alpha1.WasmPluginStatus{}, of("applied"), false},
		"unwell from the start":     {wasmv1alpha1.WasmPluginStatus{}, of("conflict"), true},
		"still well":                {of("applied"), of("applied-with-notes"), false},
		"goes bad":                  {of("applied"), of("invalid-after-good"), true},
		"heals":                     {of("conflict"), of("applied"), true},
		"bad for another reason":    {of("invalid-new"), of("conflict"), true},
		"still bad for that reason": {of("conflict"), of("conflict"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if ready, news := Transition(test.current, test.next); news != test.news || ready.Type != wasmv1alpha1.ConditionReady {
				t.Errorf("news: %t, want %t (%s)", news, test.news, ready.Type)
			}
		})
	}
}

func TestSentence(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"capital and full stop": {"the server is down", "The server is down."},
		"is one already":        {"It is. Really!", "It is. Really!"},
		"a field's path stays":  {"spec.url: has no host", "spec.url: has no host."},
		"control characters":    {"a\x1b[31mred\nline\u202e", "A [31mred line."},
		"not UTF-8":             {"a\xffb", "A?b."},
		"empty":                 {"  ", ""},
		"long":                  {strings.Repeat("é", 5000), strings.Repeat("é", maxMessage/2) + "…"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Sentence(test.in); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
