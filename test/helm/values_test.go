// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// valueSchema is as much of a JSON schema as these tests read.
type valueSchema struct {
	Description          string
	Properties           map[string]valueSchema
	AdditionalProperties any
}

// isGroup: a group's properties are values of their own; the inside of any other object is Kubernetes' business.
func (s valueSchema) isGroup() bool {
	for _, property := range s.Properties {
		if property.Description != "" {
			return true
		}
	}
	return false
}

// TestLint runs helm lint with each case's values.
func TestLint(t *testing.T) {
	for _, in := range append(cases(t), filepath.Join(chartFolder, "values.yaml")) {
		if out, err := helm(t, "lint", "--strict", chartFolder, "--values", in); err != nil {
			t.Errorf("with %s: %v\n%s", in, err, out)
		}
	}
}

// TestValuesAreComplete: every value is in the schema, in a template and, with its default, in the README; the schema
// has no others, and refuses them.
func TestValuesAreComplete(t *testing.T) {
	var top valueSchema
	var values map[string]any
	unmarshal(t, read(t, chartFolder+"/values.schema.json"), &top)
	unmarshal(t, read(t, chartFolder+"/values.yaml"), &values)
	// Helm sets it where the chart is a dependency.
	delete(top.Properties, "global")
	c := completeness{T: t, templates: templates(t), readme: read(t, chartFolder+"/README.md")}
	c.group("", top, values)
}

type completeness struct {
	*testing.T
	templates, readme string
}

func (c completeness) group(path string, s valueSchema, values map[string]any) {
	c.Helper()
	if s.AdditionalProperties != false {
		c.Errorf("values.schema.json, %q: additionalProperties must be false", path)
	}
	documented, given := slices.Sorted(maps.Keys(s.Properties)), slices.Sorted(maps.Keys(values))
	if !slices.Equal(documented, given) {
		c.Errorf("%q: the schema has %v, values.yaml has %v", path, documented, given)
	}
	for name, property := range s.Properties {
		c.value(strings.TrimPrefix(path+"."+name, "."), property, values[name])
	}
}

func (c completeness) value(path string, s valueSchema, value any) {
	c.Helper()
	if s.Description == "" {
		c.Errorf("values.schema.json, %s: no description", path)
	}
	if s.isGroup() {
		inner, _ := value.(map[string]any)
		c.group(path, s, inner)
		return
	}
	if !regexp.MustCompile(`\.Values\.` + regexp.QuoteMeta(path) + `\b`).MatchString(c.templates) {
		c.Errorf("%s is used in no template", path)
	}
	text, err := json.Marshal(value)
	if err != nil {
		c.Fatal(err)
	}
	if row := "| `" + path + "` | `" + string(text) + "` |"; !strings.Contains(c.readme, row) {
		c.Errorf("README.md of the chart has no line that begins with: %s", row)
	}
}

// templates is the text of all templates.
func templates(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(chartFolder + "/templates/*")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		all.WriteString(read(t, file))
	}
	return all.String()
}

