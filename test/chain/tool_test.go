// SPDX-License-Identifier: Apache-2.0

package chain

import "testing"

func TestToolThatIsUnknown(t *testing.T) {
	_, err := Tool(t.Context(), nil, "hammer")
	wantError(t, err, "could not build hammer", "exit status 2")
}
