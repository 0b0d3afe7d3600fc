// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

const (
	defaultFile = "filter.wasm"

	annotationTitle   = "org.opencontainers.image.title"
	annotationVersion = "org.opencontainers.image.version"
	annotationCreated = "org.opencontainers.image.created"
	epochVariable     = "SOURCE_DATE_EPOCH"
)

type pushOptions struct {
	registryOptions
	cli.OutputOptions

	store       storeOptions
	format      string
	annotations []string
	title       string
	version     string
	created     string
	sign        string
}

func newPush() *cobra.Command {
	var options pushOptions
	cmd := &cobra.Command{
		Use:   "push REFERENCE [FILE]",
		Short: "Brings a module to a registry or to the operator's store",
		Long: `push brings a module (` + defaultFile + ` where no file is named) to a registry of images, with the credentials of
docker login, or as store://NAME[:TAG] to the operator's store, by the kubeconfig. It prints a WasmPlugin that runs what
was pushed, pinned by its digest; fill in the selector, and apply it.

A file that no proxy could load is refused before anything is sent. What was sent is then fetched as the operator fetches
it, and compared. Whatever is interrupted, the tag names what it named before, or all of what was pushed; push again.

For store://, the namespace is that of the kubeconfig's context or of --namespace, and the token one of the ServiceAccount
that --service-account names.

It ends with 0 when all is pushed, 1 when the module or the move of a tag is refused, and 2 when it was called the wrong
way or the registry, the cluster or the store did not do it.`,
		Example: `  wasmctl push registry.example.com/plugins/basic-auth:1.4
  wasmctl push oci://registry.example.com/plugins/basic-auth:1.4 build/filter.wasm --format image --sign cosign.key
  wasmctl push store://basic-auth:1.4 --namespace shop
  wasmctl push registry.example.com/plugins/basic-auth:1.4 -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.complete(args); err != nil {
				return cli.Usage(cmd, err)
			}
			file := defaultFile
			if len(args) > 1 {
				file = args[1]
			}
			return options.run(cmd.Context(), args[0], file, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	options.registryOptions.add(flags)
	options.store.add(flags)
	options.OutputOptions.Add(cmd, cli.FormText, cli.FormJSON, cli.FormYAML)
	flags.StringVar(&options.format, "format", formatArtifact, "What it is in the registry: "+formatArtifact+", or "+formatImage+", for registries that take images only.")
	flags.StringArrayVar(&options.annotations, "annotation", nil, "KEY=VALUE to note in the registry. May be repeated.")
	flags.StringVar(&options.title, "title", "", "Title to note in the registry. Default: the name in runtime-config.json.")
	flags.StringVar(&options.version, "image-version", "", "Version to note in the registry. Default: the tag, unless that is latest.")
	flags.StringVar(&options.created, "created", "", "Time to note in the registry, such as 2026-11-28T10:00:00Z. Default: SOURCE_DATE_EPOCH, or none, so that the same push makes the same digest.")
	flags.StringVar(&options.sign, "sign", "", "File of a private key of cosign, to sign with. Its password is COSIGN_PASSWORD, or is asked for.")
	return cmd
}

func (o *pushOptions) complete(args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return errors.New("name where to push to, such as registry.example.com/plugins/basic-auth:1.4, and at most one file")
	}
	if o.format != formatArtifact && o.format != formatImage {
		return fmt.Errorf("--format %q is none of %s, %s", o.format, formatArtifact, formatImage)
	}
	if o.timeout <= 0 {
		return errors.New("--timeout must be more than 0")
	}
	toStore := strings.HasPrefix(args[0], storeScheme)
	switch {
	case toStore && o.sign != "":
		return errors.New("--sign has no effect on the operator's store, which keeps no signatures; push to a registry")
	case !toStore && o.store.move:
		return errors.New("--move is for the operator's store (store://); a registry moves tags unasked")
	}
	return o.OutputOptions.Complete()
}

func (o *pushOptions) run(ctx context.Context, reference, file string, out, errOut io.Writer) error {
	limited, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err := o.push(limited, reference, file, out, errOut)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("%s was not pushed in %s; push again, or see --timeout", reference, o.timeout)
	}
	return err
}

func (o *pushOptions) push(ctx context.Context, reference, file string, out, errOut io.Writer) error {
	p, err := readPlugin(ctx, file)
	if err != nil {
		return err
	}
	var pushed *Pushed
	if strings.HasPrefix(reference, storeScheme) {
		var t storeTarget
		if t, err = o.store.parse(reference); err == nil {
			pushed, err = o.store.push(ctx, t, p, o.caFile, o.timeout, errOut)
		}
	} else {
		pushed, err = o.pushImage(ctx, reference, p)
	}
	if err != nil {
		return err
	}
	if p.config == nil {
		cli.Comment(errOut, file, "It carries no runtime-config.json, and so no schema of its rules; wasmctl build puts it in.")
	}
	var content []byte
	if o.Form == cli.FormText {
		content, err = p.resource(pushed)
	} else {
		content, err = cli.Encode(pushed, o.Form)
	}
	if err != nil {
		return err
	}
	return cli.Write(out, content)
}

// pushImage pushes to a registry, and signs.
func (o *pushOptions) pushImage(ctx context.Context, reference string, p *plugin) (*Pushed, error) {
	tag, err := o.parseTarget(reference)
	if err != nil {
		return nil, err
	}
	annotations, err := o.notes(p, tag)
	if err != nil {
		return nil, err
	}
	// The password is asked for before anything is sent.
	var key *signer
	if o.sign != "" {
		if key, err = newSigner(o.sign, password); err != nil {
			return nil, err
		}
	}
	t, err := o.open(ctx, tag)
	if err != nil {
		return nil, err
	}
	pushed, err := t.push(ctx, p, o.format, annotations)
	if err != nil || key == nil {
		return pushed, err
	}
	if err := t.sign(ctx, key, pushed.ManifestDigest); err != nil {
		return nil, fmt.Errorf("%s was pushed, but not signed: %w", pushed.Reference, err)
	}
	pushed.Signed = true
	return pushed, nil
}

// push writes an image, and compares what the operator would fetch.
func (t *target) push(ctx context.Context, p *plugin, format string, annotations map[string]string) (*Pushed, error) {
	image, err := p.image(format, annotations)
	if err != nil {
		return nil, err
	}
	digest, err := image.Digest()
	if err != nil {
		return nil, fmt.Errorf("describe the module: %w", err)
	}
	if err := t.write(ctx, t.tag, image); err != nil {
		return nil, err
	}
	pushed := p.pushed("oci://"+t.tag.Name(), digest.String())
	pushed.ManifestDigest = digest.String()
	return pushed, t.check(ctx, p, digest.String())
}

// notes are the annotations of the manifest.
func (o *pushOptions) notes(p *plugin, tag name.Tag) (map[string]string, error) {
	notes := map[string]string{}
	if p.config != nil {
		notes[annotationTitle] = p.config.Name
	}
	if tag.TagStr() != defaultTag {
		notes[annotationVersion] = tag.TagStr()
	}
	created, err := o.time()
	if err != nil {
		return nil, err
	}
	maps.Copy(notes, map[string]string{annotationCreated: created})
	if o.title != "" {
		notes[annotationTitle] = o.title
	}
	if o.version != "" {
		notes[annotationVersion] = o.version
	}
	for _, annotation := range o.annotations {
		key, value, found := strings.Cut(annotation, "=")
		if !found || key == "" {
			return nil, fmt.Errorf("--annotation %q is not of the form KEY=VALUE", annotation)
		}
		notes[key] = value
	}
	maps.DeleteFunc(notes, func(_, value string) bool { return value == "" })
	return notes, nil
}

// time is when the module was made, as far as that was said.
func (o *pushOptions) time() (string, error) {
	if o.created != "" {
		if _, err := time.Parse(time.RFC3339, o.created); err != nil {
			return "", errors.New("--created is no time such as 2026-11-28T10:00:00Z")
		}
		return o.created, nil
	}
	epoch := os.Getenv(epochVariable)
	if epoch == "" {
		return "", nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return "", fmt.Errorf("%s is no number of seconds since 1970", epochVariable)
	}
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339), nil
}