// TestBadValues: each is refused, in words that name it.
func TestBadValues(t *testing.T) {
	for name, test := range map[string]struct{ values, want string }{
		"unknown value":              {`replicaCount: 3`, "'replicaCount' not allowed"},
		"unknown value inside":       {`metrics: {prot: 8443}`, "'prot' not allowed"},
		"text for a number":          {`replicas: two`, "/replicas"},
		"negative number":            {`replicas: -1`, "/replicas"},
		"text for a boolean":         {`allowRootNamespaceScope: "no"`, "/allowRootNamespaceScope"},
		"no workers":                 {`maxConcurrentReconciles: 0`, "/maxConcurrentReconciles"},
		"namespace in capitals":      {`watchNamespaces: [Shop]`, "/watchNamespaces/0"},
		"namespace with a comma":     {`watchNamespaces: ["shop,bank"]`, "/watchNamespaces/0"},
		"namespace twice":            {`watchNamespaces: [shop, shop]`, "/watchNamespaces"},
		"list as text":               {`watchNamespaces: shop`, "/watchNamespaces"},
		"version without quotes":     {`istio: {version: 1.30}`, "/istio/version"},
		"version with a patch":       {`istio: {version: "1.30.2"}`, "/istio/version"},
		"Secrets of all namespaces":  {`rulesFrom: {secretNamespaces: ["*"]}`, "/rulesFrom/secretNamespaces/0"},
		"Secrets of another's":       {`{watchNamespaces: [shop], rulesFrom: {secretNamespaces: [bank]}}`, "rulesFrom.secretNamespaces: bank is none of watchNamespaces"},
		"pull secrets of all":        {`modules: {secretNamespaces: ["*"]}`, "/modules/secretNamespaces/0"},
		"pull secrets of another's":  {`{watchNamespaces: [shop], modules: {secretNamespaces: [bank]}}`, "modules.secretNamespaces: bank is none of watchNamespaces"},
		"registry with a scheme":     {`modules: {insecureRegistries: ["http://registry"]}`, "/modules/insecureRegistries/0"},
		"registries with a comma":    {`modules: {insecureRegistries: ["a,b"]}`, "/modules/insecureRegistries/0"},
		"resolving without a pause":  {`modules: {resolveIntervalSeconds: 1}`, "/modules/resolveIntervalSeconds"},
		"no port of a registry":      {`modules: {egressPorts: []}`, "/modules/egressPorts"},
		"cache without a size":       {`modules: {cacheSizeLimit: big}`, "/modules/cacheSizeLimit"},
		"cache that is too small":    {`modules: {cacheSizeLimit: 1Gi}`, "modules.cacheSizeLimit: the operator keeps up to 1Gi there"},
		"digest of what isn't read":  {`{modules: {resolve: false, requireDigest: true}, store: {enabled: false}}`, "modules.requireDigest: nothing looks at modules"},
		"signature of the same":      {`{modules: {resolve: false, requireSignature: true}, store: {enabled: false}}`, "modules.requireSignature: nothing looks at modules"},
		"key that is a path":         {`modules: {caConfigMap: {name: ca, key: ../ca.crt}}`, "/modules/caConfigMap/key"},
		"store without resolving":    {`modules: {resolve: false}`, "store.enabled: the store holds what the operator resolves"},
		"no replica of the store":    {`store: {replicas: 0}`, "/store/replicas"},
		"pushed modules in a folder": {`store: {durable: true}`, "store.durable: pushed modules would go with the pods"},
		"bucket and volume":          {`store: {bucket: "s3://modules", persistence: {enabled: true}}`, "store.persistence.enabled: modules stand in store.bucket"},
		"two on one node's volume":   {`store: {persistence: {enabled: true, accessMode: ReadWriteOnce}}`, "store.persistence.accessMode: 2 replicas share the volume"},
		"claim without a volume":     {`store: {persistence: {existingClaim: disk}}`, "store.persistence.existingClaim: has no effect"},
		"bucket that is a folder":    {`store: {bucket: "file:///tmp"}`, "/store/bucket"},
		"store that is no URL":       {`store: {url: modules.example.com}`, "/store/url"},
		"store at a query":           {`store: {url: "http://modules.example.com/?a=b"}`, "/store/url"},
		"grace below the agents'":    {`store: {graceSeconds: 3600}`, "/store/graceSeconds"},
		"quota that is no size":      {`store: {quota: lots}`, "/store/quota"},
		"access mode of readers":     {`store: {persistence: {accessMode: ReadOnlyMany}}`, "/store/persistence/accessMode"},
		"upload from everyone":       {`store: {networkPolicy: {uploadFrom: [{}]}}`, "/store/networkPolicy/uploadFrom/0"},
		"store's label that selects": {`store: {podLabels: {app.kubernetes.io/name: x}}`, "store.podLabels: the chart sets app.kubernetes.io/name itself"},
		"istiod without a port":      {`proxies: {istiodAddresses: [istiod.istio-system.svc]}`, "/proxies/istiodAddresses/0"},
		"istiod twice":               {`proxies: {istiodAddresses: ["a:1", "a:1"]}`, "/proxies/istiodAddresses"},
		"istiod's namespace twice":   {`proxies: {istiodNamespace: a, istiodAddresses: ["a:1"]}`, "proxies.istiodNamespace: with proxies.istiodAddresses nobody looks"},
		"istiod's namespace is none": {`proxies: {istiodNamespace: Istio}`, "/proxies/istiodNamespace"},
		"name of no address":         {`proxies: {istiodServerName: istiod.svc}`, "proxies.istiodServerName: is for proxies.istiodAddresses"},
		"address of who isn't asked": {`proxies: {observe: false, istiodAddresses: ["a:1"]}`, "proxies.istiodAddresses: nobody asks istiod"},
		"no port of istiod":          {`networkPolicy: {istiodPorts: []}`, "/networkPolicy/istiodPorts"},
		"unknown part of the rules":  {`metrics: {rules: {interval: 1m}}`, "'interval' not allowed"},
		"variable without a name":    {`extraEnv: [{value: x}]`, "/extraEnv/0"},
		"domain with a scheme":       {`clusterDomain: "http://x"`, "/clusterDomain"},
		"no port of DNS":             {`networkPolicy: {dnsPorts: []}`, "/networkPolicy/dnsPorts"},
		"refresh without a pause":    {`rulesFrom: {secretRefreshSeconds: 9}`, "/rulesFrom/secretRefreshSeconds"},
		"no mesh config":             {`meshConfig: {name: ""}`, "/meshConfig/name"},
		"no namespace of the mesh":   {`meshConfig: {namespace: ""}`, "/meshConfig/namespace"},
		"unknown log level":          {`logging: {level: verbose}`, "/logging/level"},
		"unknown log format":         {`logging: {format: xml}`, "/logging/format"},
		"port 0":                     {`metrics: {port: 0}`, "/metrics/port"},
		"port above 65535":           {`metrics: {port: 70000}`, "/metrics/port"},
		"the probes' port":           {`metrics: {port: 8081}`, "metrics.port: 8081 is taken by the probes"},
		"interval without a unit":    {`metrics: {serviceMonitor: {interval: "30"}}`, "/metrics/serviceMonitor/interval"},
		"digest without algorithm":   {`image: {digest: "` + strings.Repeat("a", 64) + `"}`, "/image/digest"},
		"digest too short":           {`image: {digest: "sha256:abc"}`, "/image/digest"},
		"unknown pull policy":        {`image: {pullPolicy: Sometimes}`, "/image/pullPolicy"},
		"no image":                   {`image: {repository: ""}`, "/image/repository"},
		"pull secret as text":        {`imagePullSecrets: [regcred]`, "/imagePullSecrets/0"},
		"label that is no text":      {`podLabels: {team: 7}`, "/podLabels/team"},
		"label that selects pods":    {`podLabels: {app.kubernetes.io/name: x}`, "podLabels: the chart sets app.kubernetes.io/name itself"},
		"no ServiceAccount":          {`serviceAccount: {create: false}`, "serviceAccount.name: is required"},
		"no memory":                  {`resources: {limits: {memory: lots}}`, "/resources/limits/memory"},
		"unknown part of resources":  {`resources: {maximum: {memory: 1Gi}}`, "'maximum' not allowed"},
		"unknown kind of affinity":   {`affinity: {nodes: {}}`, "'nodes' not allowed"},
		"unknown toleration":         {`tolerations: [{effect: Never}]`, "/tolerations/0/effect"},
		"budget that is no number":   {`podDisruptionBudget: {maxUnavailable: half}`, "/podDisruptionBudget/maxUnavailable"},
		"no port of the API server":  {`networkPolicy: {apiServerPorts: []}`, "/networkPolicy/apiServerPorts"},
		"peer that names everyone":   {`networkPolicy: {metricsFrom: [{}]}`, "/networkPolicy/metricsFrom/0"},
		"killed while it shuts down": {`terminationGracePeriodSeconds: 30`, "/terminationGracePeriodSeconds"},
		"name that is none":          {`fullnameOverride: Wasm_Operator`, "/fullnameOverride"},
		"name that is too long":      {`fullnameOverride: ` + strings.Repeat("a", 50), "/fullnameOverride"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := helm(t, "template", release, chartFolder, "--values", valuesFile(t, test.values))
			if err == nil {
				t.Fatalf("%s was accepted", test.values)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: the error doesn't say %q:\n%v", test.values, test.want, err)
			}
		})
	}
}

// TestDependency: Helm gives a dependency the value global, which a strict schema would refuse.
func TestDependency(t *testing.T) {
	render(t, valuesFile(t, "global: {registry: registry.example.com}"))
}
