// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Role is what a proxy is in the mesh.
type Role string

// The roles of a proxy.
const (
	// Gateway is a proxy that a Gateway selects by its labels.
	Gateway Role = "router"
	// Sidecar is a proxy beside a workload. Nothing is redirected to it: a Sidecar object with captureMode NONE says
	// which ports it listens on, and a WorkloadEntry stands for its Pod.
	Sidecar Role = "sidecar"
)

// ProxyOptions say what a proxy is like.
type ProxyOptions struct {
	// Dir is the state folder. It is made if it is not there.
	Dir string
	// Name is the name of the proxy's Pod, Namespace that of the Pod; istio-system if empty.
	Name, Namespace string
	// Role is Gateway if empty.
	Role Role
	// Labels are those of the proxy's Pod. Give each proxy its own: two proxies of one Gateway share its port.
	Labels map[string]string
	// IP is the address of the proxy's Pod; 127.0.0.1 if empty.
	IP string
	// LogLevel is Envoy's, such as "warning" (if empty) or "warning,wasm:debug".
	LogLevel string
	// Drain is how long a proxy that is stopped lets open requests finish; not at all if zero.
	Drain time.Duration
	// Env and ProxyConfig replace or add variables of the agent and fields of its proxy config.
	Env         []string
	ProxyConfig map[string]any
}

// Proxy is Istio's agent with Envoy. Its log holds both, and Envoy's access log.
type Proxy struct {
	*Process
	// ID is how istiod names the proxy, for example in /debug/syncz.
	ID string
	// AdminURL is Envoy's admin interface, AgentURL the agent's, with the merged metrics under /stats/prometheus.
	// ReadyURL answers 200 when the proxy is ready.
	AdminURL, AgentURL, ReadyURL string
	// ModuleCache is the folder where the agent keeps the modules it has fetched. It is the proxy's own where mount
	// namespaces can be had, otherwise /var/lib/istio/data for all proxies.
	ModuleCache string
}

// proxyPorts are the ports that a proxy listens on whatever its configuration.
type proxyPorts struct{ ready, prometheus, agent, admin int }

// StartProxy starts a proxy of an istiod and waits until it is ready.
func StartProxy(ctx context.Context, bin *Binaries, istiod *Istiod, options ProxyOptions) (*Proxy, error) {
	if options.Name == "" {
		return nil, errors.New("a proxy needs a name: set Name")
	}
	options.Namespace = cmp.Or(options.Namespace, IstioNamespace)
	options.Role = cmp.Or(options.Role, Gateway)
	options.IP = cmp.Or(options.IP, "127.0.0.1")
	options.LogLevel = cmp.Or(options.LogLevel, "warning")
	dir, err := stateFolder(options.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, configPath), 0o755); err != nil {
		return nil, err
	}
	reserved, err := reservePorts(4)
	if err != nil {
		return nil, err
	}
	defer reserved.release()
	ports := proxyPorts{reserved.ports[0], reserved.ports[1], reserved.ports[2], reserved.ports[3]}
	env, err := options.env(bin, istiod, ports)
	if err != nil {
		return nil, err
	}
	proxy := &Proxy{
		ID:       options.Name + "." + options.Namespace,
		AdminURL: "http://" + local(ports.admin),
		AgentURL: "http://" + local(ports.agent),
		ReadyURL: "http://" + local(ports.ready) + "/healthz/ready",
	}
	command := Command{
		Name: "proxy " + proxy.ID,
		Path: bin.PilotAgent,
		Args: []string{
			"proxy", string(options.Role),
			"--domain=" + options.Namespace + ".svc.cluster.local",
			"--proxyLogLevel=" + options.LogLevel,
		},
		Env:         env,
		LogFile:     filepath.Join(dir, "proxy.log"),
		Ready:       func(ctx context.Context) error { return httpOK(ctx, proxy.ReadyURL) },
		StopTimeout: stopTimeout + options.Drain,
		reserved:    reserved,
	}
	if proxy.ModuleCache, err = isolateModuleCache(dir, &command); err != nil {
		return nil, err
	}
	if proxy.Process, err = Start(ctx, command); err != nil {
		return nil, err
	}
	return proxy, nil
}

func (o ProxyOptions) env(bin *Binaries, istiod *Istiod, ports proxyPorts) ([]string, error) {
	labels, err := json.Marshal(o.Labels)
	if err != nil {
		return nil, fmt.Errorf("the field Labels: %w", err)
	}
	config, err := o.proxyConfig(bin, istiod.DiscoveryAddress, ports)
	if err != nil {
		return nil, fmt.Errorf("the field ProxyConfig: %w", err)
	}
	return append([]string{
		"POD_NAME=" + o.Name,
		"POD_NAMESPACE=" + o.Namespace,
		"INSTANCE_IP=" + o.IP,
		"SERVICE_ACCOUNT=" + o.Name,
		"ISTIO_META_CLUSTER_ID=Kubernetes",
		"ISTIO_META_INTERCEPTION_MODE=NONE",
		"ISTIO_META_ISTIO_VERSION=" + istiod.release,
		"ISTIO_METAJSON_LABELS=" + string(labels),
		"ISTIO_BOOTSTRAP=" + bin.BootstrapTemplate,
		"PILOT_CERT_PROVIDER=none",
		"ENABLE_CA_SERVER=false",
		"FILE_MOUNTED_CERTS=true",
		"ENVOY_STATUS_PORT=" + strconv.Itoa(ports.ready),
		"ENVOY_PROMETHEUS_PORT=" + strconv.Itoa(ports.prometheus),
		"PROXY_CONFIG=" + config,
	}, o.Env...), nil
}

// configPath is relative to the state folder: the agent makes a socket in it, and the path of a socket is limited to
// about 100 characters.
const configPath = "etc/istio/proxy"

func (o ProxyOptions) proxyConfig(bin *Binaries, discovery string, ports proxyPorts) (string, error) {
	config := map[string]any{
		"discoveryAddress":         discovery,
		"controlPlaneAuthPolicy":   "NONE",
		"binaryPath":               bin.Envoy,
		"configPath":               configPath,
		"concurrency":              1,
		"statusPort":               ports.agent,
		"proxyAdminPort":           ports.admin,
		"terminationDrainDuration": fmt.Sprintf("%gs", o.Drain.Seconds()),
		// The plain Envoy has no istio.stats, which counts in Istio's own build.
		"proxyStatsMatcher": map[string]any{"inclusionRegexps": []string{`http\.(in|out)bound.*downstream_rq_.*`}},
	}
	maps.Copy(config, o.ProxyConfig)
	content, err := json.Marshal(config)
	return string(content), err
}
