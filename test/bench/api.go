// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"k8s.io/client-go/rest"
)

// parallel is how many requests the raw client, and whoever creates plugins, has under way. More only makes each slower.
const parallel = 16

// The media types of what is sent.
const (
	asJSON       = "application/json"
	asMergePatch = "application/merge-patch+json"
	// asMetadataList leaves out of answers what isn't read.
	asMetadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
)

// api sends requests as they are: no cache, no codec, no rate limit.
type api struct {
	base   string
	client *http.Client
}

// newAPI acts as config's user.
func newAPI(config *rest.Config) (*api, error) {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", config.Host, err)
	}
	return &api{config.Host, &http.Client{Transport: transport}}, nil
}

// plainAPI goes through a counting proxy.
func plainAPI(base string) *api {
	return &api{base, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * parallel}}}
}

// request is one of an API.
type request struct {
	method, path        string
	contentType, accept string
	body                []byte
}

// do sends a request and returns the answer's body. Anything but success is an error.
func (a *api) do(ctx context.Context, r request) ([]byte, error) {
	call, err := http.NewRequestWithContext(ctx, r.method, a.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.contentType != "" {
		call.Header.Set("Content-Type", r.contentType)
	}
	if r.accept == "" {
		r.accept = asJSON
	}
	call.Header.Set("Accept", r.accept)
	answer, err := a.client.Do(call)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return nil, &statusError{answer.StatusCode, fmt.Sprintf("%s %s: %s: %.300s", r.method, r.path, answer.Status, body)}
	}
	return body, nil
}

type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

// metaOf is what answers are read for.
type metaOf struct {
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Version    string `json:"resourceVersion"`
	Generation int64  `json:"generation"`
}

// doMeta sends a request and returns the metadata of the answer.
func (a *api) doMeta(ctx context.Context, r request) (metaOf, error) {
	body, err := a.do(ctx, r)
	if err != nil {
		return metaOf{}, err
	}
	var object struct {
		Metadata metaOf `json:"metadata"`
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return metaOf{}, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return object.Metadata, nil
}

// each calls do for 0 to n-1, that many at a time, and returns the first error.
func each(ctx context.Context, n int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}
