//go:build long

// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var (
	clusterRoles = schema.GroupVersionResource{Group: rbacv1.GroupName, Version: "v1", Resource: "clusterroles"}
	plainRoles   = schema.GroupVersionResource{Group: rbacv1.GroupName, Version: "v1", Resource: "roles"}
)

// TestWithoutEachRight takes each right of the operator and of the store away, in the roles that the chart installed, and
// asserts that it is missed: what needs it works before, and fails without it, in the words of the table. A right that
// nobody misses is one too many.
func TestWithoutEachRight(t *testing.T) {
	binary := buildOperator(t)
	number := 0
	for _, installation := range installations {
		t.Run(installation.name, func(t *testing.T) {
			c := startClusterWith(t, nil, installation.serverFlags...)
			c.apply(shop)
			c.install("--values", valuesFile(t, installation.values))
			c.apply(prometheus)
			if installation.prepare != nil {
				installation.prepare(c)
			}
			for account, trials := range map[string][]trial{release: slices.Concat(operatorTrials, secretTrials), storeAccount: storeTrials} {
				for _, trial := range trials {
					if scenario, here := installation.scenarios[trial.scenario]; here {
						number++
						t.Run(account+" "+trial.right, func(t *testing.T) {
							attempt{cluster: cluster{c.Cluster, t, c.client}, trial: trial, scenario: scenario, account: account, binary: binary, number: number}.run()
						})
					}
				}
			}
		})
	}
	if all := len(operatorTrials) + len(secretTrials) + len(storeTrials); number != all {
		t.Errorf("%d rights were tried, there are %d", number, all)
	}
}

// attempt is one trial, made with the right and without it.
type attempt struct {
	cluster
	trial
	scenario scenario
	account  string
	binary   string
	number   int

	plugin  string // the name of the one that it makes
	process *chain.Process
	metrics string
	store   runningStore
	from    int // where the part of the log begins that counts
}

func (a attempt) run() {
	a.Helper()
	a.plugin = fmt.Sprint("with-", a.number)
	a.begin()
	a.scenario.act(&a)
	a.eventually(func(ctx context.Context) error { return a.scenario.goal(ctx, &a) })
	if a.wasTold() {
		a.Errorf("with the right it is told %q", a.words)
	}
	if a.scenario.starts {
		a.end()
	}
	restore := a.takeAway()
	a.Cleanup(restore)
	if a.scenario.starts {
		a.begin()
	}
	a.plugin, a.from = fmt.Sprint("without-", a.number), len(a.log())
	if a.scenario.starts {
		a.from = 0
	}
	a.scenario.act(&a)
	a.eventually(func(ctx context.Context) error {
		err := a.scenario.goal(ctx, &a)
		if a.wasTold() || (err != nil && strings.Contains(err.Error(), a.words)) {
			return nil
		}
		return fmt.Errorf("nobody says %q; %w", a.words, errors.Join(err, a.told()))
	})
	a.end()
}

func (a *attempt) begin() {
	a.Helper()
	if a.scenario.before != nil {
		a.scenario.before(a)
	}
	a.scenario.start(a)
}

func (a *attempt) end() {
	a.Helper()
	_ = a.process.Stop() // one that may not hold the lease ends by itself
}

func (a *attempt) log() string {
	return a.process.Log()
}

// wasTold says whether the log or the plugin's status has the words.
func (a *attempt) wasTold() bool {
	return strings.Contains(unquoted(a.log()[a.from:]), a.words) || strings.Contains(fmt.Sprint(a.told()), a.words)
}

// unquoted undoes what a log in JSON does to quotes.
func unquoted(log string) string { return strings.ReplaceAll(log, `\"`, `"`) }

