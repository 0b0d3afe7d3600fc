// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/convert"
)

type importOptions struct {
	cli.OutputOptions
	cli.ClusterOptions

	files         []string
	selector      string
	rootNamespace string
	check         bool

	labels map[string]string
}

func newImport() *cobra.Command {
	var options importOptions
	cmd := &cobra.Command{
		Use:   "import -f FILE...",
		Short: "Makes WasmPlugins of EnvoyFilters, Istio's and Higress' WasmPlugins, and those of wasme and slime",
		Long: `import reads what others call a plugin, and prints the WasmPlugins that do the same here, each below comments that say
what could not be carried over. It reads hand-written EnvoyFilters (the one with HTTP_FILTER and the one with
EXTENSION_CONFIG, in any number of files), WasmPlugin and TrafficExtension of Istio, WasmPlugin of Higress,
FilterDeployment of wasme, and PluginManager and EnvoyPlugin of slime. It asks no cluster.

With --check it reads no file, but looks in the cluster for plugins that run twice: once for a WasmPlugin of this operator,
and once for an EnvoyFilter, a WasmPlugin or a TrafficExtension of Istio.

It ends with 0 when all was carried over and nothing runs twice, 1 when something could not be or does, and 2 when it was
called the wrong way, or could not read a file or the cluster.`,
		Example: `  wasmctl import -f basic-auth.yaml -f auth-config.yaml --selector istio=ingressgateway > plugin.yaml
  kubectl get envoyfilters -A -o yaml | wasmctl import -f -
  wasmctl import --check`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.complete(cmd.Flags(), args); err != nil {
				return cli.Usage(cmd, err)
			}
			if options.check {
				return options.runCheck(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return options.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&options.files, "filename", "f", nil, "File to read, - for standard input. May be repeated; further files may follow without -f.")
	flags.StringVar(&options.selector, "selector", "", "Labels of the proxies, KEY=VALUE[,KEY=VALUE], in the place of those that the files name.")
	flags.StringVar(&options.rootNamespace, "root-namespace", "istio-system", "The mesh's root namespace.")
	flags.BoolVar(&options.check, "check", false, "Look in the cluster for plugins that run twice, and read no file.")
	options.OutputOptions.Add(cmd, cli.FormYAML, cli.FormJSON)
	options.ClusterOptions.Add(flags)
	return cmd
}

func (o *importOptions) complete(flags *pflag.FlagSet, args []string) error {
	o.files = append(o.files, args...)
	switch {
	case o.check && (len(o.files) > 0 || flags.Changed("selector")):
		return errors.New("--check looks in the cluster and reads no file; leave out the files and --selector")
	case !o.check && len(o.files) == 0:
		return errors.New("name a file with -f, or - for standard input; or look in the cluster with --check")
	case o.rootNamespace == "":
		return errors.New("--root-namespace is empty; name one, or leave it out")
	case flags.Changed("namespace") && *o.Namespace == "":
		return errors.New("--namespace is empty; name one, or leave it out")
	}
	var err error
	if flags.Changed("selector") {
		o.labels, err = parseLabels(o.selector)
	}
	return cli.FirstError(err, o.OutputOptions.Complete())
}

// parseLabels reads KEY=VALUE[,KEY=VALUE].
func parseLabels(text string) (map[string]string, error) {
	labels := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, found := strings.Cut(strings.TrimSpace(pair), "=")
		_, twice := labels[key]
		switch {
		case !found || key == "":
			return nil, fmt.Errorf("--selector: %q is no label; write KEY=VALUE, and a comma before the next", pair)
		case twice:
			return nil, fmt.Errorf("--selector: %s is there twice; keep one", key)
		}
		if problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(problems) > 0 {
			return nil, fmt.Errorf("--selector: %q is no label: %s", pair, problems[0])
		}
		labels[key] = value
	}
	return labels, nil
}

// fileNamespace is that of documents that name none.
func (o *importOptions) fileNamespace() string {
	if *o.Namespace != "" {
		return *o.Namespace
	}
	return "default"
}

func (o *importOptions) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	documents, err := cli.ReadDocuments(ctx, in, o.files, o.fileNamespace())
	if err != nil {
		return err
	}
	objects, unreadable := objectsOf(documents)
	result := convert.Import(objects, convert.Options{Selector: o.labels, RootNamespace: o.rootNamespace})
	result.Refused = append(unreadable, result.Refused...)
	if len(result.Plugins)+len(result.Refused) == 0 {
		for _, skipped := range result.Skipped {
			cli.Comment(errOut, skipped.Place, skipped.About+" "+skipped.Why)
		}
		return errors.New("there is no plugin of Wasm in the input; check the files' names")
	}
	content, err := o.encode(result)
	if err != nil {
		return err
	}
	for _, skipped := range result.Skipped {
		cli.Comment(errOut, skipped.Place, "skipped: "+skipped.About+": "+skipped.Why)
	}
	for _, refused := range result.Refused {
		cli.Comment(errOut, refused.Place, strings.TrimPrefix("refused: "+refused.About+": "+refused.Why, ": "))
	}
	if err := cli.Write(out, content); err != nil {
		return err
	}
	if len(result.Refused) > 0 {
		return cli.Refused("%d of %d could not be carried over", len(result.Refused), len(result.Refused)+len(result.Plugins))
	}
	return nil
}

// objectsOf sorts out what can't be read.
func objectsOf(documents []cli.Document) ([]convert.Object, []convert.Remark) {
	objects, unreadable := []convert.Object{}, []convert.Remark{}
	for _, d := range documents {
		if d.JSON == nil {
			unreadable = append(unreadable, convert.Remark{Place: d.Place, About: "the document", Why: d.Unreadable})
			continue
		}
		objects = append(objects, convert.Object{
			Place: d.Place, APIVersion: d.APIVersion, Kind: d.Kind, Namespace: d.Metadata.Namespace, Name: d.Metadata.Name, JSON: d.JSON,
		})
	}
	return objects, unreadable
}

// imported is what there is to say about one plugin, for programs.
type imported struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	From      []string `json:"from"`
	Notes     []string `json:"notes,omitempty"`
}

// encode writes a List that kubectl applies, with what there is to say beside its items.
func (o *importOptions) encode(result convert.Result) ([]byte, error) {
	if o.Form == cli.FormYAML {
		return convert.YAML(result.Plugins)
	}
	items, notes := []any{}, []imported{}
	for _, p := range result.Plugins {
		items = append(items, p.Plugin)
		notes = append(notes, imported{p.Plugin.Namespace, p.Plugin.Name, p.From, p.Notes})
	}
	return cli.JSON(map[string]any{
		"apiVersion": "v1", "kind": "List", "items": items, "notes": notes, "skipped": orEmpty(result.Skipped), "refused": orEmpty(result.Refused),
	})
}

func orEmpty(remarks []convert.Remark) []convert.Remark {
	if remarks == nil {
		return []convert.Remark{}
	}
	return remarks
}
