//go:build long

// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	newEvents  = schema.GroupVersionResource{Group: "events.k8s.io", Version: "v1", Resource: "events"}
	leases     = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

const leaseName = "wasmplugin-operator.solarmesh.io"

// scenario needs a right.
type scenario struct {
	// starts says that the operator needs it when it starts.
	starts bool
	// before is done before the operator starts.
	before func(*attempt)
	start  func(*attempt)
	act    func(*attempt)
	// goal says what is missing.
	goal func(context.Context, *attempt) error
}

// installation is of the chart.
type installation struct {
	name, values string
	serverFlags  []string
	prepare      func(cluster)
	scenarios    map[string]scenario
}

const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`

var installations = []installation{
	{
		name: "all namespaces", values: direct + "rulesFrom: {secretNamespaces: [shop]}",
		prepare: func(c cluster) { c.apply(istiodSlice) },
		scenarios: map[string]scenario{
			newPlugin:        {start: operate, act: makePlugin(""), goal: ready},
			newPluginAtStart: {starts: true, start: operate, act: makePlugin(""), goal: ready},
			changedHosts:     {start: operate, act: changeHosts, goal: ready},
			lostOwner:        {start: operate, act: loseOwner, goal: owned},
			rulesInConfigMap: {start: operate, act: makePlugin(fromConfigMap), goal: ready},
			changedConfigMap: {starts: true, start: operate, act: changeConfigMap, goal: follows},
			rulesInSecret:    {start: operate, act: makePlugin(fromSecret), goal: ready},
			sickPlugin:       {start: operate, act: makePlugin(withoutStore), goal: eventTold},
			scraped:          {start: operate, act: nothing, goal: scrapes("controller_runtime_reconcile_total")},
			foundIstiod:      {starts: true, start: operate, act: makePlugin(""), goal: scrapes("\nwasmplugin_operator_istiods 1\n")},
			firstLeader:      {starts: true, before: removeLease, start: operate, act: makePlugin(""), goal: ready},
			nextLeader:       {starts: true, before: removeLeaderEvents, start: operate, act: makePlugin(""), goal: leads},
		},
	},
	{
		name: "an API server that can't list by a watch", values: direct, serverFlags: []string{"--feature-gates=WatchList=false"},
		scenarios: map[string]scenario{
			oldServer:    {starts: true, start: operate, act: makePlugin(""), goal: ready},
			oldConfigMap: {starts: true, start: operate, act: changeConfigMap, goal: follows},
		},
	},
	{
		name: "one namespace", values: direct + "watchNamespaces: [shop]",
		scenarios: map[string]scenario{fewNamespaces: {starts: true, start: operateIn, act: nothing, goal: readsMeshConfig}},
	},
	{
		name: "a store", values: "{}", prepare: withoutPeers,
		scenarios: map[string]scenario{
			storedModule: {start: keep, act: nothing, goal: asks(release, func(ctx context.Context, c *store.Client) error {
				return c.Put(ctx, digestOf(plugin()), "", plugin())
			})},
			readModule: {start: keep, act: putModule, goal: asks(release, getModule)},
			usedModules: {start: keep, act: nothing, goal: asks(release, func(ctx context.Context, c *store.Client) error {
				_, err := c.References(ctx, nil)
				return err
			})},
			peerReads: {start: keep, act: putModule, goal: asks(storeAccount, getModule)},
		},
	},
}

func nothing(*attempt) {}

// operate starts the operator that the chart installed.
func operate(a *attempt) {
	a.Helper()
	started := a.startOperator(a.binary)
	a.process, a.metrics = started.process, started.metrics
}

const (
	fromConfigMap = "rulesFrom: [{configMapKeyRef: {name: NAME, key: rules.json}}]"
	fromSecret    = "rulesFrom: [{secretKeyRef: {name: NAME, key: rules.json}}]"
	byHosts       = "overrides: [{match: {hosts: [a.example.com]}, mode: Disable}, {match: {hosts: [b.example.com]}, rules: {a: 1}}]"
	// withoutStore is what this installation can't do.
	withoutStore = "delivery: Store"
)

// sampleWith is a plugin and what it may name.
const sampleWith = `
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, namespace: shop}
data: {rules.json: '{"from": "one"}'}
---
apiVersion: v1
kind: Secret
metadata: {name: NAME, namespace: shop, labels: {wasm.solarmesh.io/rules: allowed}}
stringData: {rules.json: '{"from": "one"}'}
---
apiVersion: wasm.solarmesh.io/v1alpha1
kind: WasmPlugin
metadata: {name: NAME, namespace: shop}
spec:
  url: https://plugins.example.com/hello-world.wasm
  selector: {matchLabels: {app: shop}}
  activation: {mode: Immediate}
  MORE
