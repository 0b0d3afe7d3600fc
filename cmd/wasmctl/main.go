// SPDX-License-Identifier: Apache-2.0

// Command wasmctl is for who writes plugins and for who runs them. It is made of the packages that the operator is made of:
// what it says is what the operator does. As kubectl-wasm it is a plugin of kubectl.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
