// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// Pushed is what became of a push. Names are those that inspect has.
type Pushed struct {
	// Reference is what spec.url is to be; SHA256 pins it there.
	Reference string `json:"reference"`
	// Namespace is the one that a module in the store is of, and so the WasmPlugin's.
	Namespace      string `json:"namespace,omitempty"`
	SHA256         string `json:"sha256"`
	Digest         string `json:"digest"`
	ManifestDigest string `json:"manifestDigest,omitempty"`
	Size           int64  `json:"size"`
	ABI            string `json:"abi"`
	Signed         bool   `json:"signed,omitempty"`
}

func (p *plugin) pushed(reference, pin string) *Pushed {
	return &Pushed{
		Reference: reference, SHA256: strings.TrimPrefix(pin, "sha256:"), Digest: p.digest(), Size: int64(len(p.content)), ABI: p.abi,
	}
}

// resource is a WasmPlugin that runs what was pushed, to be filled in. What was found out stands before it as comments, so
// that all of it is a file to apply.
func (p *plugin) resource(pushed *Pushed) ([]byte, error) {
	var out bytes.Buffer
	comment := func(format string, args ...any) { fmt.Fprintln(&out, "# "+cli.Printable(fmt.Sprintf(format, args...))) }
	comment("Pushed %s", pushed.Reference)
	comment("module %s, %d bytes, proxy-wasm %s", pushed.Digest, pushed.Size, pushed.ABI)
	if pushed.ManifestDigest != "" {
		signed := ""
		if pushed.Signed {
			signed = ", signed"
		}
		comment("manifest %s%s", pushed.ManifestDigest, signed)
	}
	fmt.Fprintf(&out, "apiVersion: %s\nkind: WasmPlugin\nmetadata:\n  name: %s\n", wasmv1alpha1.SchemeGroupVersion, p.name(pushed.Reference))
	if pushed.Namespace != "" {
		fmt.Fprintf(&out, "  namespace: %s\n", pushed.Namespace)
	}
	fmt.Fprintf(&out, "spec:\n  url: %s\n  sha256: %s\n", pushed.Reference, pushed.SHA256)
	fields, err := p.fields()
	if err != nil {
		return nil, err
	}
	out.WriteString(fields)
	out.WriteString("  selector: # fill in: labels of the proxies that are to run it\n    matchLabels:\n      istio: ingressgateway\n")
	return out.Bytes(), nil
}

// fields are those that the module itself describes.
func (p *plugin) fields() (string, error) {
	if p.config == nil {
		return "", nil
	}
	fields := map[string]any{}
	if len(p.config.RootIDs) > 0 {
		fields["pluginName"] = p.config.RootIDs[0]
	}
	if len(p.config.DefaultRules) > 0 {
		fields["rules"] = p.config.DefaultRules
	}
	if len(fields) == 0 {
		return "", nil
	}
	text, err := yaml.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("write the WasmPlugin: %w", err)
	}
	return "  " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n  ") + "\n", nil
}

// name is what the module calls itself, or else the last part of its reference.
func (p *plugin) name(reference string) string {
	candidates := []string{}
	if p.config != nil {
		candidates = append(candidates, p.config.Name)
	}
	last, _, _ := strings.Cut(path.Base(reference), ":")
	for _, candidate := range append(candidates, last) {
		if len(validation.IsDNS1123Label(candidate)) == 0 {
			return candidate
		}
	}
	return "my-plugin"
}
