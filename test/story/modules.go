// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// registryCA is the ConfigMap with the registry's authority, beside the operator.
const registryCA = "registry-ca"

// StartRegistry starts an image registry that speaks TLS by an authority of its own and asks for a password, and gets
// cosign ready. Start it before InstallChart, which tells the operator of the authority.
func (w *World) StartRegistry(ctx context.Context) error {
	binary, err := chain.Tool(ctx, w.progress, "registry")
	if err != nil {
		return err
	}
	w.PullPassword = rand.Text()
	w.Registry, err = chain.StartRegistry(ctx, chain.RegistryOptions{
		Binary: binary, Dir: filepath.Join(w.Dir, "registry"), TLS: true, Username: "puller", Password: w.PullPassword,
	})
	if err != nil {
		return err
	}
	if binary, err = chain.Tool(ctx, w.progress, "cosign"); err != nil {
		return err
	}
	w.Cosign, err = chain.NewCosign(binary, filepath.Join(w.Dir, "cosign"))
	return err
}

// registryValues let the chart's operator trust the registry.
func (w *World) registryValues() []string {
	if w.Registry == nil {
		return nil
	}
	return []string{"modules.caConfigMap.name=" + registryCA}
}

// trustRegistry makes what registryValues names.
func (w *World) trustRegistry(ctx context.Context) error {
	if w.Registry == nil {
		return nil
	}
	_, err := w.Shell(ctx, fmt.Sprintf("kubectl create configmap %s --namespace %s --from-file=ca.crt=%s",
		registryCA, w.Namespace(), w.Registry.CAFile))
	return err
}
