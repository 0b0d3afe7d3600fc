// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/internal/status"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Values of Warning.Reason.
const (
	WarnUnread        = "IstiodNotRead"
	WarnNoProxies     = "NoProxies"
	WarnNoMatch       = "NothingMatches"
	WarnStale         = "StatusOutdated"
	WarnNotAsked      = "NotAsked"
	WarnRefused       = "Refused"
	WarnNotInChain    = "NotInChain"
	WarnAnchorAbsent  = "AnchorAbsent"
	WarnTrialOnly     = "OnTrialOnly"
	WarnOff           = "Off"
	WarnNotDumped     = "ExtensionsNotDumped"
	WarnNotDelivered  = "NotDelivered"
	WarnTwice         = "TwiceInChain"
	WarnDouble        = "DoubleEnforcement"
	WarnForeign       = "ForeignFilter"
	WarnOldProxy      = "ProxyTooOld"
	WarnOverride      = "OverrideMatchesNothing"
	WarnSeveralStands = "SeveralConnections"
	WarnCrowded       = "Crowded"
)

func (e *explainer) note(when bool, reason, format string, args ...any) {
	warning := Warning{reason, fmt.Sprintf(format, args...)}
	if when && !slices.Contains(e.report.Warnings, warning) {
		e.report.Warnings = append(e.report.Warnings, warning)
	}
}

// warn says what is wrong, what most likely explains a plugin that doesn't run first.
func (e *explainer) warn() {
	e.warnOfMesh()
	e.warnOfAnswers()
	for _, view := range e.report.Views {
		e.warnOfView(view)
	}
	e.warnOfOverrides()
	e.note(len(e.tooOld) > 0, WarnOldProxy, "%s would match, but for its version: the plugin is for proxies of Istio 1.%d and later", some(e.tooOld), e.reach.MinimumMinor)
	var ambiguous, crowded []string
	for _, proxy := range e.report.Proxies {
		if proxy.Ambiguous {
			ambiguous = append(ambiguous, proxy.ID)
		}
		if proxy.Plugins > status.Crowd {
			crowded = append(crowded, fmt.Sprintf("%s (%d)", proxy.ID, proxy.Plugins))
		}
	}
	e.note(len(ambiguous) > 0, WarnSeveralStands, "%s has several connections to istiod right now; ask again", some(ambiguous))
	e.note(len(crowded) > 0, WarnCrowded, "more than %d plugins of this operator are in %s: istiod's work for each push grows with the square of that", status.Crowd, some(crowded))
}

func (e *explainer) warnOfMesh() {
	for _, istiod := range e.in.Istiods {
		e.note(istiod.Problem != "", WarnUnread, "what its proxies do isn't known: istiod %s %s", istiod.Name, istiod.Problem)
	}
	switch {
	case len(e.report.Proxies) > 0:
	case e.report.Known == 0 && e.in.Only != "":
		e.note(true, WarnNoProxies, "no istiod that was read has a proxy %s; the name is POD.NAMESPACE", e.in.Only)
	case e.report.Known == 0:
		e.note(true, WarnNoProxies, "no proxy is connected to an istiod that was read")
	default:
		e.note(true, WarnNoMatch, "no proxy matches; the first reasons above are those that keep the fewest apart")
	}
	observed := e.in.Plugin.Status.ObservedGeneration
	e.note(observed != e.in.Plugin.Generation, WarnStale, "the status is about generation %d, and the spec is of %d: the operator hasn't looked yet, or doesn't run", observed, e.in.Plugin.Generation)
	e.note(len(e.notAsked) > 0, WarnNotAsked, "%d matched proxies were not asked about; --proxy asks about one", len(e.notAsked))
}

