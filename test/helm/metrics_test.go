// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"
	_ "sigs.k8s.io/controller-runtime" // registers its metrics
	controllermetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/store/server"
)

// monitored are values with everything that names metrics.
const monitored = "metrics: {rules: {enabled: true}, dashboard: {enabled: true}}"

var (
	selector   = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)(=~|!~|!=|=)"`)
	described  = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", .*, variableLabels: \{([^}]*)\}\}$`)
	components = regexp.MustCompile(`_(bucket|sum|count)$`)
	fromTarget = []string{"namespace", "pod", "le"}
)

// alert is a rule of a PrometheusRule.
type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

// TestAlerts: each says what is wrong and what to do, and asks for metrics that there are.
func TestAlerts(t *testing.T) {
	exported := exportedMetrics(t)
	seen := map[string]bool{}
	for _, values := range []string{monitored, "{" + monitored + ", proxies: {observe: false}, modules: {resolve: false}, store: {enabled: false}}"} {
		all := alerts(t, values)
		for _, one := range all {
			checkQuery(t, one.Alert, one.Expr, exported)
			seen[one.Alert] = true
			for _, name := range []string{"summary", "description", "runbook"} {
				if text := one.Annotations[name]; text == "" || strings.Contains(text, "{{ \"") {
					t.Errorf("%s: its %s is %q", one.Alert, name, text)
				}
			}
			if !strings.Contains(one.Annotations["runbook"], "docs/troubleshooting.md") || one.For == "" || one.Labels["severity"] == "" {
				t.Errorf("%s has no runbook, time or severity: %+v", one.Alert, one)
			}
		}
		if len(all) == 0 {
			t.Errorf("%s: no alert", values)
		}
	}
	if len(seen) < 6 {
		t.Errorf("the alerts are only %v", seen)
	}
}

func alerts(t *testing.T, values string) []alert {
	t.Helper()
	rule := named(t, render(t, valuesFile(t, values)), "PrometheusRule", release)
	content, err := json.Marshal(rule.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	var spec struct{ Groups []struct{ Rules []alert } }
	if err := json.Unmarshal(content, &spec); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, group := range spec.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// TestDashboard: Grafana can read it, and its panels ask for metrics that there are.
func TestDashboard(t *testing.T) {
	exported := exportedMetrics(t)
	configMap := named(t, render(t, valuesFile(t, monitored)), "ConfigMap", release+"-dashboard")
	if configMap.GetLabels()["grafana_dashboard"] != "1" {
		t.Errorf("Grafana's sidecar finds no label: %v", configMap.GetLabels())
	}
	text, _ := configMap.Object["data"].(map[string]any)[release+".json"].(string)
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
		t.Fatal(err)
	}
	ids, places := map[int]bool{}, map[any]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || places[panel.GridPos] || len(panel.Targets) == 0 {
			t.Errorf("%s: another panel has its number or its place, or it shows nothing", panel.Title)
		}
		ids[panel.ID], places[panel.GridPos] = true, true
		for _, target := range panel.Targets {
			checkQuery(t, panel.Title, target.Expr, exported)
		}
	}
	if len(ids) < 10 {
		t.Errorf("%d panels", len(ids))
	}
}

// checkQuery: each selector names an exported metric, labels that it has, and the release's namespace.
func checkQuery(t *testing.T, what, query string, exported map[string][]string) {
	t.Helper()
	selectors := selector.FindAllStringSubmatch(query, -1)
	if len(selectors) == 0 {
		t.Errorf("%s: no metric in %s", what, query)
	}
	for _, one := range selectors {
		labels, known := exported[one[1]]
		if !known {
			labels, known = exported[components.ReplaceAllString(one[1], "")]
		}
		if !known {
			t.Errorf("%s: nobody exports %s", what, one[1])
			continue
		}
		if !strings.Contains(one[2], `namespace="`) {
			t.Errorf("%s: %s of every namespace", what, one[1])
		}
		for _, match := range matcher.FindAllStringSubmatch(one[2], -1) {
			if !slices.Contains(labels, match[1]) && !slices.Contains(fromTarget, match[1]) {
				t.Errorf("%s: %s has no label %s, but %v", what, one[1], match[1], labels)
			}
		}
	}
	// What has no braces would not be seen above.
	for word := range strings.FieldsFuncSeq(selector.ReplaceAllString(query, ""), func(r rune) bool {
		return !strings.ContainsRune("_:", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		if strings.HasPrefix(word, "wasmplugin") {
			t.Errorf("%s: %s without a namespace", what, word)
		}
	}
}

// exportedMetrics are the names of the operator's and the store's metrics, and of the libraries', with their labels.
func exportedMetrics(t *testing.T) map[string][]string {
	t.Helper()
	registry := client.NewRegistry()
	if err := metrics.Register(registry); err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(t.Context(), server.Options{
		Bucket: "file://" + t.TempDir(), Access: server.NewAccess(nil), Registry: registry,
	}); err != nil {
		t.Fatal(err)
	}
	descriptions := make(chan *client.Desc)
	go func() {
		defer close(descriptions)
		registry.Describe(descriptions)
		if libraries, ok := controllermetrics.Registry.(client.Collector); ok {
			libraries.Describe(descriptions)
		}
	}()
	exported := map[string][]string{}
	for description := range descriptions {
		parts := described.FindStringSubmatch(description.String())
		if parts == nil {
			t.Fatalf("not understood: %s", description)
		}
		exported[parts[1]] = strings.Split(parts[2], ",")
	}
	return exported
}
