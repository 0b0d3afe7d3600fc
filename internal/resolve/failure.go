// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// Failure is why a module can't be had. Its words may stand in a status.
type Failure struct {
	// Reason is one of the condition ModuleResolved.
	Reason string
	// Message is a sentence.
	Message string
	// Temporary says that the same may succeed later, without a change of the plugin or of the module.
	Temporary bool
	// RetryAfter is what a server asked for; 0 where it asked for nothing.
	RetryAfter time.Duration
}

func (f *Failure) Error() string { return f.Message }

// FailureOf makes a Failure of an error.
func FailureOf(err error) *Failure {
	if failure, ok := errors.AsType[*Failure](err); ok {
		return failure
	}
	if known, ok := errors.AsType[*module.Error](err); ok {
		return &Failure{Reason: string(known.Kind), Message: known.Error(), Temporary: known.Temporary(), RetryAfter: known.RetryAfter}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		const message = "the module could not be fetched and tried in time, perhaps since many are; it is tried again"
		return &Failure{Reason: string(module.TimedOut), Message: message, Temporary: true}
	}
	return &Failure{Reason: string(module.Unreachable), Message: err.Error(), Temporary: true}
}
