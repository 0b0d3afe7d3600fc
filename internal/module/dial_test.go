// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const forbidden = "127.0.0.2"

// forbiddenServer listens where nothing may be fetched, and counts who connects all the same.
func forbiddenServer(t *testing.T) (port string, connections *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", forbidden+":0")
	if err != nil {
		t.Fatal(err)
	}
	connections = &atomic.Int32{}
	served := unstarted(listener)
	served.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	served.Start()
	t.Cleanup(served.Close)
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port, connections
}

// unstarted is a server of a module at an address that the test chose.
func unstarted(listener net.Listener) *httptest.Server {
	config := &http.Server{Handler: serving(plugin{}.bytes()), ReadHeaderTimeout: time.Minute}
	return &httptest.Server{Listener: listener, Config: config}
}

func redirectTo(target func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target(r), http.StatusFound)
	})
}

func TestRow3BlockedAddresses(t *testing.T) {
	fetcher := newFetcher(t, Options{})
	for _, rawURL := range []string{
		"http://169.254.169.254/latest/meta-data", "https://[::ffff:169.254.169.254]/", "http://[fd00:ec2::254]/", "http://100.100.100.200/",
		"http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://0.0.0.0:1/", "http://[ff02::1]/", "oci://169.254.169.254/a",
		"oci://localhost:1/a",
	} {
		t.Run("row 3: "+rawURL, func(t *testing.T) {
			_, err := fetcher.Fetch(t.Context(), parse(t, rawURL), nil)
			wantKind(t, err, Blocked)
			if known, ok := errors.AsType[*Error](err); ok && known.Temporary() {
				t.Error("would be tried again and again")
			}
		})
	}
}

func TestRow4Redirects(t *testing.T) {
	port, connections := forbiddenServer(t)
	plain := httptest.NewServer(serving(plugin{}.bytes()))
	t.Cleanup(plain.Close)
	targets := map[string]string{
		"/blocked": "https://" + forbidden + ":" + port + "/", "/plain": plain.URL + "?" + secret, "/ftp": "ftp://" + host(plain) + "/",
		"/loop": "/loop", "/2/blocked": "/1/blocked", "/1/blocked": "/blocked",
		"/4": "/3", "/3": "/2", "/2": "/1", "/1": "/0",
	}
	secure := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch target := targets[r.URL.Path]; {
		case target != "":
			http.Redirect(w, r, target, http.StatusTemporaryRedirect)
		case r.Header.Get("Referer") != "":
			w.WriteHeader(http.StatusTeapot)
		default:
			_, _ = w.Write(plugin{}.bytes())
		}
	}))
	upgrade := httptest.NewServer(redirectTo(func(*http.Request) string { return secure.URL }))
	t.Cleanup(upgrade.Close)
	options := trusting(secure)
	options.Blocked = []netip.Prefix{netip.MustParsePrefix(forbidden + "/32")}
	fetcher := newFetcher(t, options)
	tests := map[string]struct {
		url  string
		want Kind
	}{
		"row 4: to a blocked address":             {secure.URL + "/blocked", Blocked},
		"row 4: to a blocked address, third hop":  {secure.URL + "/2/blocked", Blocked},
		"row 4: https to http":                    {secure.URL + "/plain", Blocked},
		"row 4: http to https":                    {upgrade.URL, Blocked},
		"row 4: to ftp":                           {secure.URL + "/ftp", Blocked},
		"row 13: loop":                            {secure.URL + "/loop", Blocked},
		"four redirects":                          {secure.URL + "/4", Blocked},
		"three redirects, without telling whence": {secure.URL + "/3?" + secret, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := fetcher.Fetch(t.Context(), parse(t, tc.url), nil)
			wantKind(t, err, tc.want)
			if tc.want == "" && err != nil {
				t.Error(err)
			}
		})
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections to the blocked address", n)
	}
}

// names answers every question for an address with the next of the given lists, the last one again and again.
func names(t *testing.T, answers ...[]string) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		question := make([]byte, 512)
		for {
			n, from, err := socket.ReadFrom(question)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if message.Unpack(question[:n]) != nil {
				continue
			}
			message.Response, message.Additionals = true, nil
			if message.Questions[0].Type == dnsmessage.TypeA {
				for _, address := range answers[0] {
					message.Answers = append(message.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: message.Questions[0].Name, Class: dnsmessage.ClassINET},
						Body:   &dnsmessage.AResource{A: netip.MustParseAddr(address).As4()},
					})
				}
				answers = answers[min(1, len(answers)-1):]
			}
			_, _ = socket.WriteTo(must(message.Pack()), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

func TestRow4Rebinding(t *testing.T) {
	port, connections := forbiddenServer(t)
	// The same port at the allowed address: only the address tells the two apart.
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	good := unstarted(listener)
	good.Config.SetKeepAlivesEnabled(false)
	good.Start()
	t.Cleanup(good.Close)
	ref := parse(t, "http://plugins.example.test:"+port+"/a.wasm")
	options := Options{AllowLoopback: true, Blocked: []netip.Prefix{netip.MustParsePrefix(forbidden + "/32")}}

	t.Run("row 4: first a good address, then a blocked one", func(t *testing.T) {
		options.Resolver = names(t, []string{"127.0.0.1"}, []string{forbidden})
		fetcher := newFetcher(t, options)
		if _, err := fetcher.Fetch(t.Context(), ref, nil); err != nil {
			t.Fatal(err)
		}
		_, err := fetcher.Fetch(t.Context(), ref, nil)
		wantKind(t, err, Blocked)
	})
	t.Run("row 4: both in one answer", func(t *testing.T) {
		options.Resolver = names(t, []string{forbidden, "127.0.0.1"})
		if _, err := newFetcher(t, options).Fetch(t.Context(), ref, nil); err != nil {
			t.Error(err)
		}
	})
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections to the blocked address", n)
	}
}

func TestProxyOnlyWhenAsked(t *testing.T) {
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write(plugin{}.bytes())
	}))
	t.Cleanup(proxy.Close)
	// net/http reads the environment once per process; the option's effect is what can be seen of it.
	if newTransport(Options{}, false).Proxy != nil {
		t.Error("a proxy is asked without the option")
	}
	transport := newTransport(Options{ProxyFromEnvironment: true, AllowLoopback: true}, false)
	if transport.Proxy == nil {
		t.Fatal("no proxy with the option")
	}
	fetcher := newFetcher(t, Options{AllowLoopback: true})
	fetcher.strict.Proxy = http.ProxyURL(must(url.Parse(proxy.URL)))
	if _, err := fetcher.Fetch(t.Context(), parse(t, "http://nowhere.example.test/a.wasm"), nil); err != nil || asked.Load() != 1 {
		t.Errorf("through the proxy: %v, asked %d times", err, asked.Load())
	}
}
