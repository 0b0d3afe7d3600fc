// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestStoreCertificate: the certificate holds for the names that the operator and the replicas use, for years, and an
// upgrade keeps it until the names change.
func TestStoreCertificate(t *testing.T) {
	c := startCluster(t)
	c.install()
	first := c.certificate()
	checkCertificate(t, first, "cluster.local")

	c.must(c.helm("upgrade", release, chartFolder, "--set", "store.replicas=3"))
	if diff := cmp.Diff(first, c.certificate()); diff != "" {
		t.Error("an upgrade made another certificate, which some replicas would not know for a while")
	}
	c.must(c.helm("upgrade", release, chartFolder, "--set", "clusterDomain=example.org"))
	checkCertificate(t, c.certificate(), "example.org")

	c.must(c.helm("upgrade", release, chartFolder, "--set", "store.tls.secretName=mine"))
	list, err := c.client.Resource(secrets).Namespace(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + storeAccount + "-tls"})
	c.must(err)
	if len(list.Items) > 0 {
		t.Error("the chart makes a certificate beside the one that it was given")
	}
}

// certificate is what the Secret for the upload port holds.
func (c cluster) certificate() map[string][]byte {
	c.Helper()
	object, err := c.client.Resource(secrets).Namespace(namespace).Get(c.Context(), storeAccount+"-tls", metav1.GetOptions{})
	c.must(err)
	secret := typed[corev1.Secret](c.T, object)
	if secret.Type != corev1.SecretTypeTLS {
		c.Errorf("the Secret's type is %s, want %s", secret.Type, corev1.SecretTypeTLS)
	}
	return secret.Data
}

