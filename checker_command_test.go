// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
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
	socket := filepath.Join(t.TempDir(), "socket")
	if err := runChecker(ctx, []string{"--socket", socket}, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runChecker(ctx, []string{"--socket", socket}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("serves in the place of somebody's file: %v", err)
	}
}
