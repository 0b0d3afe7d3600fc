// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	kjson "sigs.k8s.io/json"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/convert"
)

// toIstio is the one value of --to.
const toIstio = "istio"

type exportOptions struct {
	cli.OutputOptions

	files     []string
	namespace string
	to        string
	lossy     bool
}

func newExport() *cobra.Command {
	var options exportOptions
	cmd := &cobra.Command{
		Use:   "export --to istio -f FILE...",
		Short: "Makes Istio's own WasmPlugins of WasmPlugins",
		Long: `export prints, for every WasmPlugin in the files, the WasmPlugin of extensions.istio.io that is nearest to it, below
comments that say what Istio's kind can't say. A plugin for which that may change who is let in (overrides, rulesFrom,
verification, and others) is refused, unless --lossy is given.

It ends with 0 when all were written, 1 when at least one was refused, and 2 when it was called the wrong way or could not
read a file.`,
		Example: `  wasmctl export --to istio -f plugin.yaml
  kubectl get wasmp -A -o yaml | wasmctl export --to istio --lossy -f -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.complete(args); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&options.files, "filename", "f", nil, "File to read, - for standard input. May be repeated; further files may follow without -f.")
	flags.StringVarP(&options.namespace, "namespace", "n", "default", "Namespace of documents that name none.")
	flags.StringVar(&options.to, "to", "", "Whose kind to write: istio.")
	flags.BoolVar(&options.lossy, "lossy", false, "Write it although it may change who is let in.")
	options.OutputOptions.Add(cmd, cli.FormYAML, cli.FormJSON)
	return cmd
}

func (o *exportOptions) complete(args []string) error {
	o.files = append(o.files, args...)
	switch {
	case o.to != toIstio:
		return fmt.Errorf("--to %q is none that can be written; write --to istio", o.to)
	case len(o.files) == 0:
		return errors.New("name a file with -f, or - for standard input")
	case o.namespace == "":
		return errors.New("--namespace is empty; name one, or leave it out")
	}
	return o.OutputOptions.Complete()
}

// exports are what is written, and what there is to say.
type exports struct {
	documents []convert.Document
	notes     []imported
	skipped   []convert.Remark
	refused   []convert.Remark
}

func (o *exportOptions) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	documents, err := cli.ReadDocuments(ctx, in, o.files, o.namespace)
	if err != nil {
		return err
	}
	all := exports{notes: []imported{}}
	for _, document := range documents {
		o.export(document, &all)
	}
	if len(all.documents)+len(all.refused) == 0 {
		return errors.New("there is no WasmPlugin of " + wasmv1alpha1.SchemeGroupVersion.Group + " in the input; check the files' names")
	}
	content, err := o.encode(all)
	if err != nil {
		return err
	}
	for _, remark := range all.skipped {
		cli.Comment(errOut, remark.Place, "skipped: "+remark.About+": "+remark.Why)
	}
	for _, remark := range all.refused {
		cli.Comment(errOut, remark.Place, "refused: "+remark.About+": "+remark.Why)
	}
	if err := cli.Write(out, content); err != nil {
		return err
	}
	if len(all.refused) > 0 {
		return cli.Refused("%d of %d were not written", len(all.refused), len(all.refused)+len(all.documents))
	}
	return nil
}

func (o *exportOptions) export(d cli.Document, all *exports) {
	refuse := func(why string) {
		all.refused = append(all.refused, convert.Remark{Place: d.Place, About: d.Head.String(), Why: why})
	}
	switch ours := d.APIVersion == wasmv1alpha1.SchemeGroupVersion.String() && d.Kind == "WasmPlugin"; {
	case d.JSON == nil:
		all.refused = append(all.refused, convert.Remark{Place: d.Place, About: "the document", Why: d.Unreadable})
		return
	case !ours:
		all.skipped = append(all.skipped, convert.Remark{Place: d.Place, About: d.Head.String(), Why: "is no WasmPlugin of this operator"})
		return
	}
	plugin := &wasmv1alpha1.WasmPlugin{}
	strict, err := kjson.UnmarshalStrict(d.JSON, plugin)
	if err != nil || len(strict) > 0 {
		refuse("has fields that a WasmPlugin doesn't have, or values of other types; wasmctl validate says which")
		return
	}
	plugin.Namespace = d.Metadata.Namespace
	exported := convert.ToIstio(plugin)
	switch {
	case exported.Impossible != "":
		refuse(exported.Impossible)
		return
	case len(exported.Lost) > 0 && !o.lossy:
		refuse("may let in others there; give --lossy to write it all the same: " + strings.Join(exported.Lost, "; "))
		return
	}
	notes := append(exported.Lost, exported.Notes...)
	from := []string{fmt.Sprintf("%s (%s)", d.Head, d.Place)}
	all.documents = append(all.documents, convert.Document{From: from, Notes: notes, Object: exported.Object})
	all.notes = append(all.notes, imported{plugin.Namespace, plugin.Name, from, notes})
}

func (o *exportOptions) encode(all exports) ([]byte, error) {
	if o.Form == cli.FormYAML {
		return convert.Documents(all.documents)
	}
	items := []any{}
	for _, document := range all.documents {
		items = append(items, document.Object)
	}
	return cli.JSON(map[string]any{
		"apiVersion": "v1", "kind": "List", "items": items, "notes": all.notes, "skipped": orEmpty(all.skipped), "refused": orEmpty(all.refused),
	})
}
