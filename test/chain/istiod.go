// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
)

// IstioNamespace is where istiod lives; it is also the mesh's root namespace.
const IstioNamespace = "istio-system"

// IstiodOptions say what an istiod is like.
type IstiodOptions struct {
	// Dir is the state folder. It is made if it is not there.
	Dir string
	// Name is the name of istiod's Pod; istiod-0 if empty. Several istiods can share a cluster.
	Name string
	// Env and Args are added to those of pilot-discovery; the later one of a name counts.
	Env  []string
	Args []string
	// MeshConfig replaces or adds fields of the mesh config, such as {"rootNamespace": "mesh"}.
	MeshConfig map[string]any
	// IstioFilters leaves the filters on that only Istio's own build of Envoy has. It is istiod's default; here the
	// proxies run a stock Envoy, which refuses them.
	IstioFilters bool
	// GatewayAPI installs the CRDs of the Gateway API, without which istiod looks for no Gateways of that kind.
	GatewayAPI bool
	// CA turns istiod's CA on, and with it the port that speaks TLS. The proxies here ask for no certificates all the same.
	CA bool
}

// Istiod is Istio's control plane without injection and validation, and without a CA unless it is asked for.
type Istiod struct {
	*Process
	// DiscoveryAddress is where proxies connect (plain text gRPC).
	DiscoveryAddress string
	// SecureAddress speaks the same over TLS, with a certificate for IstiodServerName; empty without a CA.
	SecureAddress string
	// URL has the debug endpoints, such as URL + "/debug/syncz", open to this machine; MetricsURL is for Prometheus.
	URL, MetricsURL string

	release string
}

// MeshObjects is as much of an Istio as the operator needs to find, where no istiod runs.
const MeshObjects = `
apiVersion: v1
kind: Namespace
metadata: {name: ` + IstioNamespace + `}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: ` + IstioNamespace + `}
data: {mesh: "rootNamespace: ` + IstioNamespace + `"}
`

// istiodObjects is what istiod expects in the cluster. Without the PeerAuthentication a sidecar waits for certificates.
const istiodObjects = `
apiVersion: v1
kind: Namespace
metadata:
  name: ` + IstioNamespace + `
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: istio
  namespace: ` + IstioNamespace + `
data:
  mesh: %q
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: ` + IstioNamespace + `
spec:
  mtls:
    mode: DISABLE
`

var istiodEnv = []string{
	"POD_NAMESPACE=" + IstioNamespace,
	"CLUSTER_ID=Kubernetes",
	"INJECTION_WEBHOOK_CONFIG_NAME=",
	"VALIDATION_WEBHOOK_CONFIG_NAME=",
	"INJECT_ENABLED=false",
}

var withoutCA = []string{
	"ENABLE_CA_SERVER=false",
	"PILOT_CERT_PROVIDER=none",
}

// stockEnvoy turns off the filters that are only in Istio's own build of Envoy.
var stockEnvoy = []string{
	"PILOT_ENABLE_METADATA_EXCHANGE=false",
	"PILOT_ENABLE_ALPN_FILTER=false",
}

// StartIstiod installs Istio's CRDs, the namespace istio-system and the mesh config, starts istiod, and waits until it
// serves proxies.
func StartIstiod(ctx context.Context, bin *Binaries, cluster *Cluster, options IstiodOptions) (*Istiod, error) {
	dir, err := stateFolder(options.Dir)
	if err != nil {
		return nil, err
	}
	reserved, err := reservePorts(5)
	if err != nil {
		return nil, err
	}
	defer reserved.release()
	options.Name = cmp.Or(options.Name, "istiod-0")
	ports := istiodPorts(reserved.ports)
	if err := prepareMesh(ctx, cluster, ports.grpc(), options); err != nil {
		return nil, fmt.Errorf("cannot prepare the cluster for istiod: %w", err)
	}
	istiod := &Istiod{
		DiscoveryAddress: ports.grpc(),
		URL:              "http://" + ports.http(),
		MetricsURL:       "http://" + ports.monitoring() + "/metrics",
		release:          bin.IstioRelease,
	}
	if options.CA {
		istiod.SecureAddress = ports.secure()
	}
	istiod.Process, err = Start(ctx, Command{
		Name:    options.Name,
		Path:    bin.PilotDiscovery,
		Args:    options.args(cluster.Kubeconfig, ports),
		Env:     options.env(),
		LogFile: filepath.Join(dir, "istiod.log"),
		Ready: func(ctx context.Context) error {
			if err := httpOK(ctx, istiod.URL+"/ready"); err != nil || !options.CA {
				return err
			}
			return istiod.speaksTLS(ctx, cluster)
		},
		reserved: reserved,
	})
	if err != nil {
		return nil, err
	}
	return istiod, nil
}

// istiodPorts are the free ports that an istiod is given.
type istiodPorts []int

func (p istiodPorts) http() string       { return local(p[0]) }
func (p istiodPorts) grpc() string       { return local(p[1]) }
func (p istiodPorts) monitoring() string { return local(p[2]) }
func (p istiodPorts) ctrlz() string      { return strconv.Itoa(p[3]) }
func (p istiodPorts) secure() string     { return local(p[4]) }

func (o IstiodOptions) args(kubeconfig string, ports istiodPorts) []string {
	secure := ""
	if o.CA {
		secure = ports.secure()
	}
	return append([]string{
		"discovery",
		"--kubeconfig=" + kubeconfig,
		"--httpAddr=" + ports.http(),
		"--grpcAddr=" + ports.grpc(),
		"--httpsAddr=",
		"--secureGRPCAddr=" + secure,
		"--monitoringAddr=" + ports.monitoring(),
		"--ctrlz_port=" + ports.ctrlz(),
	}, o.Args...)
}

func (o IstiodOptions) env() []string {
	env := append([]string{"POD_NAME=" + o.Name}, istiodEnv...)
	if !o.CA {
		env = append(env, withoutCA...)
	}
	if !o.IstioFilters {
		env = append(env, stockEnvoy...)
	}
	return append(env, o.Env...)
}

func prepareMesh(ctx context.Context, cluster *Cluster, discovery string, options IstiodOptions) error {
	mesh := map[string]any{
		"accessLogFile":  "/dev/stdout",
		"enableAutoMtls": false,
		"defaultConfig":  map[string]any{"discoveryAddress": discovery},
	}
	maps.Copy(mesh, options.MeshConfig)
	content, err := json.Marshal(mesh)
	if err != nil {
		return fmt.Errorf("the field MeshConfig: %w", err)
	}
	if err := cluster.ApplyIstioCRDs(ctx); err != nil {
		return err
	}
	if options.GatewayAPI {
		if err := ApplyFile(ctx, cluster.Config, cluster.bin.GatewayAPICRDs); err != nil {
			return err
		}
	}
	return Apply(ctx, cluster.Config, fmt.Sprintf(istiodObjects, content))
}
