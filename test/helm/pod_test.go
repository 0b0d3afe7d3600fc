// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// pods are the pod templates of every way to install.
func pods(t *testing.T) map[string]corev1.PodTemplateSpec {
	t.Helper()
	templates := map[string]corev1.PodTemplateSpec{}
	add := func(source string, objects []*unstructured.Unstructured) {
		templates[source] = typed[appsv1.Deployment](t, only(t, objects, "Deployment")).Spec.Template
	}
	add("config/default", kustomize(t, "default"))
	for _, in := range cases(t) {
		add(in, render(t, in))
	}
	return templates
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
			if container.LivenessProbe == nil || container.ReadinessProbe == nil {
				t.Errorf("%s: container %s lacks a probe", source, container.Name)
			}
		}
		if len(pod.Spec.Volumes) > 0 {
			t.Errorf("%s: the pod has volumes: %v", source, pod.Spec.Volumes)
		}
	}
}

// TestGoMemLimit: 90 % of the memory limit, whatever its unit.
func TestGoMemLimit(t *testing.T) {
	for limit, want := range map[string]string{
		"512Mi": "460MiB", "1Gi": "921MiB", "1.5Gi": "1382MiB", "500M": "429MiB", "262144Ki": "230MiB",
		`"268435456"`: "230MiB", "null": "",
	} {
		objects := render(t, valuesFile(t, "resources: {limits: {memory: "+limit+"}}"))
		env := typed[appsv1.Deployment](t, only(t, objects, "Deployment")).Spec.Template.Spec.Containers[0].Env
		got := ""
		for _, variable := range env {
			if variable.Name == "GOMEMLIMIT" {
				got = variable.Value
			}
		}
		if got != want {
			t.Errorf("memory limit %s: GOMEMLIMIT %q, want %q", limit, got, want)
		}
	}
}
