// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckerFlags(t *testing.T) {
	options, err := parseCheckerFlags([]string{"--socket", "/run/checker/socket", "--memory-limit", "1Gi"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if options.socket != "/run/checker/socket" || options.memoryLimit.Value() != 1<<30 || options.untilStdinCloses {
		t.Errorf("%+v", options)
	}
}

func TestCheckerRefuses(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no socket":             {nil, "--socket must name"},
		"an argument":           {[]string{"--socket", "s", "serve"}, "takes flags only"},
		"less than no memory":   {[]string{"--socket", "s", "--memory-limit", "-1"}, "0 or more"},
		"memory by the spoon":   {[]string{"--socket", "s", "--memory-limit", "1spoon"}, "invalid value"},
		"a flag of the manager": {[]string{"--leader-elect"}, "not defined"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			output := &bytes.Buffer{}
			if err := runChecker(t.Context(), test.args, output); !errors.Is(err, errUsage) || !strings.Contains(output.String(), test.want) {
				t.Errorf("returns %v and says %q", err, output)
			}
		})
	}
	if err := runChecker(t.Context(), []string{"--help"}, &bytes.Buffer{}); !errors.Is(err, flag.ErrHelp) || errors.Is(err, errUsage) {
		t.Errorf("--help returns %v", err)
	}
}

func TestCheckerEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	output := &bytes.Buffer{}
	if err := runChecker(ctx, []string{"--socket", filepath.Join(t.TempDir(), "socket")}, output); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(output.String(), "Checking plugins") {
		t.Errorf("says %q", output)
	}
}
