// SPDX-License-Identifier: Apache-2.0

// Package charts holds the operator's chart, for programs that install it.
package charts

import "embed"

// Operator is the folder of the name Name. Files that begin with a dot or an underscore, such as _helpers.tpl, are in it too.
//
//go:embed all:wasmplugin-operator
var Operator embed.FS

// Name is that of the chart, and of its folder in Operator.
const Name = "wasmplugin-operator"
