//go:build long

// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// withoutPeers takes out what a replica of the store asks others with: there are none, but for who asks here in their name.
func withoutPeers(c cluster) {
	c.Helper()
	deployment, err := c.client.Resource(deployments).Namespace(namespace).Get(c.Context(), storeAccount, metav1.GetOptions{})
	c.must(err)
	spec := typed[appsv1.Deployment](c.T, deployment)
	container := &spec.Spec.Template.Spec.Containers[0]
	container.Args = slices.DeleteFunc(container.Args, func(arg string) bool {
		return strings.HasPrefix(arg, "--peers=") || strings.HasPrefix(arg, "--ca-file=") || strings.HasPrefix(arg, "--token-file=")
	})
	content, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": spec.Spec.Template.Spec.Containers,
	}}}})
	c.must(err)
	_, err = c.client.Resource(deployments).Namespace(namespace).Patch(c.Context(), storeAccount, types.MergePatchType, content, metav1.PatchOptions{})
	c.must(err)
}

// keep starts the store that the chart installed.
func keep(a *attempt) {
	a.Helper()
	a.store = a.startStore(a.binary)
	a.process = a.store.process
}

func putModule(a *attempt) {
	a.Helper()
	a.must(a.store.client(release, store.Audience).Put(a.Context(), digestOf(plugin()), "", plugin()))
}

func getModule(ctx context.Context, client *store.Client) error {
	_, err := client.Get(ctx, digestOf(plugin()), "")
	return err
}

// asks has an account ask the store with a token of its own, since the store keeps what it knows of a token.
func asks(account string, what func(context.Context, *store.Client) error) func(context.Context, *attempt) error {
	return func(ctx context.Context, a *attempt) error { return what(ctx, a.store.client(account, store.Audience)) }
}
