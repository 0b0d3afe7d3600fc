// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	transport "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const askers = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: asker, namespace: istio-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: asker, namespace: default}
`

// TestIstiodWithCA asks istiod over TLS what its proxies do, as its own namespace and as others, before and after a restart.
func TestIstiodWithCA(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	bin, err := Install(ctx, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var cluster *Cluster
	timed(t, "cluster", func() error {
		cluster, err = StartCluster(ctx, bin, ClusterOptions{Dir: filepath.Join(dir, "cluster")})
		return err
	})
	t.Cleanup(func() { stop(t, cluster.Stop) })
	var istiod *Istiod
	timed(t, "istiod", func() error {
		istiod, err = StartIstiod(ctx, bin, cluster, IstiodOptions{Dir: filepath.Join(dir, "istiod"), CA: true})
		return err
	})
	t.Cleanup(func() { stop(t, istiod.Stop) })
	if err := Apply(ctx, cluster.Config, askers); err != nil {
		t.Fatal(err)
	}
	proxy := startProxy(ctx, t, bin, istiod, ProxyOptions{Name: "gateway", Labels: map[string]string{"istio": "gateway"}})

	knowsProxy := func(ctx context.Context) error {
		proxies, err := syncz(ctx, cluster, istiod, IstioNamespace, IstioAudience)
		for _, one := range proxies {
			if one.ID == proxy.ID {
				return err
			}
		}
		return errors.Join(err, fmt.Errorf("istiod knows %v, not %s", proxies, proxy.ID))
	}
	if err := Until(ctx, knowsProxy); err != nil {
		t.Error(err)
	}
	if _, err := syncz(ctx, cluster, istiod, "default", IstioAudience); status.Code(err) != codes.PermissionDenied {
		t.Errorf("asked by another namespace: %v, want PermissionDenied", err)
	}
	if _, err := syncz(ctx, cluster, istiod, IstioNamespace, "another"); status.Code(err) != codes.Unauthenticated {
		t.Errorf("asked with a token for another audience: %v, want Unauthenticated", err)
	}
	timed(t, "istiod killed and started", func() error { return errors.Join(istiod.Kill(), istiod.Start(ctx)) })
	timed(t, "proxy connected again", func() error { return Until(ctx, knowsProxy) })
}

func stop(t *testing.T, stop func() error) {
	t.Helper()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// syncStatus is as much as the test reads of what istiod tells of a proxy.
type syncStatus struct {
	ID string `json:"proxy"`
}

// syncz asks istiod for it, as a ServiceAccount called asker.
func syncz(ctx context.Context, cluster *Cluster, istiod *Istiod, namespace, audience string) ([]syncStatus, error) {
	authority, err := cluster.IstioAuthority(ctx)
	if err != nil {
		return nil, err
	}
	token, err := cluster.ServiceAccountToken(ctx, namespace, "asker", audience)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	connection, err := grpc.NewClient(istiod.SecureAddress,
		grpc.WithTransportCredentials(transport.NewTLS(&tls.Config{RootCAs: roots, ServerName: IstiodServerName})))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token, "ClusterID", "Kubernetes")
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&discoveryv3.DiscoveryRequest{
		Node:          &corev3.Node{Id: "sidecar~0.0.0.0~asker." + namespace + "~" + namespace + ".svc.cluster.local"},
		TypeUrl:       "istio.io/debug",
		ResourceNames: []string{"syncz"},
	})
	if err != nil {
		return nil, err
	}
	answer, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	var proxies []syncStatus
	for _, resource := range answer.GetResources() {
		if err := json.Unmarshal(resource.GetValue(), &proxies); err != nil {
			return nil, err
		}
	}
	return proxies, nil
}
