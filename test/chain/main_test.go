// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// starterVariable makes the test binary a program that starts a process and then does nothing, to be killed.
const starterVariable = "CHAIN_TEST_STARTER"

func TestMain(m *testing.M) {
	if fifo := os.Getenv(starterVariable); fifo != "" {
		startAndHang(fifo)
	}
	os.Exit(m.Run())
}

// startAndHang starts a shell with a child. Both hold the writing end of the FIFO as long as they live.
func startAndHang(fifo string) {
	_, err := Start(context.Background(), Command{
		Name:    "shell with a child",
		Path:    "/bin/sh",
		Args:    []string{"-c", `exec > "$0"; echo up; trap '' TERM; sleep 1000`, fifo},
		LogFile: filepath.Join(filepath.Dir(fifo), "shell.log"),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	select {}
}
