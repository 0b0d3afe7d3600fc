// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Layout is how cosign stores a signature in a registry.
type Layout string

// The layouts that cosign knows.
const (
	// SignatureBundle is a Sigstore bundle, which refers to the image: what cosign 3 makes.
	SignatureBundle Layout = "bundle"
	// SignatureTag is an image with the tag sha256-….sig: what cosign 1 and 2 made.
	SignatureTag Layout = "tag"
)

// Cosign signs images with a key, and tells no transparency log of it.
type Cosign struct {
	binary, dir string
	// password protects the private keys.
	password string
}

// NewCosign uses cosign's binary, from Tool. Keys are kept in the folder, which is made if it is not there.
func NewCosign(binary, dir string) (*Cosign, error) {
	dir, err := stateFolder(dir)
	if err != nil {
		return nil, err
	}
	cosign := &Cosign{binary: binary, dir: dir, password: rand.Text()}
	for file, content := range map[string]string{noServices: "signingconfig.v0.2+json", noRoots: "trustedroot+json;version=0.1"} {
		content = fmt.Sprintf(`{"mediaType": "application/vnd.dev.sigstore.%s"}`, content)
		if err := os.WriteFile(cosign.file(file), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	return cosign, nil
}

// Without these two files cosign asks the public Sigstore which services to use and whom to trust.
const (
	noServices = "no-services.json"
	noRoots    = "no-roots.json"
)

func (c *Cosign) file(name string) string { return filepath.Join(c.dir, name) }

// NewKey makes a key pair and returns the public key, in PEM form.
func (c *Cosign) NewKey(ctx context.Context, name string) ([]byte, error) {
	if err := c.run(ctx, nil, "generate-key-pair", "--output-key-prefix="+c.file(name)); err != nil {
		return nil, err
	}
	return os.ReadFile(c.file(name + ".pub"))
}

// Sign signs an image of a registry, such as plugins/basic-auth@sha256:…, with a key that NewKey made.
func (c *Cosign) Sign(ctx context.Context, registry *Registry, image, key string, layout Layout) error {
	args := []string{"sign", "--yes", "--key=" + c.file(key+".key")}
	if layout == SignatureTag {
		args = append(args, "--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false")
	} else {
		args = append(args, "--signing-config="+c.file(noServices), "--trusted-root="+c.file(noRoots))
	}
	if registry.CAFile == "" {
		args = append(args, "--allow-http-registry")
	} else {
		args = append(args, "--registry-cacert="+registry.CAFile)
	}
	return c.run(ctx, registry, append(args, registry.Address+"/"+image)...)
}

// run runs cosign, logged in to the registry if one is given.
func (c *Cosign) run(ctx context.Context, registry *Registry, args ...string) error {
	home := filepath.Join(c.dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	if registry != nil {
		login, err := registry.DockerConfig()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(home, "config.json"), login, 0o600); err != nil {
			return err
		}
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, &out, &out
	cmd.Env = append(baseEnv(), "HOME="+home, "DOCKER_CONFIG="+home, "COSIGN_PASSWORD="+c.password)
	if err := runGuarded(ctx, cmd); err != nil {
		return fmt.Errorf("cosign %s: %w\n%s", args[0], err, out.String())
	}
	return nil
}
