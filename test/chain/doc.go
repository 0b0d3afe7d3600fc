// SPDX-License-Identifier: Apache-2.0

// Package chain runs any part of the real chain on this machine: etcd, kube-apiserver, kube-controller-manager, istiod,
// and proxies (Istio's agent with Envoy). Each part is an ordinary process on free ports with a state folder of its
// own; its log is in that folder. No container engine is needed.
//
// Nothing is left behind: Stop ends a part with everything it started, and a part does not outlive the process that
// started it, even if that one is killed (see guard.go).
//
// The context of a Start function bounds the wait until the part is ready, not the part's life. A part that ends
// early, or does not become ready, gives an error with the last lines of its log.
//
//	bin, err := chain.Install(ctx, os.Stderr) // builds or downloads what the cache lacks; minutes the first time
//	cluster, err := chain.StartCluster(ctx, bin, chain.ClusterOptions{Dir: filepath.Join(dir, "cluster")})
//	defer cluster.Stop()
//	istiod, err := chain.StartIstiod(ctx, bin, cluster, chain.IstiodOptions{Dir: filepath.Join(dir, "istiod")})
//	defer istiod.Stop()
//	gateway, err := chain.StartProxy(ctx, bin, istiod, chain.ProxyOptions{
//		Dir:    filepath.Join(dir, "gateway"),
//		Name:   "gateway",
//		Labels: map[string]string{"istio": "ingressgateway"},
//	})
//	defer gateway.Stop()
//
//	ports, err := chain.FreePorts(1)
//	err = chain.Apply(ctx, cluster.Config, gatewayAndVirtualService(ports[0]))
//	probe := chain.Probe{URL: fmt.Sprintf("http://127.0.0.1:%d/", ports[0])}
//	answer, err := probe.Until(ctx, chain.Status(200), chain.Body("hello"))
//
// Every part is a Process, so faults are made with the same few calls: gateway.Kill, istiod.Stop, then Start(ctx)
// again on the same ports and the same state.
//
// Owner references are collected only while kube-controller-manager runs. Start it with
// Cluster.StartControllerManager after the CRDs are installed: it looks for new kinds every 30 seconds only.
//
// The proxies ask for no certificates, so plain text is used throughout: auto mTLS is off and StartIstiod applies a
// mesh-wide PeerAuthentication that disables mTLS. Otherwise a proxy would wait for certificates before it asks for
// listeners. With IstiodOptions.CA istiod has a CA and a port that speaks TLS, for whoever asks what its proxies do.
package chain