// warnOfAnswers says each refusal once, with the proxies that it is of.
func (e *explainer) warnOfAnswers() {
	refusals := map[string][]string{}
	for _, proxy := range e.report.Proxies {
		for what, answer := range map[string]Answer{"extensions": proxy.Extensions, "listeners": proxy.Listeners} {
			if answer.State == StateRefused {
				key := what + "\n" + answer.Words
				refusals[key] = append(refusals[key], proxy.ID)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(refusals)) {
		what, words, _ := strings.Cut(key, "\n")
		hint := "; of this push, it may run others and not this one"
		if e.namesOurs(words) {
			hint = ""
		}
		e.note(true, WarnRefused, "%s refused its %s: %s%s", some(refusals[key]), what, words, hint)
	}
}

// namesOurs says whether Envoy's words name the plugin.
func (e *explainer) namesOurs(words string) bool {
	for word := range strings.FieldsSeq(words) {
		if _, _, ours := translate.PartOf(e.in.Plugin.Namespace, e.in.Plugin.Name, strings.Trim(word, `"'.,:;`)); ours {
			return true
		}
	}
	return false
}

func (e *explainer) warnOfView(view View) {
	who := some(view.Proxies)
	trial, stable := false, false
	for _, chain := range view.Chains {
		trial, stable = trial || chain.onTrial(), stable || !chain.onTrial()
	}
	e.note(trial && !stable, WarnTrialOnly, "in %s the plugin stands on trial only: no request passes through it yet", who)
	absent := e.warnOfAnchor(view, who)
	e.note(!trial && !stable && !absent, WarnNotInChain, "no chain of filters of %s has the plugin, although it matches%s", who, e.portsHint())
	e.note(view.NotDumped != "", WarnNotDumped, "what is delivered to %s can't be read: %s", who, view.NotDumped)
	var missing []string
	for _, one := range view.Delivered {
		if one.Missing {
			missing = append(missing, one.Name)
		}
	}
	e.note(len(missing) > 0, WarnNotDelivered, "filters of %s name %s, and istiod delivers nothing by that name: the listener waits, and a proxy that starts stays unready", who, some(missing))
	e.warnOfChains(view, who)
	e.warnOfNatives(view, who)
}

func (e *explainer) portsHint() string {
	if e.in.Plugin.Spec.Match != nil {
		return "; spec.match names contexts or ports that it has no listener for"
	}
	return ""
}

// warnOfAnchor names the chains that an anchor's absence keeps the plugin out of: istiod doesn't say a word of it.
func (e *explainer) warnOfAnchor(view View, who string) bool {
	place := translate.PlaceOf(e.in.Plugin)
	if place.Certain {
		return false
	}
	var absent []string
	for _, without := range view.Without {
		if !without.TCP && !slices.Contains(without.filters, place.Anchor) {
			absent = append(absent, without.String())
		}
	}
	e.note(len(absent) > 0, WarnAnchorAbsent, "in %s the filter %s, which spec.placement names, isn't in %s: the plugin isn't either", who, place.Anchor, some(absent))
	return len(absent) > 0
}

// warnOfChains looks at the filters themselves.
func (e *explainer) warnOfChains(view View, who string) {
	var foreign, off []string
	for _, chain := range view.Chains {
		count := map[string]int{}
		for _, filter := range chain.Filters {
			count[filter.Name]++
			if filter.Kind == KindForeign {
				foreign = append(foreign, filter.Name)
			}
			e.note(filter.Kind == KindOurs && count[filter.Name] == 2, WarnTwice, "%s is more than once in a chain of %s", filter.Name, who)
		}
		if !chain.runs() {
			off = append(off, placesOf(chain)...)
		}
	}
	e.note(len(off) > 0, WarnOff, "in %s the plugin is switched off: its filters are disabled in %s", who, some(off))
	e.note(len(foreign) > 0, WarnForeign, "in %s an EnvoyFilter of somebody else put in %s", who, some(foreign))
}

// warnOfNatives finds plugins of Istio's that load the same module.
func (e *explainer) warnOfNatives(view View, who string) {
	urls, sums := map[string]bool{withScheme(e.in.Plugin.Spec.URL): true}, map[string]bool{}
	for _, one := range view.Delivered {
		urls[withScheme(one.URL)], sums[one.SHA256] = true, true
	}
	for _, native := range view.Natives {
		same := (native.URL != "" && urls[withScheme(native.URL)]) || (native.SHA256 != "" && sums[native.SHA256])
		e.note(same, WarnDouble, "in %s Istio's own plugin %s loads the same module %s: it runs twice; delete one of them", who, native.Of, native.URL)
	}
}

// withScheme is how Istio reads a URL.
func withScheme(url string) string {
	if !strings.Contains(url, "://") {
		return "oci://" + url
	}
	return url
}

// warnOfOverrides names places of overrides that no proxy has.
func (e *explainer) warnOfOverrides() {
	hosts, routes, asked := map[string]bool{}, map[string]bool{}, false
	for _, view := range e.report.Views {
		asked = asked || len(view.Routes) > 0
		maps.Copy(hosts, view.domains)
		maps.Copy(routes, view.routeNames)
	}
	if !asked {
		return
	}
	for i, override := range e.in.Plugin.Spec.Overrides {
		for _, host := range override.Match.Hosts {
			e.note(!hosts[host], WarnOverride, "spec.overrides[%d] names host %s, and no matched proxy has a virtual host of it", i, host)
		}
		for _, route := range override.Match.Routes {
			e.note(!routes[route], WarnOverride, "spec.overrides[%d] names route %s, and no matched proxy has a route of that name", i, route)
		}
	}
}

func placesOf(chain Chain) []string {
	var places []string
	for _, place := range chain.Places {
		places = append(places, place.String())
	}
	return places
}

// String names a place as short as can be.
func (p Place) String() string {
	text := p.Listener
	if p.FilterChain != "" && p.FilterChain != p.Listener {
		text += "/" + p.FilterChain
	}
	if len(p.ServerNames) > 0 {
		text += " (" + strings.Join(p.ServerNames, ", ") + ")"
	}
	return text
}

// someNames is how many names a sentence has.
const someNames = 3

// some are the first of some names, each once, and how many more there are.
func some(names []string) string {
	var unique []string
	for _, name := range names {
		if !slices.Contains(unique, name) {
			unique = append(unique, name)
		}
	}
	if len(unique) <= someNames {
		return strings.Join(unique, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(unique[:someNames], ", "), len(unique)-someNames)
}
