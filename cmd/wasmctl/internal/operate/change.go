// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// fieldManager owns what these commands write.
const fieldManager = "wasmctl"

// action is a command that changes one plugin.
type action struct {
	use, short, long, example string
	// change returns the patch (JSON merge patch), nil for none, and what to say.
	change func(ctx context.Context, c *cluster, plugin *wasmv1alpha1.WasmPlugin) (patch map[string]any, said string, err error)
}

func (a action) command() *cobra.Command {
	var options cli.ClusterOptions
	var dryRun bool
	cmd := &cobra.Command{
		Use: a.use + " NAME", Short: a.short, Long: a.long, Example: a.example,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usage(cmd, errors.New("name one WasmPlugin"))
			}
			return a.run(cmd.Context(), &options, args[0], dryRun, cmd.OutOrStdout())
		},
		ValidArgsFunction: completed(&options),
	}
	options.Add(cmd.Flags())
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "Print the patch, and change nothing.")
	return cmd
}

func (a action) run(ctx context.Context, options *cli.ClusterOptions, name string, dryRun bool, out io.Writer) error {
	c, err := open(options)
	if err != nil {
		return err
	}
	plugin, err := c.plugin(ctx, name)
	if err != nil {
		return err
	}
	patch, said, err := a.change(ctx, c, plugin)
	if err != nil {
		return err
	}
	if patch != nil {
		content, err := json.Marshal(unchanged(patch, plugin))
		if err != nil {
			return fmt.Errorf("write the patch: %w", err)
		}
		if dryRun {
			return cli.Write(out, append(content, '\n'))
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := c.Patch(ctx, plugin, client.RawPatch(types.MergePatchType, content), client.FieldOwner(fieldManager)); err != nil {
			return c.explained(err, name)
		}
	}
	return cli.Write(out, []byte(fmt.Sprintf("%s/%s: %s\n", plugin.Namespace, plugin.Name, cli.Printable(said))))
}

// unchanged adds to a patch that it is meant for the plugin as it was read: another change in between wins.
func unchanged(patch map[string]any, plugin *wasmv1alpha1.WasmPlugin) map[string]any {
	metadata, _ := patch["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		patch["metadata"] = metadata
	}
	metadata["resourceVersion"] = plugin.ResourceVersion
	return patch
}

func annotate(name string, value any) map[string]any {
	return map[string]any{"metadata": map[string]any{"annotations": map[string]any{name: value}}}
}

func newPromote() *cobra.Command {
	return action{
		use: "promote", short: "Brings a change that is on canary to all proxies now",
		long: `promote ends the canary of a change: all proxies get it, without waiting for spec.rollout.canary.holdSeconds. One that was
taken back comes into force, too. It sets the annotation ` + wasmv1alpha1.AnnotationPromote + ` to the change's name, so that it
means no other change.

It ends with 1 where no change is on canary.`,
		example: `  wasmctl promote basic-auth -n istio-system`,
		change: func(ctx context.Context, c *cluster, plugin *wasmv1alpha1.WasmPlugin) (map[string]any, string, error) {
			change, err := onCanary(ctx, c, plugin)
			return annotate(wasmv1alpha1.AnnotationPromote, change), fmt.Sprintf("change %s goes to all proxies; wasmctl status %s --watch follows it", change, plugin.Name), err
		},
	}.command()
}

func newAbort() *cobra.Command {
	return action{
		use: "abort", short: "Takes a change that is on canary back",
		long: `abort takes a change back from the canary proxies: they have what was in force before again, which the others never lost. The
spec stays as it is, and isn't in force; rollback makes it what runs. It sets the annotation ` + wasmv1alpha1.AnnotationAbort + ` to
the change's name, so that it means no other change.

It ends with 1 where no change is on canary.`,
		example: `  wasmctl abort basic-auth -n istio-system`,
		change: func(ctx context.Context, c *cluster, plugin *wasmv1alpha1.WasmPlugin) (map[string]any, string, error) {
			change, err := onCanary(ctx, c, plugin)
			return annotate(wasmv1alpha1.AnnotationAbort, change), fmt.Sprintf("change %s is taken back; the spec still has it, and isn't in force (see wasmctl rollback)", change), err
		},
	}.command()
}

// onCanary is the name of the change that is on canary, or was taken back.
func onCanary(ctx context.Context, c *cluster, plugin *wasmv1alpha1.WasmPlugin) (string, error) {
	canary, err := c.envoyFilter(ctx, plugin, wasmv1alpha1.EnvoyFilterCanaryConfig)
	if err != nil {
		return "", err
	}
	if canary == nil || canary.GetAnnotations()[wasmv1alpha1.AnnotationContent] == "" {
		return "", cli.Refused("%s/%s has no change on canary; wasmctl status %s says what it does", plugin.Namespace, plugin.Name, plugin.Name)
	}
	return canary.GetAnnotations()[wasmv1alpha1.AnnotationContent], nil
}

func newOff() *cobra.Command {
	return action{
		use: "off", short: "Switches a plugin off: loaded, and run on no request",
		long: `off sets spec.activation.mode to Off: proxies keep the plugin loaded, and run it on no request. on is the way back. It works
whatever became of a change that is on trial.

Requests then pass without what the plugin does, authentication for example. Where the WasmPlugin comes from a
repository (GitOps), switch it off there too: what stands there wins in the end.`,
		example: `  wasmctl off basic-auth -n istio-system`,
		change: func(_ context.Context, _ *cluster, plugin *wasmv1alpha1.WasmPlugin) (map[string]any, string, error) {
			mode := plugin.Spec.Activation.Mode
			if mode == wasmv1alpha1.ActivationOff {
				return nil, "is off already", nil
			}
			patch := map[string]any{"spec": map[string]any{"activation": map[string]any{"mode": wasmv1alpha1.ActivationOff}}}
			if mode != "" {
				patch["metadata"] = annotate(wasmv1alpha1.AnnotationModeBeforeOff, mode)["metadata"]
			}
			return patch, "switched off; no request meets it once status says so, and wasmctl on " + plugin.Name + " is the way back", nil
		},
	}.command()
}

func newOn() *cobra.Command {
	return action{
		use: "on", short: "Switches a plugin on again",
		long: `on gives spec.activation.mode the value that it had before off, or none, which means Safe where proxies are observed. What
proxies have accepted before comes into force without another trial.`,
		example: `  wasmctl on basic-auth -n istio-system`,
		change: func(_ context.Context, _ *cluster, plugin *wasmv1alpha1.WasmPlugin) (map[string]any, string, error) {
			if plugin.Spec.Activation.Mode != wasmv1alpha1.ActivationOff {
				return nil, "is on already", nil
			}
			patch := annotate(wasmv1alpha1.AnnotationModeBeforeOff, nil)
			patch["spec"] = map[string]any{"activation": switchedOn(plugin)}
			return patch, "switched on; wasmctl status " + plugin.Name + " --watch follows it", nil
		},
	}.command()
}

// switchedOn is the patch of spec.activation. An empty one isn't allowed there.
func switchedOn(plugin *wasmv1alpha1.WasmPlugin) any {
	before := plugin.Spec.Activation
	before.Mode = wasmv1alpha1.ActivationMode(plugin.Annotations[wasmv1alpha1.AnnotationModeBeforeOff])
	switch {
	case before == wasmv1alpha1.Activation{}:
		return nil
	case before.Mode == "":
		return map[string]any{"mode": nil}
	}
	return map[string]any{"mode": before.Mode}
}
