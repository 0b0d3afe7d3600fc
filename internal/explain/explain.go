// SPDX-License-Identifier: Apache-2.0

// Package explain says what a plugin does in the proxies of a mesh, from what their istiods say that they send them. It is
// pure: no client, clock, log or network.
package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Input is all that a report is made of.
type Input struct {
	// Plugin is the WasmPlugin as the API server holds it.
	Plugin *wasmv1alpha1.WasmPlugin
	// RootNamespace is the mesh's root namespace.
	RootNamespace string
	Istiods       []Istiod
	// Only leaves out all other proxies than those of this ID (NAME.NAMESPACE); empty for all.
	Only string
}

// Istiod is what one istiod says.
type Istiod struct {
	// Name is its Pod's, or its address, Revision what it serves; empty for unknown.
	Name, Revision string
	// Problem is why it can't be read; empty where it can.
	Problem string
	Proxies []proxies.Proxy
	// Dumps are what it sends proxies, by connection. A proxy without one was not asked about.
	Dumps map[string]Dump
}

// Dump is istiod's config_dump of a proxy, of the types lds, rds and ecds.
type Dump struct {
	Content []byte
	// NoExtensions is why those of type ecds aren't in it; empty where they are.
	NoExtensions string
}

// Matched are the proxies of an istiod that get the plugin, in the order of their names.
func (in Input) Matched(istiod Istiod) []proxies.Proxy {
	reach := translate.ReachOf(in.Plugin, in.RootNamespace)
	var matched []proxies.Proxy
	for _, proxy := range istiod.Proxies {
		if in.wants(proxy) && proxies.Matches(reach, proxy, istiod.Revision) {
			matched = append(matched, proxy)
		}
	}
	slices.SortFunc(matched, func(a, b proxies.Proxy) int { return cmp.Compare(a.ID, b.ID) })
	return matched
}

func (in Input) wants(proxy proxies.Proxy) bool { return in.Only == "" || in.Only == proxy.ID }

// Report is what there is to say of a plugin.
type Report struct {
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	Generation int64  `json:"generation"`
	// Ready, Reason and Message are of the condition Ready; Ready is Unknown where there is none.
	Ready   string `json:"ready"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	Order   Order  `json:"order"`
	// Proxies are those that match, by name, Known how many there are in all.
	Proxies []Proxy `json:"proxies"`
	Known   int     `json:"known"`
	Others  []Other `json:"others,omitempty"`
	// Views are what matched proxies have, each once.
	Views    []View    `json:"views,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
}

// Order is where the plugin's filter goes.
type Order struct {
	Phase     string `json:"phase,omitempty"`
	Operation string `json:"operation"`
	Anchor    string `json:"anchor,omitempty"`
	Priority  int32  `json:"priority"`
	// EnvoyFilterPriority is the packed number by which istiod orders EnvoyFilters.
	EnvoyFilterPriority int32  `json:"envoyFilterPriority"`
	Meaning             string `json:"meaning"`
}

// Proxy is a proxy that matches.
type Proxy struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Version string `json:"version"`
	Istiod  string `json:"istiod"`
	// Extensions and Listeners are what it answered last to what it was sent of them.
	Extensions Answer `json:"extensions"`
	Listeners  Answer `json:"listeners"`
	// Ambiguous says that it has several connections now, of which it isn't known which one this is of.
	Ambiguous bool `json:"ambiguous,omitempty"`
	// Plugins is how many plugins of this operator it asks for.
	Plugins int `json:"plugins,omitempty"`
	// View is the index of what it has; -1 where istiod wasn't asked.
	View int `json:"view"`
}

// Answer is what a proxy answered last.
type Answer struct {
	State string `json:"state"`
	Words string `json:"words,omitempty"`
}

// Values of Answer.State.
const (
	StateAcknowledged = "Acknowledged"
	StateWaiting      = "Waiting"
	StateRefused      = "Refused"
	StateNotSent      = "NotSent"
)

// Other are proxies that don't match, for the same reasons.
type Other struct {
	Reasons []string      `json:"reasons"`
	Proxies []OtherMember `json:"proxies"`
}

// OtherMember is a proxy that doesn't match, with what it has in the place of each reason.
type OtherMember struct {
	ID    string   `json:"id"`
	Found []string `json:"found"`
}

