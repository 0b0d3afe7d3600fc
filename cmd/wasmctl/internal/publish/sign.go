// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	sigstore "github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"golang.org/x/term"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/signature"
)

const (
	passwordVariable = "COSIGN_PASSWORD"

	simpleSigning       = types.MediaType("application/vnd.dev.cosign.simplesigning.v1+json")
	signatureAnnotation = "dev.cosignproject.cosign/signature"
)

// signer signs as cosign does with a key.
type signer struct {
	sigstore.Signer

	public []byte // in PEM
}

// newSigner reads a private key as cosign generate-key-pair writes it.
func newSigner(file string, ask func() ([]byte, error)) (*signer, error) {
	content, err := os.ReadFile(file) //nolint:gosec // The user names it.
	if err != nil {
		return nil, fmt.Errorf("--sign: %s can't be read (%w); make a key with cosign generate-key-pair", file, cli.Cause(err))
	}
	var asked error
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(content, func(bool) ([]byte, error) {
		var password []byte
		password, asked = ask()
		return password, asked
	})
	switch {
	case asked != nil:
		return nil, fmt.Errorf("--sign: %w", asked)
	case err != nil:
		// The library's words may be about what was decrypted.
		return nil, fmt.Errorf("--sign: %s is no private key of cosign, or the password is wrong; see %s", file, passwordVariable)
	}
	loaded, err := sigstore.LoadSigner(private, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("--sign: %s is a key of a kind that cosign does not use", file)
	}
	public, err := loaded.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("--sign: the public key of %s: %w", file, err)
	}
	encoded, err := cryptoutils.MarshalPublicKeyToPEM(public)
	if err != nil {
		return nil, fmt.Errorf("--sign: the public key of %s: %w", file, err)
	}
	s := &signer{Signer: loaded, public: encoded}
	// What nobody could verify is not to be signed with.
	return s, s.policy(file).Check()
}

func (s *signer) policy(name string) signature.Policy {
	return signature.Policy{Keys: []signature.Key{{Name: name, PEM: s.public}}}
}

// password is that of cosign's environment variable, or what a user types.
func password() ([]byte, error) {
	if value, found := os.LookupEnv(passwordVariable); found {
		return []byte(value), nil
	}
	terminal := int(os.Stdin.Fd())
	if !term.IsTerminal(terminal) {
		return nil, fmt.Errorf("the key has a password; set %s, or call it on a terminal", passwordVariable)
	}
	fmt.Fprint(os.Stderr, "Password of the key: ")
	typed, err := term.ReadPassword(terminal)
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return nil, errors.New("the password can't be read from the terminal")
	}
	return typed, nil
}

// sign puts a signature of a manifest beside it, in the layout that all releases of cosign read: an image with the tag
// sha256-….sig, whose layers are the signatures. Those of others stay. It does nothing where this key has signed already.
func (t *target) sign(ctx context.Context, s *signer, manifest string) error {
	signed, err := t.signedBy(ctx, s, manifest)
	if err != nil || signed {
		return err
	}
	image, err := name.NewDigest(t.tag.Context().Name() + "@" + manifest)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	layer, err := s.layer(image)
	if err != nil {
		return err
	}
	tag := t.tag.Context().Tag(strings.Replace(manifest, ":", "-", 1) + ".sig")
	base, err := t.signatures(tag)
	if err != nil {
		return err
	}
	appended, err := mutate.Append(base, layer)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	if err := t.write(ctx, tag, appended); err != nil {
		return err
	}
	if signed, err = t.signedBy(ctx, s, manifest); err == nil && !signed {
		err = errors.New("the signature was pushed, and is not what the registry serves; if somebody else signed meanwhile, push again")
	}
	return err
}

func (s *signer) layer(image name.Digest) (mutate.Addendum, error) {
	statement, err := payload.Cosign{Image: image}.MarshalJSON()
	if err != nil {
		return mutate.Addendum{}, fmt.Errorf("sign: %w", err)
	}
	raw, err := s.SignMessage(bytes.NewReader(statement))
	if err != nil {
		return mutate.Addendum{}, fmt.Errorf("sign: %w", err)
	}
	return mutate.Addendum{
		Layer:       static.NewLayer(statement, simpleSigning),
		MediaType:   simpleSigning,
		Annotations: map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(raw)},
	}, nil
}

// signatures is the image that the signatures are in, without any where nobody signed.
func (t *target) signatures(tag name.Tag) (v1.Image, error) {
	found, err := remote.Image(tag, t.options...)
	if err == nil {
		return found, nil
	}
	if answer, ok := errors.AsType[*transport.Error](err); ok && answer.StatusCode == http.StatusNotFound {
		return mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), nil
	}
	return nil, t.failure(err)
}

// signedBy says whether the operator would take a manifest for signed with the key.
func (t *target) signedBy(ctx context.Context, s *signer, manifest string) (bool, error) {
	reference, err := module.Parse("oci://"+t.tag.Context().Name()+"@"+manifest, "")
	if err != nil {
		return false, err
	}
	secret, err := t.pullSecret(ctx)
	if err != nil {
		return false, err
	}
	fetcher := module.New(t.fetch)
	defer fetcher.Close()
	found, err := fetcher.Signatures(ctx, reference, []string{manifest}, secret)
	if err != nil {
		return false, fmt.Errorf("look for signatures: %w", err)
	}
	_, err = s.policy("--sign").Verify([]string{manifest}, found)
	switch {
	case err == nil:
		return true, nil
	case module.KindOf(err) == module.NotSigned:
		return false, nil
	default:
		return false, err
	}
}
