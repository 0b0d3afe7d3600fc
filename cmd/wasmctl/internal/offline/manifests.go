// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// manifests is the input: WasmPlugins, and what stands beside them.
type manifests struct {
	// all are the documents that are judged, in order: WasmPlugins, what was meant to be one, and what can't be read.
	all []judged
	// skipped are objects that are none of our business.
	skipped []cli.Document
	// values are those of ConfigMaps and Secrets.
	values map[source]rules.Content
	// pullSecrets are of type kubernetes.io/dockerconfigjson.
	pullSecrets map[types.NamespacedName][]byte
}

// source is a ConfigMap or a Secret.
type source struct {
	namespace string
	rules.Object
}

// judged is a document with what is wrong with it so far.
type judged struct {
	cli.Document
	// plugin is nil where there are problems.
	plugin   *wasmv1alpha1.WasmPlugin
	problems []problem
}

// problem is what is wrong with a field, or with the whole where it names none.
type problem struct {
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

func (p problem) String() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}

// errNothing is for input that would otherwise pass since nothing in it was looked at.
var errNothing = errors.New("there is no WasmPlugin in the input; check the files' names")

// readManifests reads files and sorts what is in them.
func readManifests(ctx context.Context, in io.Reader, options inputOptions) (*manifests, error) {
	texts, err := cli.ReadTexts(ctx, in, options.files)
	if err != nil {
		return nil, err
	}
	m := &manifests{values: map[source]rules.Content{}, pullSecrets: map[types.NamespacedName][]byte{}}
	for _, text := range texts {
		for _, document := range cli.Parse(text, options.namespace) {
			m.sort(document)
		}
	}
	if len(m.all) == 0 {
		return nil, errNothing
	}
	return m, ctx.Err()
}

func (m *manifests) sort(d cli.Document) {
	switch {
	case d.JSON == nil:
		m.refuse(d, problem{Message: d.Unreadable})
	case d.APIVersion == "v1" && (d.Kind == string(rules.ConfigMap) || d.Kind == string(rules.Secret)):
		if err := m.addSource(d); err != nil {
			m.refuse(d, *err)
		}
	case isPlugin(d.Head) || resembles(d.Head):
		m.all = append(m.all, decodePlugin(d))
	default:
		m.skipped = append(m.skipped, d)
	}
}

func (m *manifests) refuse(d cli.Document, problems ...problem) {
	m.all = append(m.all, judged{Document: d, problems: problems})
}

// addSource keeps the values that the API server would give to the operator. What is wrong is never quoted: it may be a
// password.
func (m *manifests) addSource(d cli.Document) *problem {
	key := source{d.Metadata.Namespace, rules.Object{Kind: rules.Kind(d.Kind), Name: d.Metadata.Name}}
	if d.Kind == string(rules.ConfigMap) {
		var object corev1.ConfigMap
		if err := json.Unmarshal(d.JSON, &object); err != nil {
			return &problem{Message: "is no ConfigMap: data takes text in quotes, binaryData base64"}
		}
		m.values[key] = rules.Content{Data: rules.Texts(object.Data, object.BinaryData)}
		return nil
	}
	var object corev1.Secret
	if err := json.Unmarshal(d.JSON, &object); err != nil {
		return &problem{Message: "is no Secret: data takes base64, stringData text in quotes"}
	}
	data := rules.Texts(object.StringData, object.Data)
	m.values[key] = rules.Content{Data: data}
	if denied := rules.NoConsent(object.Labels); denied != "" {
		m.values[key] = rules.Content{Denied: denied}
	}
	if object.Type == corev1.SecretTypeDockerConfigJson {
		m.pullSecrets[types.NamespacedName{Namespace: d.Metadata.Namespace, Name: d.Metadata.Name}] = data[corev1.DockerConfigJsonKey]
	}
	return nil
}

// input is what the operator would give to translate, and the objects that a plugin names and the input lacks.
func (m *manifests) input(plugin *wasmv1alpha1.WasmPlugin, options translate.Options) (translate.Input, []rules.Object) {
	in := translate.Input{Plugin: plugin, Options: options, Sources: rules.Sources{}, Ties: m.ties(plugin, options)}
	var missing []rules.Object
	size := rules.Size(0)
	for _, object := range translate.References(plugin.Spec) {
		content, there := m.values[source{plugin.Namespace, object}]
		if !there {
			missing = append(missing, object)
			continue
		}
		in.Sources[object] = size.Bounded(content)
	}
	return in, missing
}

// ties are the plugins of the input that the operator would find to be of equal rank.
func (m *manifests) ties(plugin *wasmv1alpha1.WasmPlugin, options translate.Options) []string {
	var ties []string
	for _, other := range m.all {
		if other.plugin == nil || (other.plugin.Namespace == plugin.Namespace && other.plugin.Name == plugin.Name) {
			continue
		}
		if options.Meet(other.plugin.Namespace, plugin.Namespace) && translate.IdentityKey(other.plugin.Namespace, other.plugin.Name) == translate.IdentityKey(plugin.Namespace, plugin.Name) {
			ties = append(ties, other.plugin.Namespace+"/"+other.plugin.Name)
		}
	}
	slices.Sort(ties)
	return slices.Compact(ties)
}
