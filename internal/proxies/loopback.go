// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// loopback asks an istiod on this machine, or one that a client leads to, over plain HTTP and without a token.
type loopback struct {
	name     string
	url      string
	client   *http.Client
	maxBytes int
}

// DialLoopback returns an Asker for the HTTP port of an istiod on this machine. Any other host is refused: what is read
// there decides what comes into force.
func DialLoopback(address string) (Asker, error) {
	parsed, err := url.Parse(address)
	if err != nil || *parsed != (url.URL{Scheme: "http", Host: parsed.Host, Path: parsed.Path}) || parsed.Host == "" || strings.Trim(parsed.Path, "/") != "" {
		return nil, errors.New("the URL of an istiod on this machine must read http://HOST:PORT, and nothing else")
	}
	if ip := net.ParseIP(parsed.Hostname()); parsed.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("http://%s isn't on this machine; plain HTTP is for 127.0.0.1, [::1] and localhost only", parsed.Host)
	}
	client := &http.Client{
		Transport:     &http.Transport{}, // and no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &loopback{name: "http://" + parsed.Host, url: "http://" + parsed.Host + "/debug/", client: client, maxBytes: defaultMaxBytes}, nil
}

// Over returns an Asker for an istiod of a name that a client leads to, whatever the address: as a forwarded port does.
func Over(name string, client *http.Client) Asker {
	return &loopback{name: name, url: "http://localhost/debug/", client: client, maxBytes: defaultMaxBytes}
}

// Ask implements Asker.
func (l *loopback) Ask(ctx context.Context, resource string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+resource, http.NoBody)
	if err != nil {
		return nil, l.fail(Unreachable, "can't be asked", err)
	}
	response, err := l.client.Do(request)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, l.fail(TimedOut, "doesn't answer", err)
	case err != nil:
		return nil, l.fail(Unreachable, "can't be reached", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(l.maxBytes)+1))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, l.fail(TimedOut, "doesn't end its answer", err)
	case err != nil:
		return nil, l.fail(Unreachable, "breaks off its answer", err)
	case len(body) > l.maxBytes:
		return nil, l.fail(TooLarge, tooLargeText(l.maxBytes), nil)
	case response.StatusCode == http.StatusForbidden, response.StatusCode == http.StatusUnauthorized:
		return nil, l.fail(Denied, deniedText, nil)
	case response.StatusCode != http.StatusOK:
		return nil, &StatusError{Code: response.StatusCode, Text: text(string(body))}
	}
	return body, nil
}

func (l *loopback) fail(reason Reason, text string, cause error) error {
	return &Error{Istiod: l.name, Reason: reason, Text: text, cause: cause}
}

// Close implements Asker.
func (l *loopback) Close() error {
	l.client.CloseIdleConnections()
	return nil
}
