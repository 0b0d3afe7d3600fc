// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/solarmesh/wasmplugin-operator/config/crd"
)

// apiServer judges an object as an API server does that has our custom resource definition.
type apiServer struct {
	structural *schema.Structural
	values     validation.SchemaValidator
	rules      *cel.Validator
}

// newAPIServer compiles the definition, once: its rules take a while.
var newAPIServer = sync.OnceValues(func() (*apiServer, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(crd.WasmPlugins, &definition); err != nil {
		return nil, fmt.Errorf("read the custom resource definition: %w", err)
	}
	var internal apiextensions.JSONSchemaProps
	root := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(root, &internal, nil); err != nil {
		return nil, fmt.Errorf("read the custom resource definition: %w", err)
	}
	structural, err := schema.NewStructural(&internal)
	if err != nil {
		return nil, fmt.Errorf("read the custom resource definition: %w", err)
	}
	values, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		return nil, fmt.Errorf("read the custom resource definition: %w", err)
	}
	return &apiServer{structural, values, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
})

// judge returns what the API server would refuse. It quotes no values: a URL may hold a password, and rules may.
func (s *apiServer) judge(ctx context.Context, plugin judged) ([]problem, error) {
	var object map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(plugin.JSON, &object); err != nil {
		return []problem{unreadable(err)}, nil
	}
	found := apivalidation.ValidateObjectMeta(&plugin.plugin.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	found = append(found, validation.ValidateCustomResource(nil, object, s.values)...)
	found = append(found, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if len(found) == 0 { // rules are written for values of the right types
		found, _ = s.rules.Validate(ctx, nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
	}
	return problemsOf(found), nil
}

func problemsOf(found field.ErrorList) []problem {
	problems := make([]problem, 0, len(found))
	for _, err := range found {
		message := err.Detail
		if message == "" {
			message = err.Type.String()
		}
		problems = append(problems, problem{err.Field, strings.TrimPrefix(message, err.Field+" in body ")})
	}
	return problems
}
