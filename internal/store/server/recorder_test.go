// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http/httptest"
	"time"
)

// deadlines is a recorder on which deadlines can be set, as on a connection.
type deadlines struct{ *httptest.ResponseRecorder }

func (*deadlines) SetReadDeadline(time.Time) error  { return nil }
func (*deadlines) SetWriteDeadline(time.Time) error { return nil }
