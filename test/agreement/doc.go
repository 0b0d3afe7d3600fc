// SPDX-License-Identifier: Apache-2.0

// Package agreement holds the test that the dry start and Envoy agree: the same modules with the same rules, the same
// verdict for the same reason, and the same words of the plugin. What both say is the table in docs/dry-start.md.
package agreement
