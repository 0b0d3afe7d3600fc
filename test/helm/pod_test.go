// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"path"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// sources are the objects of every way to install.
func sources(t *testing.T) map[string][]*unstructured.Unstructured {
	t.Helper()
	all := map[string][]*unstructured.Unstructured{
		"config/default": kustomize(t, "default"), "config/with-store": kustomize(t, "with-store"),
	}
	for _, in := range cases(t) {
		all[in] = render(t, in)
	}
	return all
}

// pods are the pod templates of every way to install.
func pods(t *testing.T) map[string]corev1.PodTemplateSpec {
	t.Helper()
	templates := map[string]corev1.PodTemplateSpec{}
	for source, objects := range sources(t) {
		for _, deployment := range allOf[appsv1.Deployment](t, objects, "Deployment") {
			templates[source+": "+deployment.Name] = deployment.Spec.Template
		}
	}
	return templates
}

// podOf renders the chart with values and returns the pod of a Deployment.
func podOf(t *testing.T, name, values string) corev1.PodSpec {
	t.Helper()
	objects := render(t, valuesFile(t, values))
	return typed[appsv1.Deployment](t, named(t, objects, "Deployment", name)).Spec.Template.Spec
}

// TestPodSecurity runs the checks that the API server runs in a namespace with the level restricted.
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := psapi.LevelVersion{Level: psapi.LevelRestricted, Version: psapi.LatestVersion()}
	for source, pod := range pods(t) {
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
		if !result.Allowed {
			t.Errorf("%s: %s: %s", source, result.ForbiddenReason(), result.ForbiddenDetail())
		}
	}
}

// TestPodHardening checks what the standard leaves open.
func TestPodHardening(t *testing.T) {
	for source, pod := range pods(t) {
		for _, container := range pod.Spec.Containers {
			security := container.SecurityContext
			if security == nil || security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem {
				t.Errorf("%s: container %s can write to its file system", source, container.Name)
			}
			if container.Resources.Requests.Memory().IsZero() || container.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s: container %s has no request or no limit of memory", source, container.Name)
			}
			probed := container.LivenessProbe != nil && container.ReadinessProbe != nil
			if listens := len(container.Ports) > 0; listens != probed {
				t.Errorf("%s: container %s listens: %t, but has probes: %t", source, container.Name, listens, probed)
			}
			checkFiles(t, source, pod.Spec, container)
		}
		for _, volume := range pod.Spec.Volumes {
			if volume.EmptyDir != nil && volume.EmptyDir.SizeLimit == nil {
				t.Errorf("%s: volume %s may fill the node's disk", source, volume.Name)
			}
			if volume.HostPath != nil {
				t.Errorf("%s: volume %s is of the node", source, volume.Name)
			}
		}
	}
}

// checkFiles: each file that a container's arguments name is on a volume of its, and each volume is there and of use.
func checkFiles(t *testing.T, source string, pod corev1.PodSpec, container corev1.Container) {
	t.Helper()
	for _, arg := range container.Args {
		_, file, _ := strings.Cut(arg, "=")
		file = strings.TrimPrefix(file, "file://")
		mounted := func(mount corev1.VolumeMount) bool {
			return file == mount.MountPath || path.Dir(file) == mount.MountPath
		}
		if strings.HasPrefix(file, "/") && !slices.ContainsFunc(container.VolumeMounts, mounted) {
			t.Errorf("%s: container %s has no volume for %s", source, container.Name, arg)
		}
	}
	for _, mount := range container.VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(volume corev1.Volume) bool { return volume.Name == mount.Name }) {
			t.Errorf("%s: container %s mounts %s, which the pod lacks", source, container.Name, mount.Name)
		}
		named := func(arg string) bool { return strings.Contains(arg, mount.MountPath) }
		unasked := mount.MountPath == "/tmp" || strings.HasSuffix(mount.MountPath, "/kubernetes.io/serviceaccount")
		if !unasked && !slices.ContainsFunc(container.Args, named) {
			t.Errorf("%s: container %s uses nothing of %s", source, container.Name, mount.MountPath)
		}
	}
}

