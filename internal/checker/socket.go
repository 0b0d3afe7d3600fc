// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"
)

const (
	// maxSocketPath is what Linux takes; other systems take a little less.
	maxSocketPath = 107
	dialTimeout   = 5 * time.Second
)

// listen makes the socket. One that nobody serves any more was left behind by a process that was killed.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the socket's path has %d bytes, %d at most are possible: %s", len(path), maxSocketPath, path)
	}
	if connection, err := dial(ctx, path); err == nil {
		_ = connection.Close()
		return nil, fmt.Errorf("another checker serves %s already", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%s is there already, and no socket; choose another path", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove a socket that was left behind: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("make the socket %s: %w", path, err)
	}
	// The manager runs as the same user.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("keep others from the socket: %w", err)
	}
	return listener, nil
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
}

func contextOf(ctx context.Context) func(net.Listener) context.Context {
	return func(net.Listener) context.Context { return ctx }
}
