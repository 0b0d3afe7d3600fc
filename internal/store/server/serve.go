// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 30 * time.Second
	maxHeaderBytes = 32 << 10
	// maxConnections bounds what slow readers can hold; further ones wait for their turn.
	maxConnections = 4096
	// shutdownBound is how long requests may take to end.
	shutdownBound = 20 * time.Second
)

// Listeners are where a store is reached.
type Listeners struct {
	// Modules is for proxies, over plain HTTP.
	Modules net.Listener
	// Uploads is for all others, over TLS with the certificate of Certificate.
	Uploads     net.Listener
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Drain is for how long requests are still taken after the end has come, until the endpoints are known to be fewer.
	Drain time.Duration
}

// Serve serves until the context ends, and then ends what is going on. It is ready when it has caught up with its peers.
func (s *Server) Serve(ctx context.Context, at Listeners) error {
	modules := s.newServer(s.Modules())
	uploads := s.newServer(s.Uploads())
	uploads.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: at.Certificate}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return closed(modules.Serve(netutil.LimitListener(at.Modules, maxConnections))) })
	group.Go(func() error {
		return closed(uploads.ServeTLS(netutil.LimitListener(at.Uploads, maxConnections), "", ""))
	})
	group.Go(func() error {
		if err := s.Start(running); err != nil {
			return err
		}
		s.Run(running)
		return nil
	})
	group.Go(func() error {
		<-running.Done()
		s.setReady(false)
		// The context is over, and what is left to do takes its own time.
		ending := context.WithoutCancel(ctx)
		if ctx.Err() != nil {
			pause(ending, at.Drain)
		}
		bounded, cancel := context.WithTimeout(ending, shutdownBound)
		defer cancel()
		return errors.Join(modules.Shutdown(bounded), uploads.Shutdown(bounded))
	})
	return group.Wait()
}

func (s *Server) newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		// The bounds on standing still are in the handlers, since how long a module takes depends on its size.
		ReadTimeout: slowest, WriteTimeout: slowest,
		// Connections that strangers begin and don't end well.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(s.log), slog.LevelDebug),
	}
}

func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