// TestCheckerHasNoToken: the checker runs modules of strangers. It shares one volume with the manager, and that is the
// socket's.
func TestCheckerHasNoToken(t *testing.T) {
	found := 0
	for source, pod := range pods(t) {
		for _, container := range pod.Spec.Containers {
			if container.Name != "checker" {
				continue
			}
			found++
			if automount := pod.Spec.AutomountServiceAccountToken; automount == nil || *automount {
				t.Errorf("%s: the kubelet gives every container a token", source)
			}
			if mounts := container.VolumeMounts; len(mounts) != 1 || mounts[0].MountPath != "/run/checker" {
				t.Errorf("%s: volumes of the checker: %v, want the socket's alone", source, mounts)
			}
			socket := slices.IndexFunc(pod.Spec.Volumes, func(volume corev1.Volume) bool { return volume.Name == container.VolumeMounts[0].Name })
			if pod.Spec.Volumes[socket].EmptyDir == nil {
				t.Errorf("%s: the socket's volume is %v, want an empty folder", source, pod.Spec.Volumes[socket])
			}
			if len(container.Env) > 1 || len(container.EnvFrom) > 0 {
				t.Errorf("%s: variables of the checker: %v, want GOMEMLIMIT alone", source, container.Env)
			}
		}
	}
	if found == 0 {
		t.Error("no pod has a checker")
	}
}

// TestTokens: the manager and the store have a token for the API server where client-go looks for it, and one that only a
// store takes, the manager one that only istiod takes; the ServiceAccounts give none unasked.
func TestTokens(t *testing.T) {
	for source, objects := range sources(t) {
		for _, account := range allOf[corev1.ServiceAccount](t, objects, "ServiceAccount") {
			if automount := account.AutomountServiceAccountToken; automount == nil || *automount {
				t.Errorf("%s: ServiceAccount %s gives its token to every pod", source, account.Name)
			}
		}
	}
	for deployment, want := range map[string]map[string]string{
		release: {
			"/var/run/secrets/kubernetes.io/serviceaccount": "", "/var/run/secrets/wasm.solarmesh.io": "wasm.solarmesh.io",
			"/var/run/secrets/istiod": "istio-ca",
		},
		storeAccount: {"/var/run/secrets/wasm.solarmesh.io": "wasm.solarmesh.io"},
	} {
		pod := podOf(t, deployment, "{}")
		got := map[string]string{}
		for _, mount := range pod.Containers[0].VolumeMounts {
			for _, volume := range pod.Volumes {
				if volume.Name != mount.Name || volume.Projected == nil {
					continue
				}
				for _, source := range volume.Projected.Sources {
					if source.ServiceAccountToken != nil {
						got[mount.MountPath] = source.ServiceAccountToken.Audience
					}
				}
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: tokens %v, want %v", deployment, got, want)
		}
		for folder, audience := range want {
			if got[folder] != audience {
				t.Errorf("%s: the token in %s is for audience %q, want %q", deployment, folder, got[folder], audience)
			}
		}
	}
	if pod := podOf(t, storeAccount, "{}"); !*pod.AutomountServiceAccountToken {
		t.Error("the store gets no token to ask the API server with")
	}
}

// TestGoMemLimit: 90 % of the memory limit, whatever its unit, of each container its own.
func TestGoMemLimit(t *testing.T) {
	for limit, want := range map[string]string{
		"512Mi": "460MiB", "1Gi": "921MiB", "1.5Gi": "1382MiB", "500M": "429MiB", "262144Ki": "230MiB",
		`"268435456"`: "230MiB", "268435456": "230MiB", "null": "",
	} {
		resources := "resources: {limits: {memory: " + limit + "}}"
		values := "{" + resources + ", checker: {" + resources + "}, store: {" + resources + "}}"
		containers := slices.Concat(podOf(t, release, values).Containers, podOf(t, storeAccount, values).Containers)
		if len(containers) != 3 {
			t.Fatalf("%d containers, want manager, checker and store", len(containers))
		}
		for _, container := range containers {
			got := ""
			for _, variable := range container.Env {
				if variable.Name == "GOMEMLIMIT" {
					got = variable.Value
				}
			}
			if got != want {
				t.Errorf("container %s, memory limit %s: GOMEMLIMIT %q, want %q", container.Name, limit, got, want)
			}
		}
	}
}
