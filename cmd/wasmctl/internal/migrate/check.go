// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/convert"
)

// others are the kinds that load plugins, too.
var others = []schema.GroupVersionKind{
	{Group: "networking.istio.io", Version: "v1alpha3", Kind: "EnvoyFilter"},
	{Group: "extensions.istio.io", Version: "v1alpha1", Kind: "WasmPlugin"},
	{Group: "extensions.istio.io", Version: "v1alpha1", Kind: "TrafficExtension"},
}

// checked is what --check found, for programs.
type checked struct {
	Doubles []convert.Double `json:"doubles"`
	Remarks []convert.Remark `json:"remarks"`
}

func (o *importOptions) runCheck(ctx context.Context, out, errOut io.Writer) error {
	config, err := o.Config()
	if err != nil {
		return err
	}
	reader, err := cli.Client(config)
	if err != nil {
		return err
	}
	found, err := o.look(ctx, reader)
	if errors.Is(err, context.DeadlineExceeded) {
		return cli.Unanswered(config.Host)
	}
	if err != nil {
		return err
	}
	content, err := o.encodeCheck(found)
	if err != nil {
		return err
	}
	for _, remark := range found.Remarks {
		cli.Comment(errOut, remark.Place, remark.About+": "+remark.Why)
	}
	if err := cli.Write(out, content); err != nil {
		return err
	}
	if len(found.Doubles) > 0 {
		return cli.Refused("%d run twice; wait until the WasmPlugin is Programmed, and delete the other, see docs/migration.md", len(found.Doubles))
	}
	return nil
}

// look reads the cluster. A kind that it doesn't know loads nothing.
func (o *importOptions) look(ctx context.Context, reader client.Reader) (checked, error) {
	var ours wasmv1alpha1.WasmPluginList
	found := checked{Doubles: []convert.Double{}, Remarks: []convert.Remark{}}
	if err := reader.List(ctx, &ours, client.InNamespace(*o.Namespace)); unknown(err) {
		return found, fmt.Errorf("the cluster has no WasmPlugin of %s; install the operator's custom resource definition", wasmv1alpha1.SchemeGroupVersion.Group)
	} else if err != nil {
		return found, fmt.Errorf("list the WasmPlugins: %w", err)
	}
	var objects []convert.Object
	for _, kind := range others {
		listed, err := list(ctx, reader, kind)
		if unknown(err) {
			found.Remarks = append(found.Remarks, convert.Remark{Place: "cluster", About: kind.Kind + " of " + kind.Group, Why: "is a kind that the cluster doesn't know, and was skipped"})
			continue
		}
		if err != nil {
			return found, fmt.Errorf("list %s of %s: %w", kind.Kind, kind.Group, err)
		}
		objects = append(objects, listed...)
	}
	doubles, remarks := convert.Doubles(ours.Items, objects, o.rootNamespace)
	found.Doubles = append(found.Doubles, doubles...)
	found.Remarks = append(found.Remarks, remarks...)
	return found, ctx.Err()
}

func unknown(err error) bool { return apimeta.IsNoMatchError(err) || apierrors.IsNotFound(err) }

// page bounds what one answer of the API server holds.
const page = 500

func list(ctx context.Context, reader client.Reader, kind schema.GroupVersionKind) ([]convert.Object, error) {
	var objects []convert.Object
	next := ""
	for {
		answer := &unstructured.UnstructuredList{}
		answer.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := reader.List(ctx, answer, client.Limit(page), client.Continue(next)); err != nil {
			return nil, err
		}
		for i := range answer.Items {
			item := &answer.Items[i]
			raw, err := json.Marshal(item.Object)
			if err != nil {
				return nil, fmt.Errorf("read %s %s/%s: %w", kind.Kind, item.GetNamespace(), item.GetName(), err)
			}
			objects = append(objects, convert.Object{
				Place: "cluster", APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: item.GetNamespace(), Name: item.GetName(), JSON: raw,
			})
		}
		if next = answer.GetContinue(); next == "" {
			return objects, nil
		}
	}
}

func (o *importOptions) encodeCheck(found checked) ([]byte, error) {
	if o.Form == cli.FormJSON {
		return cli.JSON(found)
	}
	var out bytes.Buffer
	for _, double := range found.Doubles {
		line := fmt.Sprintf("WasmPlugin %s runs twice: %s has the same %s, in proxies that are %s",
			double.Plugin, strings.Join(double.Others, " and "), strings.Join(double.Same, " and "), strings.TrimPrefix(double.Proxies, "are "))
		fmt.Fprintln(&out, cli.Printable(strings.Replace(line, "that are may be", "that may be", 1)))
	}
	return out.Bytes(), nil
}
