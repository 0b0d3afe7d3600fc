// SPDX-License-Identifier: Apache-2.0

package convert

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var wasmeContexts = map[string]wasmv1alpha1.Context{
	"": wasmv1alpha1.ContextSidecarInbound, "inbound": wasmv1alpha1.ContextSidecarInbound, "outbound": wasmv1alpha1.ContextSidecarOutbound,
	"gateway": wasmv1alpha1.ContextGateway, "any": wasmv1alpha1.ContextAny,
}

// filterDeployment is wasme's.
func (i *importer) filterDeployment(r *reading) {
	f := r.root.object("spec")
	filter := f.object("filter")
	d := newDraft(r.object, r.object.Name, r.root)
	d.metadata(r.root)
	spec := &d.plugin.Spec
	filter.skip("id")
	spec.URL = filter.text("image")
	if spec.URL == "" {
		d.refuse("%s names no image", filter.path)
	}
	spec.PluginName = filter.text("rootID")
	d.configuration(filter, "config")
	options := filter.object("imagePullOptions")
	if spec.ImagePullSecret = options.text("pullSecret"); spec.ImagePullSecret != "" {
		d.note("%s: there it has username and password; make it one of type kubernetes.io/dockerconfigjson", options.join("pullSecret"))
	}
	if options.flag("insecureSkipVerify") || options.flag("plainHttp") {
		options.skip("insecureSkipVerify", "plainHttp")
		d.note("%s: such a registry is named to the operator, by its flag --insecure-registries", options.path)
	}
	context, known := wasmeContexts[filter.text("patchContext")]
	if !known {
		d.refuse("%s is none of inbound, outbound, gateway and any", filter.join("patchContext"))
	}
	d.match(context)
	spec.Placement.Before = routerFilter
	istio := f.object("deployment").object("istio")
	istio.skip("istioNamespace")
	if kind := istio.text("kind"); kind != "" {
		d.note("%s: was left out; proxies are chosen by the labels of their pods, whatever made those", istio.join("kind"))
	}
	d.target(istio.table("labels"))
	d.note("the annotations sidecar.istio.io/userVolume and userVolumeMount stay behind in the pod templates that wasme changed, and its EnvoyFilters: take them out")
	i.done(d)
}

func (d *draft) override(path string, match wasmv1alpha1.OverrideMatch, rules *apiextensionsv1.JSON) {
	if len(match.Hosts)+len(match.Routes) == 0 {
		return
	}
	if rules == nil {
		d.refuse("%s has no rules", path)
		return
	}
	d.plugin.Spec.Overrides = append(d.plugin.Spec.Overrides, wasmv1alpha1.Override{Match: match, Rules: rules})
}
