// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pollInterval is short because most waits of a test end within a few hundred milliseconds.
const pollInterval = 25 * time.Millisecond

// Until calls check again and again until it returns nil. When ctx ends first, the error holds the reason and the last
// error of check.
func Until(ctx context.Context, check func(context.Context) error) error {
	start := time.Now()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	last := errors.New("not checked yet")
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		// A check cut off by the end of ctx says nothing about the thing that is waited for.
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up after %s (%w); last seen: %w",
				time.Since(start).Round(time.Millisecond), context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
}