// told is what the plugin's status says, as an error.
func (a *attempt) told() error {
	object, err := a.client.Resource(wasmPlugins).Namespace("shop").Get(a.Context(), a.plugin, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return fmt.Errorf("its status: %v", object.Object["status"])
}

// takeAway removes the right from the account's roles, and waits until the API server knows. It returns what gives it back.
func (a *attempt) takeAway() func() {
	a.Helper()
	fields := strings.Fields(a.right)
	resource := a.client.Resource(clusterRoles)
	roles := dynamic.ResourceInterface(resource)
	if fields[0] != "*" {
		roles = a.client.Resource(plainRoles).Namespace(fields[0])
	}
	list, err := roles.List(a.Context(), metav1.ListOptions{})
	a.must(err)
	var restores []func()
	for i := range list.Items {
		role := &list.Items[i]
		ofStore := role.GetName() == storeAccount
		if !strings.HasPrefix(role.GetName(), release) || ofStore != (a.account == storeAccount) {
			continue
		}
		rules := typed[rbacv1.ClusterRole](a.T, role).Rules
		if rest := lessOf(rules, fields); len(flatten1(rest)) < len(flatten1(rules)) {
			restores = append(restores, a.setRules(roles, role, rest))
		}
	}
	if len(restores) == 0 {
		a.Fatalf("no role of %s gives it", a.account)
	}
	a.eventually(func(ctx context.Context) error { return a.mayNot(ctx, fields) })
	return func() {
		for _, restore := range restores {
			restore()
		}
	}
}

func flatten1(rules []rbacv1.PolicyRule) []string { return flatten(role{Rules: rules}) }

// setRules replaces the rules of a role, and returns what puts the old ones back.
func (a *attempt) setRules(roles dynamic.ResourceInterface, role *unstructured.Unstructured, rules []rbacv1.PolicyRule) func() {
	a.Helper()
	before := role.DeepCopy()
	var list []any
	for i := range rules {
		list = append(list, untyped(a.T, &rules[i]))
	}
	role.Object["rules"] = list
	_, err := roles.Update(a.Context(), role, metav1.UpdateOptions{})
	a.must(err)
	return func() {
		before.SetResourceVersion("")
		// The test's own context has ended.
		if _, err := roles.Update(context.Background(), before, metav1.UpdateOptions{}); err != nil {
			a.Errorf("give the right back: %v", err)
		}
	}
}

func untyped(t *testing.T, rule *rbacv1.PolicyRule) map[string]any {
	t.Helper()
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(rule)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// lessOf are the rules without one right, which fields name.
func lessOf(rules []rbacv1.PolicyRule, fields []string) []rbacv1.PolicyRule {
	var rest []rbacv1.PolicyRule
	for _, rule := range rules {
		group := strings.Replace(fields[1], "core", "", 1)
		if !slices.Contains(rule.APIGroups, group) || !slices.Contains(rule.Resources, fields[2]) || !slices.Contains(orAll(rule.ResourceNames...), fields[3]) {
			rest = append(rest, rule)
			continue
		}
		less := *rule.DeepCopy()
		less.Verbs = slices.DeleteFunc(less.Verbs, func(verb string) bool { return verb == fields[4] })
		if len(less.Verbs) > 0 {
			rest = append(rest, less)
		}
	}
	return rest
}

// mayNot asks the API server whether the account still has the right.
func (a *attempt) mayNot(ctx context.Context, fields []string) error {
	client, err := kubernetes.NewForConfig(a.Config)
	if err != nil {
		return err
	}
	in, of := fields[0], fields[1]
	if in == "*" {
		in = "shop"
	}
	resource, subresource, _ := strings.Cut(fields[2], "/")
	answer, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + namespace + ":" + a.account,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: in, Verb: fields[4], Group: strings.Replace(of, "core", "", 1), Resource: resource, Subresource: subresource,
				Name: strings.Replace(fields[3], "*", "", 1),
			},
		},
	}, metav1.CreateOptions{})
	if err == nil && answer.Status.Allowed {
		err = fmt.Errorf("%s has the right still: %s", a.account, answer.Status.Reason)
	}
	return err
}
