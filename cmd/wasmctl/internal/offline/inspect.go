// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
	"github.com/solarmesh/wasmplugin-operator/internal/signature"
)

type inspectOptions struct {
	fetchOptions
	cli.OutputOptions

	sha256 string
	key    string
}

// NewInspect makes the command inspect.
func NewInspect() *cobra.Command {
	var options inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect REFERENCE|FILE",
		Short: "Fetches a module, and says what it is",
		Long: `inspect fetches a module, checks it, and prints its digests, its size, its version of proxy-wasm, the language that it
was written in as far as that can be told, what it imports, the schema of its rules if it carries one, and how many
signatures the registry holds of it. With --key it says whether that key has signed it.

The reference is what stands in spec.url: oci://, also without the scheme, https:// or http://. Or it is a file, such as
./filter.wasm.

It ends with 0 when the module is good, 1 when it is not, or not there, or not signed with the key, and 2 when it was
called the wrong way or could not reach the server.`,
		Example: `  wasmctl inspect oci://registry.example.com/plugins/basic-auth:1.4
  wasmctl inspect ./filter.wasm
  wasmctl inspect https://example.com/plugin.wasm -o json
  wasmctl inspect registry.example.com/plugins/basic-auth:1.4 --key cosign.pub --pull-secret-file config.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usage(cmd, errors.New("name one module, as in spec.url, or a file"))
			}
			if err := options.OutputOptions.Complete(); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&options.sha256, "sha256", "", "The digest that is expected, 64 hex digits: of the manifest for an image, otherwise of the module.")
	cmd.Flags().StringVar(&options.key, "key", "", "File of a public key of cosign, which must have signed the image.")
	options.fetchOptions.add(cmd.Flags())
	options.OutputOptions.Add(cmd, cli.FormText, cli.FormJSON, cli.FormYAML)
	return cmd
}

func (o inspectOptions) run(ctx context.Context, reference string, out, errOut io.Writer) error {
	inspect := o.remote
	if isFile(reference) {
		inspect = o.local
	}
	found, err := inspect(ctx, reference, errOut)
	if err != nil {
		return err
	}
	content := found.text()
	if o.Form != cli.FormText {
		if content, err = cli.Encode(found, o.Form); err != nil {
			return err
		}
	}
	return cli.Write(out, content)
}

func (o inspectOptions) remote(ctx context.Context, reference string, errOut io.Writer) (*Inspected, error) {
	fetcher, err := o.open()
	if err != nil {
		return nil, err
	}
	defer fetcher.modules.Close()
	if err := fetcher.login(ctx, reference); err != nil {
		return nil, err
	}
	facts, content, err := fetcher.fetch(ctx, reference, o.sha256, nil)
	if err != nil {
		return nil, refusal(err)
	}
	found := &Inspected{ModuleFacts: *facts}
	found.describe(content)
	return found, o.signatures(ctx, fetcher, found, errOut)
}

// signatures looks for those of an image. Without a key they are only counted, and that they can't be read is no reason to
// say nothing of the module.
func (o inspectOptions) signatures(ctx context.Context, fetcher *fetcher, found *Inspected, errOut io.Writer) error {
	if found.ManifestDigest == "" {
		if o.key != "" {
			return errors.New("--key has an effect only on an image; nothing else has signatures beside it")
		}
		return nil
	}
	ref, err := module.Parse(found.Source, "")
	if err != nil {
		return &fetchError{err}
	}
	digests := []string{found.ManifestDigest}
	if found.IndexDigest != "" {
		digests = append(digests, found.IndexDigest)
	}
	attached, err := fetcher.modules.Signatures(ctx, ref, digests, fetcher.pullSecret)
	switch {
	case err != nil && (o.key != "" || ctx.Err() != nil):
		return refusal(&fetchError{err})
	case err != nil:
		cli.Comment(errOut, "signatures", err.Error())
		return nil
	}
	found.Signatures = new(len(attached))
	if o.key == "" {
		return nil
	}
	return o.verify(found, digests, attached)
}

// verify says whether the key has signed one of the manifests.
func (o inspectOptions) verify(found *Inspected, digests []string, attached []module.Attachment) error {
	pem, err := os.ReadFile(o.key)
	if err != nil {
		return fmt.Errorf("--key: %w", cli.FileError(err))
	}
	found.VerifiedBy, err = signature.Policy{Keys: []signature.Key{{Name: o.key, PEM: pem}}}.Verify(digests, attached)
	if module.KindOf(err) == module.NotSigned {
		return cli.Refused("%s: %s", found.Reference, err)
	}
	return err
}

// isFile says whether an argument names a file. An image's name never begins like a path.
func isFile(reference string) bool {
	if strings.HasPrefix(reference, ".") || filepath.IsAbs(reference) {
		return true
	}
	info, err := os.Stat(reference)
	return err == nil && info.Mode().IsRegular()
}

func (o inspectOptions) local(_ context.Context, file string, _ io.Writer) (*Inspected, error) {
	if o.key != "" {
		return nil, errors.New("--key has an effect only on an image; a file has no signatures beside it")
	}
	content, err := cli.ReadModule(file, "name the module's file, or its image as oci://...")
	if err != nil {
		return nil, err
	}
	if err := proxywasm.CheckHeader(content); err != nil {
		return nil, cli.Refused("%s %s", file, err)
	}
	abi, err := module.Inspect(content)
	if err != nil {
		return nil, cli.Refused("%s: %s", file, err)
	}
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	if o.sha256 != "" && o.sha256 != digest {
		return nil, cli.Refused("%s: the module's digest is sha256:%s, not sha256:%s", file, digest, o.sha256)
	}
	found := &Inspected{ModuleFacts: ModuleFacts{Reference: file, Source: file, Digest: "sha256:" + digest, Size: int64(len(content)), ABI: abi}}
	found.describe(content)
	return found, nil
}

func (i *Inspected) text() []byte {
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, cli.Printable(value))
		}
	}
	row("Reference:", i.Reference)
	row("Source:", i.Source)
	row("Digest:", i.Digest+", of the module's bytes")
	row("Manifest:", i.ManifestDigest)
	row("Index:", i.IndexDigest)
	row("Size:", fmt.Sprintf("%d bytes", i.Size))
	row("ABI:", "proxy-wasm "+i.ABI)
	row("Name:", i.Name)
	row("Language:", i.languageWords())
	row("Imports:", fmt.Sprintf("%d functions, all of them Envoy's", len(i.Imports)))
	row("Rules:", i.rulesWords())
	if i.Signatures != nil {
		row("Signatures:", i.signatureWords())
	}
	_ = table.Flush() // into memory
	return out.Bytes()
}

func (i *Inspected) rulesWords() string {
	var words []string
	if len(i.RulesSchema) > 0 {
		words = append(words, fmt.Sprintf("a schema of %d bytes", len(i.RulesSchema)))
	}
	if len(i.DefaultRules) > 0 {
		words = append(words, "rules to begin with")
	}
	if len(words) == 0 {
		return "nothing is said of them"
	}
	return "it carries " + strings.Join(words, " and ") + " (see -o json)"
}

func (i *Inspected) signatureWords() string {
	switch {
	case i.VerifiedBy != "":
		return fmt.Sprintf("%d, verified by %s", *i.Signatures, i.VerifiedBy)
	case *i.Signatures == 0:
		return "none"
	default:
		return fmt.Sprintf("%d, not verified (see --key)", *i.Signatures)
	}
}
