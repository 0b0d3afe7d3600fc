// SPDX-License-Identifier: Apache-2.0

// Package proxies knows what the proxies of a mesh do with plugins, from what their istiods say of them (debug data over
// xDS): which proxies there are, what they ask for, what they were sent, and what they acknowledged or refused.
package proxies
