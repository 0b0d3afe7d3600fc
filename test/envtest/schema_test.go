// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// badValue breaks one rule of the CRD in an otherwise good spec.
type badValue struct {
	// path is what the rule is about, with [] for the items of a list and .* for the values of a map.
	path string
	// rule is the rule's name in the schema, or the message of a CEL rule.
	rule string
	// fields are fields of the spec, in JSON; null leaves one out. The others are those of goodSpec.
	fields string
}

// goodSpec is what good and bad values come into.
const goodSpec = `{"url": "oci://registry.example.com/plugin:1.0", "selector": {"matchLabels": {"istio": "ingressgateway"}}}`

// wordsOf are what the API server says of a broken rule. A CEL rule brings its own.
var wordsOf = map[string]string{
	"required":      "Required value",
	"enum":          "Unsupported value",
	"unique":        "Duplicate value",
	"type":          "must be of type",
	"pattern":       "should match",
	"minLength":     "should be at least",
	"maxLength":     "Too long: may not be more than",
	"minimum":       "should be greater than or equal to",
	"maximum":       "should be less than or equal to",
	"minItems":      "should have at least",
	"maxItems":      "Too many",
	"minProperties": "should have at least",
	"maxProperties": "Too many",
}

// withFields makes a plugin of goodSpec and some fields.
func withFields(namespace, fields string) *unstructured.Unstructured {
	GinkgoHelper()
	var spec, changed map[string]any
	Expect(json.Unmarshal([]byte(goodSpec), &spec)).To(Succeed())
	Expect(json.Unmarshal([]byte(fields), &changed)).To(Succeed(), fields)
	maps.Copy(spec, changed)
	maps.DeleteFunc(spec, func(_ string, value any) bool { return value == nil })
	plugin := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	plugin.SetGroupVersionKind(wasmv1alpha1.SchemeGroupVersion.WithKind("WasmPlugin"))
	plugin.SetNamespace(namespace)
	plugin.SetGenerateName("spec-")
	return plugin
}

// complaint is what the API server has against a plugin.
type complaint struct{ Field, Message string }

func complaints(ctx context.Context, plugin client.Object) []complaint {
	GinkgoHelper()
	err := k8s.Create(ctx, plugin, client.DryRunAll)
	if err == nil {
		return nil
	}
	Expect(err).To(Satisfy(apierrors.IsInvalid))
	status := apierrors.APIStatus(nil)
	Expect(errors.As(err, &status)).To(BeTrue())
	var found []complaint
	for _, cause := range status.Status().Details.Causes {
		// Without a field it speaks of the object: CEL rules were not tried, or a type is wrong once more.
		if cause.Field != "<nil>" {
			found = append(found, complaint{itemIndex.ReplaceAllString(cause.Field, "[]"), cause.Message})
		}
	}
	return found
}

var itemIndex = regexp.MustCompile(`\[\d+\]`)

// about says whether a complaint is about a rule's field. An object that lacks its only field is also too small.
func (c complaint) about(bad badValue) bool {
	return strings.HasPrefix(c.Field, strings.TrimSuffix(bad.path, ".*")) ||
		bad.rule == "required" && strings.HasPrefix(bad.path, c.Field+".") && strings.Contains(c.Message, "should have at least 1 properties")
}

var badValues = slices.Concat(badModuleValues, badMatchValues, badRuntimeValues)

var _ = Describe("The schema", func() {
	for _, bad := range badValues {
		It("refuses a bad value: "+bad.path+": "+bad.rule, func(ctx SpecContext) {
			want, isSchemaRule := wordsOf[bad.rule]
			if !isSchemaRule {
				want = bad.rule
			}
			said := complaints(ctx, withFields(metav1.NamespaceDefault, bad.fields))
			Expect(said).To(ContainElement(HaveField("Message", ContainSubstring(want))))
			Expect(said).To(HaveEach(Satisfy(func(c complaint) bool { return c.about(bad) })), "nothing else is wrong")
		})
	}

	It("has no rule that isn't tried with a bad value", func() {
		rules := schemaRules("spec", specSchema())
		Expect(len(rules)).To(BeNumerically(">", 100))
		tried := map[string]bool{}
		for _, bad := range badValues {
			if bad.rule != "type" {
				tried[bad.path+": "+bad.rule] = true
			}
		}
		Expect(slices.DeleteFunc(slices.Clone(rules), func(rule string) bool { return tried[rule] })).To(BeEmpty())
		for rule := range tried {
			Expect(rules).To(ContainElement(rule), "the schema no longer has it")
		}
	})
})

func specSchema() apiextensionsv1.JSONSchemaProps {
	GinkgoHelper()
	raw, err := os.ReadFile(filepath.Join(repository, "config", "crd", "bases", "wasm.solarmesh.io_wasmplugins.yaml"))
	Expect(err).NotTo(HaveOccurred())
	crd := &apiextensionsv1.CustomResourceDefinition{}
	Expect(yaml.Unmarshal(raw, crd)).To(Succeed())
	Expect(crd.Spec.Versions).To(HaveLen(1))
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
}

// schemaRules lists the rules of a schema and of all below it.
func schemaRules(path string, schema apiextensionsv1.JSONSchemaProps) []string {
	var rules []string
	add := func(path, rule string) { rules = append(rules, path+": "+rule) }
	for rule, set := range map[string]bool{
		"enum": schema.Enum != nil, "pattern": schema.Pattern != "",
		"minLength": schema.MinLength != nil, "maxLength": schema.MaxLength != nil,
		"minimum": schema.Minimum != nil, "maximum": schema.Maximum != nil,
		"minItems": schema.MinItems != nil, "maxItems": schema.MaxItems != nil,
		"minProperties": schema.MinProperties != nil, "maxProperties": schema.MaxProperties != nil,
		"unique": schema.XListType != nil && *schema.XListType != "atomic",
	} {
		if set {
			add(path, rule)
		}
	}
	for _, rule := range schema.XValidations {
		add(path+rule.FieldPath, rule.Message)
	}
	for _, name := range schema.Required {
		add(path+"."+name, "required")
	}
	for name, property := range schema.Properties {
		rules = append(rules, schemaRules(path+"."+name, property)...)
	}
	if schema.Items != nil {
		rules = append(rules, schemaRules(path+"[]", *schema.Items.Schema)...)
	}
	if schema.AdditionalProperties != nil {
		rules = append(rules, schemaRules(path+".*", *schema.AdditionalProperties.Schema)...)
	}
	return rules
}
