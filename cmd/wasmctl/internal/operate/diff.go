// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/offline"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

type diffOptions struct {
	cli.ClusterOptions

	renderer          offline.Renderer
	operatorNamespace string
}

func newDiff() *cobra.Command {
	var options diffOptions
	cmd := &cobra.Command{
		Use:   "diff -f FILE...",
		Short: "Shows what WasmPlugins in files would change in the cluster's EnvoyFilters",
		Long: `diff renders the WasmPlugins in the files as render does, and compares that with the EnvoyFilters that are in force, as
unified diffs. ConfigMaps and Secrets that rulesFrom names must be in the files.

What the installation is like it reads from the operator's Deployment; flags that are given overrule that. A module that
is in the cluster already, under the same URL, is taken as it is there; another one needs --fetch, or stands in the output
by its URL.

It ends with 0 when nothing differs, 1 when something does or is refused, and 2 when it could not tell.`,
		Example: `  wasmctl diff -f plugin.yaml
  wasmctl diff -f plugin.yaml -f users.yaml -n shop --fetch`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.renderer.Complete(); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd, args)
		},
	}
	options.ClusterOptions.Add(cmd.Flags())
	options.renderer.AddFiles(cmd.Flags())
	options.renderer.Add(cmd.Flags())
	cmd.Flags().StringVar(&options.operatorNamespace, "operator-namespace", "", "Namespace of the operator's Deployment. Default: it is looked for.")
	return cmd
}

func (o *diffOptions) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	c, err := open(&o.ClusterOptions)
	if err != nil {
		return err
	}
	if err := o.renderer.CompleteFiles(args, c.namespace); err != nil {
		return cli.Usage(cmd, err)
	}
	if err := c.installation(ctx, o.operatorNamespace, cmd.Flags()); err != nil {
		cli.Comment(cmd.ErrOrStderr(), "the operator's Deployment", err.Error())
	}
	o.renderer.Live = c.live
	objects, refused := o.renderer.Render(ctx, cmd.InOrStdin(), cmd.ErrOrStderr())
	if _, isRefusal := errors.AsType[*cli.RefusedError](refused); refused != nil && !isRefusal {
		return refused
	}
	differing, err := c.compare(ctx, objects, cmd.OutOrStdout())
	switch {
	case err != nil:
		return err
	case refused != nil:
		return refused
	case differing > 0:
		return cli.Refused("%d of %d EnvoyFilters differ", differing, len(objects))
	}
	return nil
}

// live completes what is rendered with what stands in the cluster.
func (c *cluster) live(ctx context.Context, in translate.Input) (translate.Input, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stands := &wasmv1alpha1.WasmPlugin{}
	err := c.Get(ctx, types.NamespacedName{Namespace: in.Plugin.Namespace, Name: in.Plugin.Name}, stands)
	switch {
	case apierrors.IsNotFound(err):
		return in, nil
	case err != nil:
		return in, c.explained(err, in.Plugin.Name)
	}
	plugin := in.Plugin.DeepCopy()
	plugin.UID, plugin.Generation, in.Plugin = stands.UID, stands.Generation, plugin
	if !in.ResolveModules || plugin.Spec.URL != stands.Spec.URL || plugin.Spec.SHA256 != stands.Spec.SHA256 {
		return in, nil
	}
	config, err := c.envoyFilter(ctx, stands, wasmv1alpha1.EnvoyFilterConfig)
	if err != nil || config == nil {
		return in, err
	}
	if module := resolve.Parse(config.GetAnnotations()[wasmv1alpha1.AnnotationModule]); module.Digest != "" {
		in.Module = module.Located(in)
	}
	return in, nil
}

// compare writes the differences, and returns how many objects differ.
func (c *cluster) compare(ctx context.Context, objects []*unstructured.Unstructured, out io.Writer) (int, error) {
	differing := 0
	var all strings.Builder
	for _, wanted := range objects {
		stands, err := c.standing(ctx, wanted)
		if err != nil {
			return 0, err
		}
		text, err := difference(stands, wanted)
		if err != nil {
			return 0, err
		}
		if text != "" {
			differing++
			all.WriteString(text)
		}
	}
	return differing, cli.Write(out, []byte(all.String()))
}

// standing is what the cluster has of that name; nil for nothing.
func (c *cluster) standing(ctx context.Context, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stands := &unstructured.Unstructured{}
	stands.SetGroupVersionKind(wanted.GroupVersionKind())
	err := c.Get(ctx, types.NamespacedName{Namespace: wanted.GetNamespace(), Name: wanted.GetName()}, stands)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // That there is none is an answer.
	}
	if err != nil {
		return nil, c.explained(err, wanted.GetName())
	}
	return stands, nil
}

// difference is a unified diff of what the operator applies of two objects; empty for none.
func difference(stands, wanted *unstructured.Unstructured) (string, error) {
	before, err := applied(stands)
	if err != nil {
		return "", err
	}
	after, err := applied(wanted)
	if err != nil || before == after {
		return "", err
	}
	name := "EnvoyFilter " + wanted.GetNamespace() + "/" + wanted.GetName()
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(before), B: difflib.SplitLines(after), FromFile: name + " (cluster)", ToFile: name + " (files)", Context: 3,
	})
	if err != nil {
		return "", fmt.Errorf("compare %s: %w", name, err)
	}
	return text, nil
}

// applied is the part of an object that the operator renders, as YAML: its annotations are memory.
func applied(object *unstructured.Unstructured) (string, error) {
	if object == nil {
		return "", nil
	}
	metadata := map[string]any{"name": object.GetName(), "namespace": object.GetNamespace()}
	if labels := object.GetLabels(); len(labels) > 0 {
		metadata["labels"] = labels
	}
	if owners := object.GetOwnerReferences(); len(owners) > 0 {
		metadata["ownerReferences"] = owners
	}
	content, err := cli.Encode(map[string]any{
		"apiVersion": object.GetAPIVersion(), "kind": object.GetKind(), "metadata": metadata, "spec": object.Object["spec"],
	}, cli.FormYAML)
	return string(content), err
}
