// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Probe is an HTTP request that is sent until the answer is as expected. Each attempt is a connection of its own: after
// a change, Envoy lets open connections finish on the listener they came in by.
type Probe struct {
	URL string
	// Method is GET if empty.
	Method string
	// Host replaces the host of the URL in the request.
	Host string
	// Header is added to the request.
	Header map[string]string
	// User is "name:password", sent as basic authentication.
	User string
	Body string
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// String shows an answer in one line of an error.
func (a Answer) String() string {
	body := a.Body
	if len(body) > 300 {
		body = body[:300] + "…"
	}
	return fmt.Sprintf("status %d, header %v, body %q", a.Status, a.Header, body)
}

// Expect says what is wrong with an answer; nil if nothing is.
type Expect func(Answer) error

// Status expects an HTTP status.
func Status(status int) Expect {
	return func(a Answer) error {
		if a.Status != status {
			return fmt.Errorf("expected status %d", status)
		}
		return nil
	}
}

// Body expects a text in the body.
func Body(text string) Expect {
	return func(a Answer) error {
		if !strings.Contains(a.Body, text) {
			return fmt.Errorf("expected %q in the body", text)
		}
		return nil
	}
}

// Header expects a header with a value; with the value "", that the header is not there.
func Header(name, value string) Expect {
	return func(a Answer) error {
		if got := a.Header.Get(name); got != value {
			return fmt.Errorf("expected header %s with the value %q", name, value)
		}
		return nil
	}
}

// Do sends the request once.
func (p Probe) Do(ctx context.Context) (Answer, error) { return p.send(ctx, plain) }

// Until sends the request again and again until the answer is as expected, and returns that answer. When ctx ends
// first, the error tells the last answer.
func (p Probe) Until(ctx context.Context, expect ...Expect) (Answer, error) {
	var answer Answer
	err := Until(ctx, func(ctx context.Context) error {
		got, err := p.Do(ctx)
		if err != nil {
			return err
		}
		answer = got
		for _, check := range expect {
			if err := check(got); err != nil {
				return fmt.Errorf("%w, got %s", err, got)
			}
		}
		return nil
	})
	if err != nil {
		return answer, fmt.Errorf("%s %s: %w", p.method(), p.URL, err)
	}
	return answer, nil
}

func (p Probe) method() string {
	if p.Method == "" {
		return http.MethodGet
	}
	return p.Method
}

func (p Probe) send(ctx context.Context, client *http.Client) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, p.method(), p.URL, strings.NewReader(p.Body))
	if err != nil {
		return Answer{}, err
	}
	request.Host = p.Host
	for name, value := range p.Header {
		request.Header.Set(name, value)
	}
	if name, password, ok := strings.Cut(p.User, ":"); ok {
		request.SetBasicAuth(name, password)
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("the body broke off: %w", err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}, nil
}

var plain = newClient(nil)

// newClient makes a client without proxy, redirects and connections that stay open.
func newClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// httpOK is the readiness check of a server with a health endpoint.
func httpOK(ctx context.Context, url string) error { return clientOK(ctx, plain, url) }

// httpsOK is httpOK for a server with the cluster's certificate.
func (c *Cluster) httpsOK(ctx context.Context, url string) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.certs.serving.CA)
	return clientOK(ctx, newClient(roots), url)
}

func clientOK(ctx context.Context, client *http.Client, url string) error {
	answer, err := Probe{URL: url}.send(ctx, client)
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer)
	}
	return nil
}
