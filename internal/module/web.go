// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"net/http"
)

// readAddress reads a module from a web server.
func (f *Fetcher) readAddress(ctx context.Context, ref Reference, content *buffer) (Facts, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, ref.address.String(), http.NoBody)
	if err != nil {
		return Facts{}, newError(InvalidReference, "the URL is not valid")
	}
	response, err := client(f.newGuard(ref)).Do(request)
	if err != nil {
		return Facts{}, ofNetwork(err)
	}
	defer func() { _ = response.Body.Close() }()
	limits := f.options.Limits
	switch {
	case response.StatusCode != http.StatusOK:
		return Facts{}, ofStatus(response, "modules of a web server are fetched without credentials, those of a registry with spec.imagePullSecret")
	case response.ContentLength > limits.Compressed:
		return Facts{}, newError(TooLarge, "the download is larger than %d bytes", limits.Compressed)
	}
	if err := (unpacker{limits, content}).anything(response.Body, maxWrappings); err != nil {
		return Facts{}, err
	}
	if digest := content.digest(); ref.sha256 != "" && digest != sha256Prefix+ref.sha256 {
		return Facts{}, newError(DigestMismatch, "the module's digest is %s, not %s%s; if the change is meant, set the new one",
			digest, sha256Prefix, ref.sha256)
	}
	return Facts{Source: ref.String() + "@" + content.digest()}, nil
}

// client sends requests the way that a guard lets them.
func client(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: transport,
		// The guard counts redirects. Here the next server is only kept from learning the query of the URL before.
		CheckRedirect: func(request *http.Request, _ []*http.Request) error {
			request.Header.Del("Referer")
			return nil
		},
	}
}
