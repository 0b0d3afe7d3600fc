// SPDX-License-Identifier: Apache-2.0

// Package offline holds the commands that need no cluster: they read files, and fetch modules at most.
package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

type renderOptions struct {
	Renderer
	cli.OutputOptions
}

// NewRender returns the command render.
func NewRender() *cobra.Command {
	var options renderOptions
	cmd := &cobra.Command{
		Use:   "render -f FILE...",
		Short: "Prints the EnvoyFilters that the operator would write",
		Long: `render prints the two EnvoyFilters of every WasmPlugin in the files, as the operator would write them. ConfigMaps and
Secrets in the files serve rulesFrom. Notes and refusals are comments on standard error.

The operator writes where proxies fetch a module, and its digest, once it has resolved it. With --fetch that is in the
output, too; without, there stands what the plugin's URL says.

Where a WasmPlugin has no uid, as in a file, the owner reference is left out, since only the API server knows it. The
annotations in which the operator keeps its memory are always left out.`,
		Example: `  wasmctl render -f plugin.yaml
  wasmctl render -f plugin.yaml -f users.yaml --istio-version 1.31
  kubectl get wasmp -n shop -o yaml | wasmctl render -f - | kubectl diff -f -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.FirstError(options.inputOptions.complete(args), options.Renderer.Complete(), options.OutputOptions.Complete()); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	options.inputOptions.add(cmd.Flags())
	options.Renderer.Add(cmd.Flags())
	options.OutputOptions.Add(cmd, cli.FormYAML, cli.FormJSON)
	return cmd
}

func (o renderOptions) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	objects, err := o.Render(ctx, in, errOut)
	if _, refused := errors.AsType[*cli.RefusedError](err); err != nil && !refused {
		return err
	}
	content, encodeErr := o.encode(objects)
	if encodeErr != nil {
		return encodeErr
	}
	if writeErr := cli.Write(out, content); writeErr != nil {
		return writeErr
	}
	return err
}

// warn says what an API server would refuse. The operator renders it nonetheless: an object may have been stored when
// the rules were others.
func warn(ctx context.Context, document judged, errOut io.Writer) error {
	problems, err := schemaProblems(ctx, document)
	for _, problem := range problems {
		cli.Comment(errOut, document.String(), "An API server refuses this: "+problem.String())
	}
	return err
}

func refusedOf(refused, all int) error {
	return &cli.RefusedError{Sentence: fmt.Sprintf("%d of %d refused", refused, all)}
}

// generationVariable is set where proxies fetch again with every generation.
const generationVariable = "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"

func (r rendered) objects(document judged, errOut io.Writer) []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for _, half := range r.pair.EnvoyFilters() {
		if r.in.Plugin.UID == "" {
			half.Object.SetOwnerReferences(nil)
			if spec, err := cli.JSON(half.Object.Object["spec"]); err == nil && strings.Contains(string(spec), generationVariable) {
				cli.Comment(errOut, document.String(), fmt.Sprintf("Rendered as generation %d; the operator writes that of the cluster into %s.", document.plugin.Generation, generationVariable))
			}
		}
		objects = append(objects, half.Object)
	}
	return objects
}

func (o renderOptions) encode(objects []*unstructured.Unstructured) ([]byte, error) {
	if o.Form == cli.FormJSON {
		items := make([]any, 0, len(objects))
		for _, object := range objects {
			items = append(items, object.Object)
		}
		return cli.JSON(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	}
	var documents [][]byte
	for _, object := range objects {
		document, err := cli.Encode(object.Object, cli.FormYAML)
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
	return bytes.Join(documents, []byte("---\n")), nil
}
