// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// trial is a right that an installation gives, what is tried without it, and words of what is seen then: in the plugin's
// status, in the log of the process, or in its answer. `make full` takes each right away and tries it (rights_removed_test.go).
type trial struct{ right, scenario, words string }

// Scenarios. Those that begin with "a start" have the operator started after the right was taken away.
const (
	newPlugin        = "a plugin is made"
	newPluginAtStart = "a start, and a plugin is made"
	oldServer        = "a start on an API server that can't list by a watch (before Kubernetes 1.34)"
	changedHosts     = "the hosts of a plugin's overrides change"
	lostOwner        = "somebody removes the owner reference of an EnvoyFilter"
	rulesInConfigMap = "a plugin takes rules from a ConfigMap"
	changedConfigMap = "a start, and a ConfigMap with rules changes"
	oldConfigMap     = "a ConfigMap with rules changes on such an API server"
	rulesInSecret    = "a plugin takes rules from a Secret"
	sickPlugin       = "a plugin is made that can't be accepted"
	scraped          = "Prometheus reads the operator's metrics"
	foundIstiod      = "a start where istiod has an EndpointSlice"
	firstLeader      = "a start without a lease"
	nextLeader       = "a start with a lease that nobody holds"
	fewNamespaces    = "a start with --watch-namespaces"
	storedModule     = "the operator stores a module"
	readModule       = "the operator reads a module back"
	usedModules      = "the operator tells the store which modules are in use"
	peerReads        = "a replica of the store asks another one for a module"
)

func cannot(verb, resource string) string { return `cannot ` + verb + ` resource "` + resource + `"` }

// operatorTrials are those of the operator's own account.
var operatorTrials = []trial{
	{"* wasm.solarmesh.io wasmplugins * get", newPlugin, cannot("get", "wasmplugins")},
	{"* wasm.solarmesh.io wasmplugins * list", oldServer, cannot("list", "wasmplugins")},
	{"* wasm.solarmesh.io wasmplugins * watch", newPluginAtStart, cannot("watch", "wasmplugins")},
	{"* wasm.solarmesh.io wasmplugins/status * patch", newPlugin, cannot("patch", "wasmplugins/status")},
	// Only with the admission plugin OwnerReferencesPermissionEnforcement, as on OpenShift and here.
	{"* wasm.solarmesh.io wasmplugins/finalizers * update", newPlugin, "cannot set blockOwnerDeletion"},
	{"* networking.istio.io envoyfilters * get", changedHosts, cannot("get", "envoyfilters")},
	{"* networking.istio.io envoyfilters * list", oldServer, cannot("list", "envoyfilters")},
	{"* networking.istio.io envoyfilters * watch", newPluginAtStart, cannot("watch", "envoyfilters")},
	{"* networking.istio.io envoyfilters * create", newPlugin, cannot("create", "envoyfilters")},
	{"* networking.istio.io envoyfilters * patch", newPlugin, cannot("patch", "envoyfilters")},
	// What a trial leaves is deleted too: test/e2e has those.
	{"* networking.istio.io envoyfilters * delete", lostOwner, "cannot set an ownerRef on a resource you can't delete"},
	{"* core configmaps * get", rulesInConfigMap, "has no right to it; grant get, list and watch on configmaps"},
	{"* core configmaps * list", oldConfigMap, cannot("list", "configmaps")},
	{"* core configmaps * watch", changedConfigMap, cannot("watch", "configmaps")},
	{"* events.k8s.io events * create", sickPlugin, cannot("create", "events")},
	{"* authentication.k8s.io tokenreviews * create", scraped, cannot("create", "tokenreviews")},
	{"* authorization.k8s.io subjectaccessreviews * create", scraped, cannot("create", "subjectaccessreviews")},
	{"istio-system discovery.k8s.io endpointslices * list", foundIstiod, "istiod can't be found"},
	{"wasmplugin-system coordination.k8s.io leases * create", firstLeader, cannot("create", "leases")},
	{"wasmplugin-system coordination.k8s.io leases wasmplugin-operator.solarmesh.io get", nextLeader, cannot("get", "leases")},
	{"wasmplugin-system coordination.k8s.io leases wasmplugin-operator.solarmesh.io update", nextLeader, cannot("update", "leases")},
	{"wasmplugin-system core events * create", nextLeader, cannot("create", "events")},
	// In all namespaces the right to ConfigMaps includes it.
	{"istio-system core configmaps istio get", fewNamespaces, "read Istio's mesh config from ConfigMap"},
	{"* wasm.solarmesh.io modules * create", storedModule, "create on modules.wasm.solarmesh.io"},
	{"* wasm.solarmesh.io modules * get", readModule, "get on modules.wasm.solarmesh.io"},
	{"* wasm.solarmesh.io modules * update", usedModules, "update on modules.wasm.solarmesh.io"},
}

// secretTrials are of rights that an installation gives only where it is told to. For pull secrets and keys of signatures
// test/envtest has them (modules_demands_test.go).
var secretTrials = []trial{
	{"shop core secrets * get", rulesInSecret, "has no right to Secrets of this namespace"},
}

// storeTrials are those of the store's account.
var storeTrials = []trial{
	{"* authentication.k8s.io tokenreviews * create", storedModule, cannot("create", "tokenreviews")},
	{"* authorization.k8s.io subjectaccessreviews * create", storedModule, cannot("create", "subjectaccessreviews")},
	{"* wasm.solarmesh.io modules * get", peerReads, "get on modules.wasm.solarmesh.io"},
}

// TestEveryRightIsTried: what an installation gives and what is tried without it are the same.
func TestEveryRightIsTried(t *testing.T) {
	for rights, trials := range map[string][]trial{operatorRights: operatorTrials, storeRights: storeTrials} {
		var tried []string
		for _, trial := range trials {
			tried = append(tried, trial.right)
		}
		slices.Sort(tried)
		if diff := cmp.Diff(rightsOf(rights), tried); diff != "" {
			t.Errorf("other rights are tried than given (-given +tried):\n%s", diff)
		}
	}
}
