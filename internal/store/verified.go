// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

// verified is a module of the digest that was asked for: where it is another, or too large, its end is an error.
type verified struct {
	io.ReadCloser

	digest string
	hash   hash.Hash
	size   int64
}

func newVerified(body io.ReadCloser, digest string) *verified {
	return &verified{ReadCloser: body, digest: digest, hash: sha256.New()}
}

// Read implements io.Reader.
func (v *verified) Read(buffer []byte) (int, error) {
	n, err := v.ReadCloser.Read(buffer)
	_, _ = v.hash.Write(buffer[:n])
	v.size += int64(n)
	switch {
	case v.size > MaxModule:
		return n, newError(TooLarge, "reading %s: the module is larger than %d bytes", v.digest, int64(MaxModule))
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, newError(Unreachable, "reading %s: the store's answer broke off", v.digest)
	case digestPrefix+hex.EncodeToString(v.hash.Sum(nil)) != v.digest:
		return n, newError(Refused, "reading %s: the store's copy has another digest", v.digest)
	default:
		return n, io.EOF
	}
}
