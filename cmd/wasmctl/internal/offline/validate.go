// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

type validateOptions struct {
	inputOptions
	renderingOptions
	cli.OutputOptions
	fetchOptions

	fetch          bool
	start          bool
	requireSources bool
}

// NewValidate returns the command validate.
func NewValidate() *cobra.Command {
	var options validateOptions
	cmd := &cobra.Command{
		Use:   "validate -f FILE...",
		Short: "Says which WasmPlugins an API server or the operator would refuse, and why",
		Long: `validate judges every WasmPlugin in the files, a line each: fields that don't exist, what the custom resource
definition refuses, and what the operator refuses. Where a field of Istio's own WasmPlugin stands, it says which of ours
is meant. ConfigMaps and Secrets in the files serve rulesFrom; those that are not there are taken for {}.

With --fetch it also fetches each module, and says what is wrong with it, and with the rules where the module carries a
schema of them. With --start it also starts each plugin with its rules, as a proxy would, and says what the plugin says.

It ends with 0 when all are good, 1 when at least one is refused, and 2 when it was called the wrong way, could not read
a file, or could not reach a module's server.`,
		Example: `  wasmctl validate -f plugin.yaml
  wasmctl validate -f plugins/*.yaml -o json
  helm template shop ./chart | wasmctl validate -f - --fetch --pull-secret-file config.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.complete(args); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	options.inputOptions.add(cmd.Flags())
	options.renderingOptions.add(cmd.Flags())
	options.OutputOptions.Add(cmd, cli.FormText, cli.FormJSON)
	cmd.Flags().BoolVar(&options.requireSources, "require-sources", false, "Refuse a plugin whose ConfigMaps or Secrets are not in the files.")
	cmd.Flags().BoolVar(&options.fetch, "fetch", false, "Fetch the modules and judge them, too.")
	cmd.Flags().BoolVar(&options.start, "start", false, "Fetch the modules and start the plugins with their rules; implies --fetch and --require-sources.")
	options.fetchOptions.add(cmd.Flags())
	return cmd
}

func (o *validateOptions) complete(args []string) error {
	o.fetch = o.fetch || o.start
	o.requireSources = o.requireSources || o.start
	if !o.fetch {
		if err := o.unused(); err != nil {
			return err
		}
	}
	return cli.FirstError(o.inputOptions.complete(args), o.renderingOptions.complete(), o.OutputOptions.Complete())
}

func (o validateOptions) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	input, err := readManifests(ctx, in, o.inputOptions)
	if err != nil {
		return err
	}
	verdicts, err := o.judge(ctx, input)
	if err != nil {
		return err
	}
	content, err := o.encode(verdicts, errOut)
	if err != nil {
		return err
	}
	for _, skipped := range input.skipped {
		cli.Comment(errOut, skipped.Place, skipped.String()+" is no WasmPlugin, and was not looked at.")
	}
	if err := cli.Write(out, content); err != nil {
		return err
	}
	return summary(verdicts)
}

func (o validateOptions) judge(ctx context.Context, input *manifests) ([]Verdict, error) {
	judge := judge{manifests: input, Options: o.Options, withSources: o.requireSources}
	modules, done, err := o.moduleJudge(o.fetch, input)
	if err != nil {
		return nil, err
	}
	defer done()
	var verdicts []Verdict
	for _, document := range input.all {
		result, rendered, err := judge.of(document)
		if err == nil && result.Result == ResultGood {
			err = o.further(ctx, document, rendered, modules, &result)
		}
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, result)
	}
	return verdicts, nil
}

// further judges what the operator takes by the API server's rules, then by its module, then by the plugin itself.
func (o validateOptions) further(ctx context.Context, document judged, rendered rendered, modules *moduleJudge, result *Verdict) error {
	problems, err := schemaProblems(ctx, document)
	switch {
	case err != nil:
		return err
	case len(problems) > 0:
		result.refuse(reasonInvalid, problems...)
		return nil
	case modules == nil:
		return nil
	}
	content, err := modules.judge(ctx, document.plugin, result)
	switch {
	case err != nil || content == nil:
		return err
	case o.start:
		return rendered.start(ctx, content, result)
	default:
		return rendered.compare(ctx, content, result)
	}
}

func (o validateOptions) encode(verdicts []Verdict, errOut io.Writer) ([]byte, error) {
	if o.Form == cli.FormJSON {
		return cli.JSON(verdicts)
	}
	var out bytes.Buffer
	for _, result := range verdicts {
		for _, note := range result.Notes {
			cli.Comment(errOut, result.place(), note)
		}
		fmt.Fprintln(&out, cli.Printable(result.place()+": "+result.words()))
	}
	return out.Bytes(), nil
}

func (v Verdict) place() string {
	if name := v.head.String(); name != "" {
		return v.Place + ": " + name
	}
	return v.Place
}

// words are the verdict as the end of a line.
func (v Verdict) words() string {
	words := v.Result
	if v.Reason != "" {
		words += " (" + v.Reason + ")"
	}
	problems := make([]string, 0, len(v.Problems))
	for _, problem := range v.Problems {
		problems = append(problems, problem.String())
	}
	if len(problems) > 0 {
		words += ": " + strings.Join(problems, "; ")
	}
	if v.Module != nil {
		words += fmt.Sprintf(" (module %s, %d bytes, ABI %s)", v.Module.Digest, v.Module.Size, v.Module.ABI)
	}
	return words
}

// summary is what the exit code is made of. What is refused is certain, so it counts more than what could not be judged.
func summary(verdicts []Verdict) error {
	count := map[string]int{}
	for _, result := range verdicts {
		count[result.Result]++
	}
	switch {
	case count[ResultRefused] > 0:
		return refusedOf(count[ResultRefused], len(verdicts))
	case count[ResultFailed] > 0:
		return fmt.Errorf("%d of %d could not be judged, since their modules could not be fetched", count[ResultFailed], len(verdicts))
	}
	return nil
}