`

func makePlugin(more string) func(*attempt) {
	return func(a *attempt) {
		a.Helper()
		a.apply(strings.ReplaceAll(strings.Replace(sampleWith, "MORE", more, 1), "NAME", a.plugin))
	}
}

func (a *attempt) makeReady(more string) {
	a.Helper()
	makePlugin(more)(a)
	a.eventually(func(ctx context.Context) error { return ready(ctx, a) })
}

func (a *attempt) patch(resource schema.GroupVersionResource, name, body string) {
	a.Helper()
	_, err := a.client.Resource(resource).Namespace("shop").Patch(a.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
	a.must(err)
}

// changeHosts takes the names of a plugin's instances away, which go last.
func changeHosts(a *attempt) {
	a.Helper()
	a.makeReady(byHosts)
	a.patch(wasmPlugins, a.plugin, `{"spec": {"overrides": null}}`)
}

func loseOwner(a *attempt) {
	a.Helper()
	a.makeReady("")
	a.patch(envoyFilters, a.plugin+"-filter", `{"metadata": {"ownerReferences": null}}`)
}

func changeConfigMap(a *attempt) {
	a.Helper()
	a.makeReady(fromConfigMap)
	a.patch(configMaps, a.plugin, `{"data": {"rules.json": "{\"from\": \"two\"}"}}`)
}

func removeLease(a *attempt) {
	a.Helper()
	err := a.client.Resource(leases).Namespace(namespace).Delete(a.Context(), leaseName, metav1.DeleteOptions{})
	if !apierrors.IsNotFound(err) {
		a.must(err)
	}
}

func removeLeaderEvents(a *attempt) {
	a.Helper()
	a.must(a.client.Resource(events).Namespace(namespace).DeleteCollection(a.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}))
}

// ready says what is missing for the plugin to be ready as it is now.
func ready(ctx context.Context, a *attempt) error {
	object, err := a.client.Resource(wasmPlugins).Namespace("shop").Get(ctx, a.plugin, metav1.GetOptions{})
	if err != nil {
		return err
	}
	status := typed[wasmv1alpha1.WasmPlugin](a.T, object).Status
	if !meta.IsStatusConditionTrue(status.Conditions, wasmv1alpha1.ConditionReady) || status.ObservedGeneration != object.GetGeneration() {
		return fmt.Errorf("%s is not ready", a.plugin)
	}
	return nil
}

func (a *attempt) child(ctx context.Context, half string) (*unstructured.Unstructured, error) {
	return a.client.Resource(envoyFilters).Namespace("shop").Get(ctx, a.plugin+half, metav1.GetOptions{})
}

func owned(ctx context.Context, a *attempt) error {
	filter, err := a.child(ctx, "-filter")
	if err == nil && len(filter.GetOwnerReferences()) == 0 {
		err = errors.New("the EnvoyFilter has no owner")
	}
	return err
}

func follows(ctx context.Context, a *attempt) error {
	config, err := a.child(ctx, "-config")
	if err == nil && !strings.Contains(fmt.Sprint(config.Object["spec"]), `{"from":"two"}`) {
		err = errors.New("the plugin doesn't get the new rules")
	}
	return err
}

// eventTold looks for the event of a plugin that isn't accepted.
func eventTold(ctx context.Context, a *attempt) error {
	list, err := a.client.Resource(newEvents).Namespace("shop").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range list.Items {
		event := typed[eventsv1.Event](a.T, &list.Items[i])
		if event.Regarding.Name == a.plugin && event.Reason == wasmv1alpha1.ReasonNotSupported {
			return nil
		}
	}
	return errors.New("no event tells it")
}

// scrapes reads the metrics as one who may, with a token of its own, since answers about tokens are kept.
func scrapes(words string) func(context.Context, *attempt) error {
	return func(ctx context.Context, a *attempt) error {
		token, err := a.ServiceAccountToken(ctx, namespace, "prometheus")
		if err != nil {
			return err
		}
		status, body, err := get(ctx, a.metrics, token)
		if err == nil && (status != http.StatusOK || !strings.Contains(body, words)) {
			err = fmt.Errorf("status %d, no %q", status, words)
		}
		return err
	}
}

func leads(ctx context.Context, a *attempt) error {
	return errors.Join(ready(ctx, a), a.leaderElected(ctx))
}

// operateIn starts the operator for one namespace, whether it can be ready or not.
func operateIn(a *attempt) {
	a.Helper()
	process, err := chain.Start(a.Context(), chain.Command{
		Name: "operator", Path: a.binary, LogFile: filepath.Join(a.TempDir(), "operator.log"),
		Args: []string{
			"--kubeconfig", a.kubeconfigOf(release), "--watch-namespaces=shop", "--health-probe-bind-address=0", "--resolve-modules=false",
		},
	})
	a.must(err)
	a.process = process
}

func readsMeshConfig(_ context.Context, a *attempt) error {
	if strings.Contains(a.log(), "Using the mesh's root namespace") {
		return nil
	}
	return errors.New("it doesn't know the mesh's root namespace")
}
