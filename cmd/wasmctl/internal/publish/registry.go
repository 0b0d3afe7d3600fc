// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/spf13/pflag"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/offline"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// registryOptions say how to reach a registry.
type registryOptions struct {
	caFile   string
	insecure []string
	timeout  time.Duration
}

func (o *registryOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.caFile, "ca-file", "", "PEM file with certificate authorities to trust beside the system's; for store://, those of the store alone.")
	flags.StringArrayVar(&o.insecure, "insecure-registry", nil, "HOST or HOST:PORT whose certificate is not verified, and that may speak plain HTTP. May be repeated.")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "Time for all that is sent.")
}

// target is where in a registry something is pushed to.
type target struct {
	tag     name.Tag
	auth    authn.Authenticator
	options []remote.Option
	fetch   module.Options
}

// parseTarget reads a reference, which must be one that can be pushed to.
func (o *registryOptions) parseTarget(reference string) (name.Tag, error) {
	image, _ := strings.CutPrefix(reference, "oci://")
	if strings.Contains(image, "://") {
		return name.Tag{}, errors.New("it pushes to a registry (oci://HOST/NAME:TAG) or to the operator's store (store://NAME:TAG)")
	}
	// What the operator could not fetch is not to be pushed.
	if _, err := module.Parse(reference, ""); err != nil {
		return name.Tag{}, err
	}
	var options []name.Option
	if host, _, found := strings.Cut(image, "/"); found && slices.Contains(o.insecure, host) {
		options = append(options, name.Insecure)
	}
	tag, err := name.NewTag(image, options...)
	if err != nil {
		return name.Tag{}, errors.New("the reference must name a tag, such as registry.example.com/plugins/basic-auth:1.4; a digest is what a push leads to")
	}
	return tag, nil
}

// open reads the files that the options name, and finds the credentials of docker login.
func (o *registryOptions) open(ctx context.Context, tag name.Tag) (*target, error) {
	t := &target{tag: tag}
	roots, err := o.roots()
	if err != nil {
		return nil, err
	}
	registry := tag.RegistryStr()
	t.fetch = module.Options{
		Timeout: o.timeout, AllowLoopback: true, Insecure: o.insecure, RootCAs: roots, ProxyFromEnvironment: true,
	}
	if t.auth, err = authn.Resolve(ctx, authn.DefaultKeychain, tag.Context()); err != nil {
		return nil, fmt.Errorf("the credentials for %s can't be read; check ~/.docker/config.json and its credential helper", registry)
	}
	sending, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the HTTP transport of this program was replaced")
	}
	sending = sending.Clone()
	sending.TLSClientConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots,
		InsecureSkipVerify: slices.Contains(o.insecure, registry), //nolint:gosec // Who lists a registry there asks for it.
	}
	t.options = []remote.Option{
		remote.WithContext(ctx), remote.WithAuth(t.auth), remote.WithTransport(&guard{sending, o.insecure}), remote.WithUserAgent("wasmctl"), remote.WithJobs(1),
	}
	return t, nil
}

// guard sends nothing without TLS, but to registries that were listed: the library falls back to plain HTTP for loopback and
// private addresses, credentials and all.
type guard struct {
	sending  http.RoundTripper
	insecure []string
}

var errPlain = errors.New("the registry does not speak TLS")

// RoundTrip sends a request.
func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" && !slices.Contains(g.insecure, request.URL.Host) {
		return nil, errPlain
	}
	return g.sending.RoundTrip(request)
}

func (o *registryOptions) roots() (*x509.CertPool, error) {
	if o.caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %s can't be read (%w)", o.caFile, cli.Cause(err))
	}
	pool, err := module.CertPool(pem)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	return pool, nil
}

// write pushes an image under a tag, its manifest last, so that the tag names all or what it named before.
func (t *target) write(ctx context.Context, tag name.Tag, image v1.Image) error {
	if err := remote.Write(tag, image, t.options...); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return t.failure(err)
	}
	return nil
}

// check fetches what was pushed as the operator does, and compares it.
func (t *target) check(ctx context.Context, p *plugin, manifest string) error {
	reference, err := module.Parse("oci://"+t.tag.Name(), strings.TrimPrefix(manifest, "sha256:"))
	if err != nil {
		return err
	}
	secret, err := t.pullSecret(ctx)
	if err != nil {
		return err
	}
	fetcher := module.New(t.fetch)
	defer fetcher.Close()
	fetched, err := fetcher.Fetch(ctx, reference, secret)
	switch {
	case module.KindOf(err) == module.DigestMismatch:
		return fmt.Errorf("what was pushed is not what the registry serves: %w; if somebody else pushed the same tag meanwhile, choose another one", err)
	case err != nil:
		return fmt.Errorf("it was pushed, but the operator could not fetch it: %w", err)
	case fetched.Digest != p.digest():
		return fmt.Errorf("%s: the registry serves another module than was pushed (%s, not %s)", reference, fetched.Digest, p.digest())
	}
	return nil
}

// pullSecret is the credentials in the form that the operator takes, nil for none.
func (t *target) pullSecret(ctx context.Context) ([]byte, error) {
	return offline.DockerConfig(ctx, t.tag.RegistryStr(), t.auth)
}

// failure is a sentence for an error of the registry, whose own words may repeat what was sent.
func (t *target) failure(err error) error {
	where := "oci://" + t.tag.Name()
	host := t.tag.RegistryStr()
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		return fmt.Errorf("%s: %s%s", where, ofStatus(answer.StatusCode, host), codes(answer))
	}
	if sentence := ofTLS(err, host); sentence != "" {
		return fmt.Errorf("%s: %s", where, sentence)
	}
	return fmt.Errorf("%s: %s did not answer, or its answer broke off; push again when it can be reached", where, host)
}

func ofTLS(err error, host string) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate of " + host + " is not trusted; see --ca-file and --insecure-registry"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate of " + host + " is for other names; see --insecure-registry"
	}
	if errors.Is(err, errPlain) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return host + " does not speak TLS; see --insecure-registry"
	}
	return ""
}

func ofStatus(code int, host string) string {
	switch {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fmt.Sprintf("the registry denies access (status %d); log in with docker login %s, as one who may push there", code, host)
	case code == http.StatusNotFound:
		return "the registry has no such repository (status 404); create it, or check the name"
	case code == http.StatusRequestEntityTooLarge:
		return "the module is larger than the registry takes (status 413)"
	case code == http.StatusTooManyRequests || code >= http.StatusInternalServerError:
		return fmt.Sprintf("the registry can't take it at the moment (status %d); push again later", code)
	default:
		return fmt.Sprintf("the registry refuses it (status %d)", code)
	}
}

// codes are the registry's own words for an error, of those that are words of the protocol.
func codes(answer *transport.Error) string {
	var known []string
	for _, diagnostic := range answer.Errors {
		code := string(diagnostic.Code)
		if code != "" && len(code) <= 40 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
			known = append(known, code)
		}
	}
	if len(known) == 0 {
		return ""
	}
	return ": " + strings.Join(slices.Compact(known), ", ")
}
