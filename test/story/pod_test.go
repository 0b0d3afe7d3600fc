// SPDX-License-Identifier: Apache-2.0

package story

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestCommandOfContainer(t *testing.T) {
	p := &pod{dir: "/here", binary: "/bin/operator", folders: map[string]string{"keys": "/here/keys", "more": "/here/more"}}
	p.template.Containers = []corev1.Container{{
		Name: "store",
		Args: []string{"store", "--bucket=file:///var/lib/keys/more", "--key=/var/lib/keys/tls.key", "--bind-address=:8443", "--drain=5s"},
		Env:  []corev1.EnvVar{{Name: "GOMEMLIMIT", Value: "1"}},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "keys", MountPath: "/var/lib/keys"}, {Name: "more", MountPath: "/var/lib/keys/more"},
		},
	}}
	command, err := p.command("store", map[string]string{"bind-address": "127.0.0.1:1", "peers": "of others"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"store", "--bucket=file:///here/more", "--key=/here/keys/tls.key", "--bind-address=127.0.0.1:1", "--drain=5s"}
	if !slices.Equal(command.Args, want) {
		t.Errorf("arguments %q, want %q", command.Args, want)
	}
	if command.Path != "/bin/operator" || command.LogFile != "/here/store.log" || !slices.Equal(command.Env, []string{"GOMEMLIMIT=1"}) {
		t.Errorf("%+v", command)
	}
	if !p.has("drain") || p.has("peers") {
		t.Error("the flags of the pod are others")
	}
	if _, err := p.command("checker", nil); err == nil {
		t.Error("a container that is not there was found")
	}
}
