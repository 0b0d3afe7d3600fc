// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"io"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Renderer renders the WasmPlugins of files.
type Renderer struct {
	inputOptions
	renderingOptions
	fetchOptions

	fetch bool
	// Live, if there is one, adds what only a cluster knows: the plugin's uid and generation, and where its module is.
	Live func(context.Context, translate.Input) (translate.Input, error)
}

// Add declares the flags but those of the files.
func (r *Renderer) Add(flags *pflag.FlagSet) {
	r.renderingOptions.add(flags)
	flags.BoolVar(&r.fetch, "fetch", false, "Fetch the modules, so that their digests and where proxies fetch them stand in the output.")
	r.fetchOptions.add(flags)
}

// AddFiles declares the flag for files alone, for commands whose namespace is a cluster's.
func (r *Renderer) AddFiles(flags *pflag.FlagSet) { r.addFiles(flags) }

// Complete checks the flags that Add declares.
func (r *Renderer) Complete() error {
	if !r.fetch {
		if err := r.unused(); err != nil {
			return err
		}
	}
	return r.renderingOptions.complete()
}

// CompleteFiles checks the files, and sets the namespace of documents that name none.
func (r *Renderer) CompleteFiles(args []string, namespace string) error {
	r.namespace = namespace
	return r.inputOptions.complete(args)
}

// Render returns the EnvoyFilters of what isn't refused. Its error is a *cli.RefusedError where something is.
func (r *Renderer) Render(ctx context.Context, in io.Reader, errOut io.Writer) ([]*unstructured.Unstructured, error) {
	input, err := readManifests(ctx, in, r.inputOptions)
	if err != nil {
		return nil, err
	}
	modules, done, err := r.moduleJudge(r.fetch, input)
	if err != nil {
		return nil, err
	}
	defer done()
	var objects []*unstructured.Unstructured
	refused, ownerless := 0, false
	for _, document := range input.all {
		rendered, good, err := r.one(ctx, input, document, modules, errOut)
		if err != nil {
			return nil, err
		}
		if !good {
			refused++
			continue
		}
		ownerless = ownerless || rendered.in.Plugin.UID == ""
		objects = append(objects, rendered.objects(document, errOut)...)
	}
	if ownerless {
		cli.Comment(errOut, "metadata.ownerReferences", "left out, since only the API server knows the uid of a WasmPlugin.")
	}
	if refused > 0 {
		return objects, refusedOf(refused, len(input.all))
	}
	return objects, nil
}

// one renders a document, and says whether it isn't refused.
func (r *Renderer) one(ctx context.Context, input *manifests, document judged, modules *moduleJudge, errOut io.Writer) (rendered, bool, error) {
	result, made, err := judge{manifests: input, Options: r.Options, withSources: true}.of(document)
	good := func() bool { return err == nil && result.Result == ResultGood }
	if good() && r.Live != nil {
		made, err = made.completed(ctx, r.Live)
	}
	if good() && modules != nil {
		made, err = modules.resolve(ctx, made, &result)
	}
	if err != nil {
		return rendered{}, false, err
	}
	for _, note := range result.Notes {
		cli.Comment(errOut, document.String(), note)
	}
	if !good() {
		cli.Comment(errOut, result.place(), result.words())
		return rendered{}, false, nil
	}
	return made, true, warn(ctx, document, errOut)
}

func (r rendered) completed(ctx context.Context, live func(context.Context, translate.Input) (translate.Input, error)) (rendered, error) {
	in, err := live(ctx, r.in)
	if err != nil {
		return rendered{}, err
	}
	r.in = in
	r.pair, err = translate.Translate(in)
	return r, err
}
