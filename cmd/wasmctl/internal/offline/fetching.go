// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/pflag"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// Fetching is how commands of other packages fetch a module: as inspect does, with its flags.
type Fetching struct{ options fetchOptions }

// Add declares the flags.
func (f *Fetching) Add(flags *pflag.FlagSet) { f.options.add(flags) }

// Fetch returns what is said of a module, and the module. sha256 pins it, "" for nothing.
func (f *Fetching) Fetch(ctx context.Context, reference, sha256 string) (*ModuleFacts, []byte, error) {
	fetcher, err := f.options.open()
	if err != nil {
		return nil, nil, err
	}
	defer fetcher.modules.Close()
	if err := fetcher.login(ctx, reference); err != nil {
		return nil, nil, err
	}
	facts, content, err := fetcher.fetch(ctx, reference, sha256, nil)
	return facts, content, refusal(err)
}

// refusal is an error of a fetch, as a verdict where it is one.
func refusal(err error) error {
	if err != nil && verdictOnModule(err) && module.KindOf(err) != module.InvalidReference {
		return &cli.RefusedError{Sentence: err.Error()}
	}
	return err
}

// login takes the credentials of docker login where no others were given. What is judged for the operator has only those
// that the operator would have.
func (f *fetcher) login(ctx context.Context, reference string) error {
	image := strings.TrimPrefix(reference, "oci://")
	if f.pullSecret != nil || strings.Contains(image, "://") {
		return nil
	}
	parsed, err := name.ParseReference(image)
	if err != nil {
		return nil //nolint:nilerr // What is wrong with a reference, the fetch says.
	}
	repository := parsed.Context()
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, repository)
	if err != nil {
		return noCredentials(repository.RegistryStr())
	}
	f.pullSecret, err = DockerConfig(ctx, repository.RegistryStr(), auth)
	return err
}

// DockerConfig writes credentials in the form of a pull secret; nil where there are none.
func DockerConfig(ctx context.Context, registry string, auth authn.Authenticator) ([]byte, error) {
	if auth == authn.Anonymous {
		return nil, nil
	}
	config, err := authn.Authorization(ctx, auth)
	if err != nil {
		return nil, noCredentials(registry)
	}
	return json.Marshal(map[string]any{"auths": map[string]any{registry: config}})
}

// noCredentials leaves out what a credential helper says.
func noCredentials(registry string) error {
	return fmt.Errorf("the credentials for %s can't be read; check ~/.docker/config.json and its credential helper", registry)
}
