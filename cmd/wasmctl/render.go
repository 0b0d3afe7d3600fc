// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type renderOptions struct {
	inputOptions
	renderingOptions
	outputOptions
	fetchOptions

	fetch bool
}

func newRender() *cobra.Command {
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
			if !options.fetch {
				if err := options.unused(); err != nil {
					return usage(cmd, err)
				}
			}
			if err := firstError(options.inputOptions.complete(args), options.renderingOptions.complete(), options.outputOptions.complete()); err != nil {
				return usage(cmd, err)
			}
			return options.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	options.inputOptions.add(cmd.Flags())
	options.renderingOptions.add(cmd.Flags())
	options.outputOptions.add(cmd, outputYAML, outputJSON)
	cmd.Flags().BoolVar(&options.fetch, "fetch", false, "Fetch the modules, so that their digests and where proxies fetch them stand in the output.")
	options.fetchOptions.add(cmd.Flags())
	return cmd
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (o renderOptions) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	input, err := readManifests(ctx, in, o.inputOptions)
	if err != nil {
		return err
	}
	modules, done, err := o.moduleJudge(o.fetch, input)
	if err != nil {
		return err
	}
	defer done()
	objects, refused, err := o.render(ctx, input, modules, errOut)
	if err != nil {
		return err
	}
	content, err := o.encode(objects)
	if err != nil {
		return err
	}
	if err := write(out, content); err != nil {
		return err
	}
	if refused > 0 {
		return refusedOf(refused, len(input.all))
	}
	return nil
}

// render returns the EnvoyFilters of what isn't refused, and how much is.
func (o renderOptions) render(ctx context.Context, input *manifests, modules *moduleJudge, errOut io.Writer) ([]*unstructured.Unstructured, int, error) {
	judge := judge{manifests: input, Options: o.Options, withSources: true}
	var objects []*unstructured.Unstructured
	refused, ownerless := 0, false
	for _, document := range input.all {
		result, rendered, err := judge.of(document)
		if err == nil && result.Result == resultGood && modules != nil {
			rendered, err = modules.resolve(ctx, rendered, &result)
		}
		if err != nil {
			return nil, 0, err
		}
		for _, note := range result.Notes {
			comment(errOut, document.head.String(), note)
		}
		if result.Result != resultGood {
			refused++
			comment(errOut, result.place(), result.words())
			continue
		}
		if err := warn(ctx, document, errOut); err != nil {
			return nil, 0, err
		}
		ownerless = ownerless || document.plugin.UID == ""
		objects = append(objects, rendered.objects(document, errOut)...)
	}
	if ownerless {
		comment(errOut, "metadata.ownerReferences", "left out, since only the API server knows the uid of a WasmPlugin.")
	}
	return objects, refused, nil
}

// warn says what an API server would refuse. The operator renders it nonetheless: an object may have been stored when
// the rules were others.
func warn(ctx context.Context, document judged, errOut io.Writer) error {
	problems, err := schemaProblems(ctx, document)
	for _, problem := range problems {
		comment(errOut, document.head.String(), "An API server refuses this: "+problem.String())
	}
	return err
}

func refusedOf(refused, all int) error {
	return &refusedError{fmt.Sprintf("%d of %d refused", refused, all)}
}

// generationVariable is set where proxies fetch again with every generation.
const generationVariable = "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"

func (r rendered) objects(document judged, errOut io.Writer) []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for _, half := range r.pair.EnvoyFilters() {
		if document.plugin.UID == "" {
			half.Object.SetOwnerReferences(nil)
			if spec, err := asJSON(half.Object.Object["spec"]); err == nil && strings.Contains(string(spec), generationVariable) {
				comment(errOut, document.head.String(), fmt.Sprintf("Rendered as generation %d; the operator writes that of the cluster into %s.", document.plugin.Generation, generationVariable))
			}
		}
		objects = append(objects, half.Object)
	}
	return objects
}

func (o renderOptions) encode(objects []*unstructured.Unstructured) ([]byte, error) {
	if o.format == outputJSON {
		items := make([]any, 0, len(objects))
		for _, object := range objects {
			items = append(items, object.Object)
		}
		return asJSON(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	}
	var documents [][]byte
	for _, object := range objects {
		document, err := encode(object.Object, outputYAML)
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
	return bytes.Join(documents, []byte("---\n")), nil
}
