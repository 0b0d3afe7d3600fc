// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRightsToFindIstiod: only who looks for istiod may list EndpointSlices, and only where he looks.
func TestRightsToFindIstiod(t *testing.T) {
	for values, where := range map[string]string{
		"{}":                                      "istio-system",
		"proxies: {istiodNamespace: mesh}":        "mesh",
		"meshConfig: {namespace: mesh}":           "mesh",
		"proxies: {observe: false}":               "",
		`proxies: {istiodAddresses: ["a:15012"]}`: "",
	} {
		var want []string
		if where != "" {
			want = append(want, right(where, "discovery.k8s.io", "endpointslices", "*", "list"))
		}
		got := slices.DeleteFunc(granted(t, render(t, valuesFile(t, values)), release), func(right string) bool {
			return !strings.Contains(right, " discovery.k8s.io ")
		})
		if diff := cmp.Diff(want, got); len(want)+len(got) > 0 && diff != "" {
			t.Errorf("%s: other rights than wanted (-want +got):\n%s", values, diff)
		}
	}
}

// TestIstiodFlags: each value becomes a flag, and nothing of istiod is there where nobody asks it.
func TestIstiodFlags(t *testing.T) {
	files := []string{"--istiod-ca-file=/var/run/secrets/istio/root-cert.pem", "--istiod-token-file=/var/run/secrets/istiod/token"}
	for values, want := range map[string][]string{
		"{}":                               append([]string{"--observe-proxies=true"}, files...),
		"proxies: {istiodNamespace: mesh}": append([]string{"--observe-proxies=true", "--istiod-namespace=mesh"}, files...),
		`proxies: {istiodAddresses: ["a:15012", "b:15012"], istiodServerName: istiod.mesh.svc}`: append([]string{
			"--observe-proxies=true", "--istiod-addresses=a:15012,b:15012", "--istiod-server-name=istiod.mesh.svc",
		}, files...),
		"proxies: {observe: false}": {"--observe-proxies=false"},
	} {
		pod := podOf(t, release, values)
		var got []string
		for _, arg := range pod.Containers[0].Args {
			if strings.HasPrefix(arg, "--observe-") || strings.HasPrefix(arg, "--istiod-") {
				got = append(got, arg)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: other flags than wanted (-want +got):\n%s", values, diff)
		}
		for _, volume := range pod.Volumes {
			if strings.HasPrefix(volume.Name, "istiod-") && len(want) == 1 {
				t.Errorf("%s: there is a volume %s", values, volume.Name)
			}
			if source := volume.ConfigMap; volume.Name == "istiod-ca" && (source == nil || source.Optional == nil || !*source.Optional) {
				t.Errorf("%s: the pod waits for istiod's authority", values)
			}
		}
	}
}

// istiodSlice is what Kubernetes makes of istiod's Service. Nobody has such an address.
const istiodSlice = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: istiod-abcde
  namespace: istio-system
  labels: {app: istiod, kubernetes.io/service-name: istiod}
addressType: IPv4
endpoints:
- addresses: [192.0.2.1]
ports:
- {name: https-dns, port: 15012, protocol: TCP}
`

// TestOperatorFindsIstiod runs the operator with the arguments and the rights that the chart gives it.
func TestOperatorFindsIstiod(t *testing.T) {
	c := startCluster(t)
	c.install("--values", valuesFile(t, direct))
	c.apply(istiodSlice)
	c.apply(prometheus)
	operator := c.startOperator(buildOperator(t))
	token, err := c.ServiceAccountToken(t.Context(), namespace, "prometheus")
	c.must(err)
	c.eventually(func(ctx context.Context) error {
		status, body, err := get(ctx, operator.metrics, token)
		if err == nil && (status != http.StatusOK || !strings.Contains(body, "\nwasmplugin_operator_istiods 1\n")) {
			err = fmt.Errorf("the operator has not found istiod; status %d", status)
		}
		return err
	})
	c.must(operator.process.Stop())
	operator.wasRefusedNothing(t)
}

// TestNotesAboutIstiod: who installs where istiod doesn't answer is told so.
func TestNotesAboutIstiod(t *testing.T) {
	const told = "will come into force without a trial"
	for _, test := range []struct {
		namespace, values string
		want              bool
	}{
		{namespace, "{}", true},
		{"istio-system", "{}", false},
		{namespace, "proxies: {observe: false}", false},
		{"istio-system", "proxies: {istiodNamespace: mesh}", true},
		{"mesh", "proxies: {istiodNamespace: mesh}", false},
	} {
		out, err := helm(t, "install", release, chartFolder, "--dry-run=client", "--namespace", test.namespace,
			"--values", valuesFile(t, test.values))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out, told); got != test.want {
			t.Errorf("in %s with %s: told %t, want %t", test.namespace, test.values, got, test.want)
		}
	}
}