func checkCertificate(t *testing.T, files map[string][]byte, domain string) {
	t.Helper()
	pair, err := tls.X509KeyPair(files["tls.crt"], files["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(files["ca.crt"]) {
		t.Fatal("ca.crt holds no certificate")
	}
	for _, service := range []string{storeAccount + "-upload", storeAccount + "-peers"} {
		inNamespace := service + "." + namespace
		for _, name := range []string{service, inNamespace, inNamespace + ".svc", inNamespace + ".svc." + domain} {
			_, err := pair.Leaf.Verify(x509.VerifyOptions{
				DNSName: name, Roots: roots, CurrentTime: time.Now().AddDate(9, 11, 0),
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			if err != nil {
				t.Errorf("the certificate doesn't hold for %s: %v", name, err)
			}
		}
	}
	for _, name := range []string{storeAccount + "." + namespace, "localhost", "kubernetes.default.svc"} {
		if err := pair.Leaf.VerifyHostname(name); err == nil {
			t.Errorf("the certificate holds for %s too", name)
		}
	}
}

// TestSelectors: everything that selects pods selects those of one Deployment, and finds its ports there. The operator's
// Services and policies must not catch the store's pods.
func TestSelectors(t *testing.T) {
	for source, objects := range sources(t) {
		deployments := allOf[appsv1.Deployment](t, objects, "Deployment")
		for _, object := range objects {
			selector := selectorOf(t, object)
			if selector == nil {
				continue
			}
			var selected []string
			for _, deployment := range deployments {
				labels := deployment.Spec.Template.Labels
				if !containsAll(labels, selector) {
					continue
				}
				selected = append(selected, deployment.Name)
				checkPorts(t, source, object, deployment.Spec.Template.Spec)
			}
			if len(selected) != 1 {
				t.Errorf("%s: %s selects the pods of %v, want those of one", source, key(object), selected)
			}
		}
	}
}

func selectorOf(t *testing.T, object *unstructured.Unstructured) map[string]string {
	t.Helper()
	fields := map[string][]string{
		"Service":             {"spec", "selector"},
		"Deployment":          {"spec", "selector", "matchLabels"},
		"PodDisruptionBudget": {"spec", "selector", "matchLabels"},
		"NetworkPolicy":       {"spec", "podSelector", "matchLabels"},
	}[object.GetKind()]
	if fields == nil {
		return nil
	}
	selector, found, err := unstructured.NestedStringMap(object.Object, fields...)
	if err != nil || !found || len(selector) == 0 {
		t.Errorf("%s selects everything: %v, %v", key(object), selector, err)
	}
	return selector
}

func containsAll(labels, selector map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// checkPorts: a Service's ports are by name, and a container has each.
func checkPorts(t *testing.T, source string, object *unstructured.Unstructured, pod corev1.PodSpec) {
	t.Helper()
	if object.GetKind() != "Service" {
		return
	}
	for _, port := range typed[corev1.Service](t, object).Spec.Ports {
		if !hasPort(pod, port.TargetPort.String()) {
			t.Errorf("%s: %s leads to port %s, which no container has", source, key(object), port.TargetPort.String())
		}
	}
}

func hasPort(pod corev1.PodSpec, name string) bool {
	return slices.ContainsFunc(pod.Containers, func(container corev1.Container) bool {
		return slices.ContainsFunc(container.Ports, func(port corev1.ContainerPort) bool { return port.Name == name })
	})
}

// TestStoreServices: proxies get to replicas that have all modules; the operator and the replicas to those that lack some
// too, since that is how they get them.
func TestStoreServices(t *testing.T) {
	objects := render(t, "")
	for name, want := range map[string]struct {
		unready  bool
		headless bool
		port     int32
	}{
		storeAccount:             {port: 80},
		storeAccount + "-upload": {unready: true, port: 443},
		storeAccount + "-peers":  {unready: true, headless: true, port: 8443},
	} {
		spec := typed[corev1.Service](t, named(t, objects, "Service", name)).Spec
		if spec.PublishNotReadyAddresses != want.unready {
			t.Errorf("%s: publishNotReadyAddresses is %t, want %t", name, spec.PublishNotReadyAddresses, want.unready)
		}
		if headless := spec.ClusterIP == corev1.ClusterIPNone; headless != want.headless {
			t.Errorf("%s: headless is %t, want %t", name, headless, want.headless)
		}
		if len(spec.Ports) != 1 || spec.Ports[0].Port != want.port {
			t.Errorf("%s: ports %v, want %d", name, spec.Ports, want.port)
		}
	}
}

// TestStoreStorage: where modules stand decides how replicas are replaced and whether they ask each other.
func TestStoreStorage(t *testing.T) {
	for name, test := range map[string]struct {
		store, bucket string
		peers         bool
		strategy      appsv1.DeploymentStrategyType
		claim         string
	}{
		"a folder each":      {"{}", "file:///var/lib/wasmplugin-store", true, appsv1.RollingUpdateDeploymentStrategyType, ""},
		"a bucket":           {"{bucket: 's3://modules?region=eu-west-1'}", "s3://modules?region=eu-west-1", false, appsv1.RollingUpdateDeploymentStrategyType, ""},
		"a volume":           {"{persistence: {enabled: true}}", "file:///var/lib/wasmplugin-store", false, appsv1.RollingUpdateDeploymentStrategyType, storeAccount},
		"a volume of theirs": {"{persistence: {enabled: true, existingClaim: disk}}", "file:///var/lib/wasmplugin-store", false, appsv1.RollingUpdateDeploymentStrategyType, "disk"},
		"one replica's":      {"{replicas: 1, persistence: {enabled: true, accessMode: ReadWriteOnce}}", "file:///var/lib/wasmplugin-store", false, appsv1.RecreateDeploymentStrategyType, storeAccount},
	} {
		t.Run(name, func(t *testing.T) {
			objects := render(t, valuesFile(t, "store: "+test.store))
			spec := typed[appsv1.Deployment](t, named(t, objects, "Deployment", storeAccount)).Spec
			if spec.Strategy.Type != test.strategy {
				t.Errorf("strategy %s, want %s", spec.Strategy.Type, test.strategy)
			}
			pod := spec.Template.Spec
			if args := pod.Containers[0].Args; !slices.Contains(args, "--bucket="+test.bucket) {
				t.Errorf("arguments %v, want --bucket=%s", args, test.bucket)
			}
			peers := slices.Contains(pod.Containers[0].Args, "--peers="+storeAccount+"-peers."+namespace+".svc.cluster.local:8443")
			headless := len(slices.DeleteFunc(allOf[corev1.Service](t, objects, "Service"), func(service corev1.Service) bool { return service.Spec.ClusterIP != corev1.ClusterIPNone })) > 0
			if peers != test.peers || headless != test.peers {
				t.Errorf("replicas ask each other: %t, have a Service for it: %t; want %t", peers, headless, test.peers)
			}
			claim := ""
			for _, volume := range pod.Volumes {
				if volume.PersistentVolumeClaim != nil {
					claim = volume.PersistentVolumeClaim.ClaimName
				}
			}
			if claim != test.claim {
				t.Errorf("the pod's volume is claim %q, want %q", claim, test.claim)
			}
			made := allOf[corev1.PersistentVolumeClaim](t, objects, "PersistentVolumeClaim")
			if wanted := test.claim == storeAccount; (len(made) == 1) != wanted {
				t.Errorf("%d claims are made, wanted one: %t", len(made), wanted)
			}
			if hasGroup := pod.SecurityContext.FSGroup != nil; hasGroup != (claim != "") {
				t.Errorf("fsGroup is set: %t", hasGroup)
			}
		})
	}
}

// TestStoreImage: what the store has of its own goes over the operator's image.
func TestStoreImage(t *testing.T) {
	const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	image := "image: {repository: example.com/operator, tag: v2, digest: '" + digest + "'}"
	for own, want := range map[string]string{
		"{}":                         "example.com/operator:v2@" + digest,
		"{tag: v2-cloud}":            "example.com/operator:v2-cloud",
		"{repository: example/else}": "example/else:v2",
		"{digest: '" + digest + "'}": "example.com/operator:v2@" + digest,
	} {
		values := "{" + image + ", store: {image: " + own + "}}"
		if got := podOf(t, storeAccount, values).Containers[0].Image; got != want {
			t.Errorf("store.image %s: %s, want %s", own, got, want)
		}
	}
}

// TestStoreURLs: proxies get the value of theirs, the operator uploads inside the cluster.
func TestStoreURLs(t *testing.T) {
	for values, want := range map[string][]string{
		"{}": {
			"--store-url=http://wasmplugin-operator-store.wasmplugin-system.svc.cluster.local",
			"--store-upload-url=https://wasmplugin-operator-store-upload.wasmplugin-system.svc.cluster.local",
		},
		"{clusterDomain: example.org, store: {url: 'http://modules.example.com/store'}}": {
			"--store-url=http://modules.example.com/store",
			"--store-upload-url=https://wasmplugin-operator-store-upload.wasmplugin-system.svc.example.org",
		},
	} {
		args := podOf(t, release, values).Containers[0].Args
		for _, arg := range want {
			if !slices.Contains(args, arg) {
				t.Errorf("%s: arguments %v, want %s", values, args, arg)
			}
		}
	}
}

// TestLongNames: names of Services have 63 characters at most, whatever the release's.
func TestLongNames(t *testing.T) {
	longest := strings.Repeat("a", 53)
	for _, values := range []string{"{}", "nameOverride: " + longest[:49], "fullnameOverride: " + longest[:49]} {
		names := map[string]bool{}
		for _, object := range renderAs(t, longest, valuesFile(t, values)) {
			if name := object.GetName(); len(name) > 63 && object.GetKind() == "Service" {
				t.Errorf("%s: %s has %d characters", values, key(object), len(name))
			}
			for label, value := range object.GetLabels() {
				if len(value) > 63 {
					t.Errorf("%s: %s, label %s has %d characters", values, key(object), label, len(value))
				}
			}
			if names[key(object)] {
				t.Errorf("%s: two objects are %s", values, key(object))
			}
			names[key(object)] = true
		}
	}
}
