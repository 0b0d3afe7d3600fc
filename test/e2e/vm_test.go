// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// goPlugin is all that the plugin probe, a plugin in Go, must be allowed to run and to answer.
var goPlugin = []string{
	"_initialize", "proxy_on_memory_allocate", "proxy_on_vm_start", "proxy_on_configure", "proxy_on_context_create",
	"proxy_on_request_headers", "proxy_on_response_headers", "proxy_on_log", "proxy_on_done", "proxy_on_delete",
	"args_get", "args_sizes_get", "clock_time_get", "environ_get", "environ_sizes_get", "fd_fdstat_get", "fd_prestat_get",
	"fd_write", "poll_oneoff", "random_get", "sched_yield",
	"proxy_log", "proxy_get_buffer_bytes", "proxy_get_header_map_value", "proxy_replace_header_map_value",
	"proxy_add_header_map_value", "proxy_send_local_response", "proxy_get_property",
}

// says expects a text in an answer of the plugin itself.
func says(text string) []chain.Expect {
	return []chain.Expect{chain.Status(http.StatusOK), chain.Body(text)}
}

var _ = Describe("A plugin's VM", Ordered, ContinueOnFailure, func() {
	var (
		s       space
		gateway hall
	)
	BeforeAll(func(ctx SpecContext) {
		s = newSpace(ctx)
		gateway.gateway = s.gateway(ctx, "gateway", 6)
	})

	It("has the environment that vmConfig gives it, and a changed one is a new VM's", func(ctx SpecContext) {
		d := gateway.door()
		plugin := d.probe(fields{})
		plugin.VMConfig.Env = []wasmv1alpha1.EnvVar{
			{Name: "MODE", Value: new("first")},
			{Name: "EMPTY"},
			{Name: "POD_NAME", ValueFrom: wasmv1alpha1.EnvHost},
			{Name: "NOT_IN_THE_PROXY", ValueFrom: wasmv1alpha1.EnvHost},
		}
		s.create(ctx, "environment", plugin)
		env := d.get("", "/probe/env")
		eventually(ctx, env, says(`"MODE":"first"`))
		Expect(told(ctx, env)).To(Equal(fields{"MODE": "first", "EMPTY": "", "POD_NAME": d.Name}))
		vm := told(ctx, d.get("", "/probe/plugin"))["plugin_vm_id"]

		s.edit(ctx, "environment", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.VMConfig.Env = []wasmv1alpha1.EnvVar{
				{Name: "MODE", Value: new("second")}, {Name: "POD_NAMESPACE", ValueFrom: wasmv1alpha1.EnvHost},
			}
		})
		eventually(ctx, env, says(`"MODE":"second"`))
		Expect(told(ctx, env)).To(Equal(fields{"MODE": "second", "POD_NAMESPACE": s.namespace}))
		Expect(told(ctx, d.get("", "/probe/plugin"))["plugin_vm_id"]).NotTo(Equal(vm))
	})

	It("has the configuration that envoy.vmConfiguration gives it", func(ctx SpecContext) {
		d := gateway.door()
		plugin := d.probe(fields{})
		plugin.Envoy.VMConfiguration = `mode=a "b" {"ü": 1}`
		s.create(ctx, "configuration", plugin)
		vm := d.get("", "/probe/vm")
		eventually(ctx, vm, says(plugin.Envoy.VMConfiguration))
		s.edit(ctx, "configuration", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Envoy.VMConfiguration = "mode=b" })
		eventually(ctx, vm, says("mode=b"))
	})

	It("is denied what envoy.capabilityRestriction doesn't allow, also while it runs", func(ctx SpecContext) {
		const done, denied = "done", "error status returned by host: internal failure"
		d := gateway.door()
		s.create(ctx, "restricted", d.probe(fields{"name": "restricted"}))
		calls := d.get("", "/probe/calls")
		eventually(ctx, calls, says(`"proxy_set_shared_data":"done"`))
		Expect(told(ctx, calls)).To(HaveKeyWithValue("proxy_http_call", Not(Equal(denied))))

		By("allowing less")
		s.edit(ctx, "restricted", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Envoy.CapabilityRestriction.AllowedCapabilities = append([]string{"proxy_get_shared_data", "proxy_http_call"}, goPlugin...)
		})
		eventually(ctx, calls, says(`"proxy_set_shared_data":"`+denied))
		Expect(told(ctx, calls)).To(HaveKeyWithValue("proxy_http_call", Not(Equal(denied))))

		By("allowing still less")
		s.edit(ctx, "restricted", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Envoy.CapabilityRestriction.AllowedCapabilities = append([]string{"proxy_set_shared_data"}, goPlugin...)
		})
		eventually(ctx, calls, says(`"proxy_http_call":"`+denied))
		Expect(told(ctx, calls)).To(Equal(fields{
			"proxy_http_call": denied, "proxy_get_shared_data": denied, "proxy_set_shared_data": done,
		}))
		now(ctx, d.get("", "/"), and(served, named("restricted")))
	})

	It("knows the name that pluginName gives it", func(ctx SpecContext) {
		d := gateway.door()
		plugin := d.probe(fields{})
		plugin.PluginName = "my_root"
		s.create(ctx, "named", plugin)
		names := d.get("", "/probe/plugin")
		eventually(ctx, names, says(`"plugin_root_id":"my_root"`))
		Expect(told(ctx, names)).To(HaveKeyWithValue("plugin_name", s.filterName("named")))
	})

	It("sees a body behind stopped headers with envoy.allowOnHeadersStopIteration only", func(ctx SpecContext) {
		d := gateway.door()
		s.create(ctx, "pausing", d.probe(fields{"pauseMilliseconds": 100}))
		pause := d.get("", "/probe/pause")
		pause.Method, pause.Body = http.MethodPost, "a body"
		eventually(ctx, pause, says("no body came while the headers were stopped"))
		s.edit(ctx, "pausing", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Envoy.AllowOnHeadersStopIteration = wasmv1alpha1.SwitchEnabled
		})
		eventually(ctx, pause, says("this body came: a body"))
	})

	It("is shared with no other plugin, also of the same module", func(ctx SpecContext) {
		d := gateway.door()
		trapped, healthy := d.probe(fields{"name": "trapped"}), d.probe(fields{"name": "healthy"})
		trapped.Priority = new(int32(1))
		trapped.FailStrategy = wasmv1alpha1.FailOpen
		s.create(ctx, "trapped", trapped)
		s.create(ctx, "healthy", healthy)
		eventually(ctx, d.get("", "/"), and(served, named("healthy", "trapped")))
		_, err := d.get("", "/probe/trap?trapped").Do(ctx)
		Expect(err).NotTo(HaveOccurred())
		for range 20 {
			now(ctx, d.get("", "/"), and(served, named("healthy")))
		}
	})
})