// Warning is something that a user should look at.
type Warning struct {
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

// Explain makes a report.
func Explain(in Input) (Report, error) {
	e := &explainer{in: in, reach: translate.ReachOf(in.Plugin, in.RootNamespace), views: map[string]int{}}
	e.report = Report{
		Namespace: in.Plugin.Namespace, Name: in.Plugin.Name, Generation: in.Plugin.Generation, Ready: "Unknown",
		Order: orderOf(in.Plugin), Proxies: []Proxy{},
	}
	if ready := apimeta.FindStatusCondition(in.Plugin.Status.Conditions, wasmv1alpha1.ConditionReady); ready != nil {
		e.report.Ready, e.report.Reason, e.report.Message = string(ready.Status), ready.Reason, status.Words(ready.Message)
	}
	for _, istiod := range in.Istiods {
		if err := e.add(istiod); err != nil {
			return Report{}, err
		}
	}
	e.sort()
	e.report.Others = e.othersOf()
	e.warn()
	return e.report, nil
}

type explainer struct {
	in     Input
	reach  translate.Reach
	report Report
	// views have the index of each view by its content.
	views  map[string]int
	others map[string]*Other
	// notAsked are matched proxies without a dump, tooOld others that match but for their version.
	notAsked, tooOld []string
}

func (e *explainer) add(istiod Istiod) error {
	for _, proxy := range istiod.Proxies {
		if !e.in.wants(proxy) {
			continue
		}
		e.report.Known++
		if !proxies.Matches(e.reach, proxy, istiod.Revision) {
			e.addOther(proxy, istiod.Revision)
		}
	}
	for _, proxy := range e.in.Matched(istiod) {
		matched := Proxy{
			ID: proxy.ID, Type: proxy.Type, Version: proxy.Version, Istiod: istiod.Name, Ambiguous: proxy.Ambiguous, Plugins: proxy.Plugins, View: -1,
			Extensions: e.answer(proxy.Extensions), Listeners: e.answer(proxy.Listeners),
		}
		dump, asked := istiod.Dumps[proxy.Connection]
		if !asked {
			e.notAsked = append(e.notAsked, proxy.ID)
			e.report.Proxies = append(e.report.Proxies, matched)
			continue
		}
		view, err := viewOf(e.in.Plugin, dump)
		if err != nil {
			return fmt.Errorf("istiod %s says of proxy %s what can't be read: %w", istiod.Name, proxy.ID, err)
		}
		matched.View = e.viewIndex(view)
		e.report.Proxies = append(e.report.Proxies, matched)
	}
	return nil
}

// viewIndex has equal views once.
func (e *explainer) viewIndex(view View) int {
	key := view.key()
	at, there := e.views[key]
	if !there {
		at = len(e.report.Views)
		e.views[key] = at
		e.report.Views = append(e.report.Views, view)
	}
	return at
}

// answer repeats Envoy's words without what the plugin's rules say under keys that name secrets.
func (e *explainer) answer(state proxies.TypeState) Answer {
	switch {
	case state.Error != "":
		return Answer{State: StateRefused, Words: status.Words(translate.Input{Plugin: e.in.Plugin}.Mask(state.Error))}
	case state.Sent == "":
		return Answer{State: StateNotSent}
	case state.Sent != state.Acked:
		return Answer{State: StateWaiting}
	default:
		return Answer{State: StateAcknowledged}
	}
}

func (e *explainer) addOther(proxy proxies.Proxy, revision string) {
	why := e.reach.Why(translate.Proxy{
		Namespace: proxy.Namespace, Type: proxy.Type, Version: proxy.Version, Revision: revision, Labels: proxy.Labels,
	})
	member := OtherMember{ID: proxy.ID}
	var reasons []string
	for _, mismatch := range why {
		reasons, member.Found = append(reasons, mismatch.Kind), append(member.Found, mismatch.Found)
	}
	if len(why) == 1 && e.reach.TooOld(proxy.Version) {
		e.tooOld = append(e.tooOld, proxy.ID)
	}
	if e.others == nil {
		e.others = map[string]*Other{}
	}
	key := fmt.Sprintf("%q", reasons)
	if e.others[key] == nil {
		e.others[key] = &Other{Reasons: reasons}
	}
	e.others[key].Proxies = append(e.others[key].Proxies, member)
}

// othersOf begins with the proxies that the plugin nearly reaches.
func (e *explainer) othersOf() []Other {
	var others []Other
	for _, key := range slices.Sorted(maps.Keys(e.others)) {
		other := *e.others[key]
		slices.SortFunc(other.Proxies, func(a, b OtherMember) int { return cmp.Compare(a.ID, b.ID) })
		others = append(others, other)
	}
	slices.SortStableFunc(others, func(a, b Other) int { return cmp.Compare(len(a.Reasons), len(b.Reasons)) })
	return others
}

// sort puts proxies in the order of their names, and views in that of their first proxies.
func (e *explainer) sort() {
	slices.SortStableFunc(e.report.Proxies, func(a, b Proxy) int { return cmp.Compare(a.ID, b.ID) })
	var views []View
	moved := map[int]int{}
	for i := range e.report.Proxies {
		proxy := &e.report.Proxies[i]
		if proxy.View < 0 {
			continue
		}
		at, there := moved[proxy.View]
		if !there {
			at = len(views)
			moved[proxy.View] = at
			views = append(views, e.report.Views[proxy.View])
		}
		views[at].Proxies = append(views[at].Proxies, proxy.ID)
		proxy.View = at
	}
	e.report.Views = views
}

func orderOf(plugin *wasmv1alpha1.WasmPlugin) Order {
	place := translate.PlaceOf(plugin)
	first := "higher"
	if place.Ascending {
		first = "lower"
	}
	return Order{
		Phase: string(plugin.Spec.Phase), Operation: place.Operation, Anchor: place.Anchor, Priority: place.UserPriority,
		EnvoyFilterPriority: place.Packed,
		Meaning: fmt.Sprintf("of the plugins that go to this place, the one whose EnvoyFilter has the %s number runs first; "+
			"the number has the place (%d), priority %d and a hash of the name in it", first, place.Rank, place.UserPriority),
	}
}
