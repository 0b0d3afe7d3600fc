// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/crypto/bcrypt"
	"sigs.k8s.io/yaml"
)

// RegistryOptions say what an image registry is like. Without more than a folder it speaks plain HTTP to everybody.
type RegistryOptions struct {
	// Binary is the registry's, from Tool.
	Binary string
	// Dir is the state folder, which holds the images too. It is made if it is not there.
	Dir string
	// TLS lets the registry speak HTTPS, with a certificate that only Registry.CAFile verifies.
	TLS bool
	// Username and Password are asked for, also to pull, if there is a user name.
	Username, Password string
}

// Registry is an image registry, the one of the project distribution. It keeps its images when it is stopped and started
// again.
type Registry struct {
	*Process
	// Address is its host and port, with which the names of its images begin.
	Address string
	// CAFile holds the authority of its certificate, in PEM form; "" without TLS.
	CAFile string

	user      authn.AuthConfig
	transport http.RoundTripper
}

// StartRegistry starts a registry on a free port and waits until it answers.
func StartRegistry(ctx context.Context, options RegistryOptions) (*Registry, error) {
	dir, err := stateFolder(options.Dir)
	if err != nil {
		return nil, err
	}
	reserved, err := reservePorts(1)
	if err != nil {
		return nil, err
	}
	defer reserved.release()
	registry := &Registry{
		Address: local(reserved.ports[0]),
		user:    authn.AuthConfig{Username: options.Username, Password: options.Password},
	}
	config, err := registry.configure(dir, options)
	if err != nil {
		return nil, fmt.Errorf("cannot configure the registry: %w", err)
	}
	registry.Process, err = Start(ctx, Command{
		Name: "registry",
		Path: options.Binary,
		Args: []string{"serve", config},
		// It would send traces to a collector on this machine.
		Env:      []string{"OTEL_TRACES_EXPORTER=none"},
		LogFile:  filepath.Join(dir, "registry.log"),
		Ready:    registry.ready,
		reserved: reserved,
	})
	if err != nil {
		return nil, err
	}
	return registry, nil
}

// configure writes the registry's configuration, and the files that it names.
func (r *Registry) configure(dir string, options RegistryOptions) (string, error) {
	type object = map[string]any
	listen := object{"addr": r.Address, "secret": rand.Text()}
	config := object{
		"version": "0.1",
		"log":     object{"level": "info"},
		"storage": object{"filesystem": object{"rootdirectory": filepath.Join(dir, "images")}},
		"http":    listen,
	}
	transport := &http.Transport{DisableKeepAlives: true}
	r.transport = transport
	if options.TLS {
		certificate, err := NewCertificate(dir)
		if err != nil {
			return "", err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(certificate.CA)
		r.CAFile, transport.TLSClientConfig = certificate.CAFile, &tls.Config{RootCAs: roots}
		listen["tls"] = object{"certificate": certificate.CertFile, "key": certificate.KeyFile}
	}
	if options.Username != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(options.Password), bcrypt.MinCost)
		if err != nil {
			return "", err
		}
		users := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(users, fmt.Appendf(nil, "%s:%s\n", options.Username, hash), 0o600); err != nil {
			return "", err
		}
		config["auth"] = object{"htpasswd": object{"realm": "registry", "path": users}}
	}
	content, err := yaml.Marshal(config)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "config.yaml")
	return path, os.WriteFile(path, content, 0o600)
}

// ready asks as a client with an account does.
func (r *Registry) ready(ctx context.Context) error {
	url := "http://" + r.Address + "/v2/"
	if r.CAFile != "" {
		url = "https://" + r.Address + "/v2/"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	if r.user.Username != "" {
		request.SetBasicAuth(r.user.Username, r.user.Password)
	}
	response, err := r.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}

// DockerConfig is the configuration with which Docker's tools log in, which is also what a pull secret holds.
func (r *Registry) DockerConfig() ([]byte, error) {
	return json.Marshal(map[string]any{"auths": map[string]any{r.Address: r.user}})
}
