// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// DialOptions say how istiods are asked.
type DialOptions struct {
	// CAFile has the authority of istiod's certificate, TokenFile a token of audience istio-ca. Both are read anew when they
	// are needed, since they are replaced.
	CAFile, TokenFile string
	// Namespace is that of the token's ServiceAccount: the mesh's root namespace.
	Namespace string
	// Cluster is the one that istiod knows the token's issuer by. Default: Kubernetes.
	Cluster string
	// MaxBytes bounds an answer. Default: 64 MiB.
	MaxBytes int
}

const (
	// debugType is the type of istiod's debug data (istio.io/istio, pilot/pkg/xds/v3).
	debugType       = "istio.io/debug"
	defaultMaxBytes = 64 << 20
	deniedText      = "refuses to say what its proxies do; the operator's ServiceAccount must be in istiod's namespace (helm install --namespace " +
		"istio-system), and its token of audience istio-ca"
)

// xds asks over xDS: one stream, on which istiod answers one debug request after the other, without a watch or a nonce
// (istio.io/istio 1.31, pilot/pkg/xds/ads.go, processRequest).
type xds struct {
	istiod  Istiod
	options DialOptions
	ca      []byte
	conn    *grpc.ClientConn
	stream  discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	cancel  context.CancelFunc
}

// Dial returns an Asker for the TLS port of an istiod. It connects when it is asked.
func Dial(istiod Istiod, options DialOptions) (Asker, error) {
	if options.Cluster == "" {
		options.Cluster = "Kubernetes"
	}
	if options.MaxBytes == 0 {
		options.MaxBytes = defaultMaxBytes
	}
	return &xds{istiod: istiod, options: options}, nil
}

// Ask implements Asker. After any error it begins anew, with a new connection: gRPC would wait ever longer before it tries
// the old one again.
func (x *xds) Ask(ctx context.Context, resource string) ([]byte, error) {
	standing := x.stream != nil
	answer, err := x.ask(ctx, resource)
	if err != nil && standing && ctx.Err() == nil && ended(err) {
		// It ended between two questions, as when istiod restarts. That is no news of this one.
		x.reset()
		answer, err = x.ask(ctx, resource)
	}
	if err != nil || ctx.Err() != nil {
		x.reset() // where there is an answer all the same, the context has ended the stream behind it
	}
	if err != nil {
		return nil, x.explain(ctx, err)
	}
	body := answer.GetResources()
	if answer.GetTypeUrl() != debugType || len(body) != 1 {
		x.reset()
		return nil, x.fail(Garbage, "answers with something else than was asked for", nil)
	}
	return withoutStatus(body[0].GetValue())
}

// ended says that the stream is no more, and not because of what was asked.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || status.Code(err) == codes.Unavailable
}

func (x *xds) ask(ctx context.Context, resource string) (*discoveryv3.DiscoveryResponse, error) {
	if err := x.open(ctx); err != nil {
		return nil, err
	}
	// The stream outlives this request, whose context it must heed all the same.
	stop := context.AfterFunc(ctx, x.cancel)
	defer stop()
	err := x.stream.Send(&discoveryv3.DiscoveryRequest{
		Node:          &corev3.Node{Id: fmt.Sprintf("sidecar~0.0.0.0~operator.%[1]s~%[1]s.svc.cluster.local", x.options.Namespace)},
		TypeUrl:       debugType,
		ResourceNames: []string{resource},
	})
	if err != nil {
		// Why, only receiving tells.
		if _, received := x.stream.Recv(); received != nil {
			err = received
		}
		return nil, err
	}
	return x.stream.Recv()
}

func (x *xds) open(ctx context.Context) error {
	if err := x.connect(); err != nil || x.stream != nil {
		return err
	}
	token, err := os.ReadFile(x.options.TokenFile)
	if err != nil {
		return x.fail(Unreachable, fmt.Sprintf("can't be asked without a token: %v", err), err)
	}
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	lasting = metadata.AppendToOutgoingContext(lasting, "authorization", "Bearer "+strings.TrimSpace(string(token)), "clusterid", x.options.Cluster)
	stop := context.AfterFunc(ctx, cancel)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(x.conn).StreamAggregatedResources(lasting)
	stop()
	if err != nil {
		cancel()
		return err
	}
	x.stream, x.cancel = stream, cancel
	return nil
}

// connect makes a connection, anew where the authority has changed.
func (x *xds) connect() error {
	ca, err := os.ReadFile(x.options.CAFile)
	if err != nil {
		return x.fail(Unreachable, fmt.Sprintf("can't be asked without the authority of its certificate: %v", err), err)
	}
	if x.conn != nil && bytes.Equal(ca, x.ca) {
		return nil
	}
	x.reset()
	tlsConfig, err := tlsFor(ca, x.istiod.ServerName)
	if err != nil {
		return x.fail(BadCertificate, fmt.Sprintf("can't be asked: %s %v", x.options.CAFile, err), err)
	}
	conn, err := grpc.NewClient("passthrough:///"+x.istiod.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(tlsConfig)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(x.options.MaxBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 10 * time.Second}),
		grpc.WithNoProxy())
	if err != nil {
		return err
	}
	x.conn, x.ca = conn, ca
	return nil
}

func (x *xds) fail(reason Reason, text string, cause error) *Error {
	return &Error{Istiod: x.istiod.Name, Reason: reason, Text: text, cause: cause}
}

// explain makes a sentence of what went wrong.
func (x *xds) explain(ctx context.Context, err error) error {
	if known := (*Error)(nil); errors.As(err, &known) {
		return known
	}
	reason := reasonOf(err)
	if reason == Unreachable && ctx.Err() != nil {
		reason = TimedOut
	}
	return x.fail(reason, map[Reason]string{
		Unreachable:    "can't be reached at " + x.istiod.Address,
		Denied:         deniedText,
		BadCertificate: fmt.Sprintf("shows a certificate that %s doesn't vouch for, or not for %s", x.options.CAFile, x.istiod.ServerName),
		TimedOut:       "doesn't answer",
		Garbage:        "answers with something that isn't xDS",
		TooLarge:       tooLargeText(x.options.MaxBytes),
	}[reason], err)
}

// reasonOf knows some of gRPC's messages, which it has no codes for. What isn't known is never Denied: that says that the
// installation has no right to ask, and it then does without.
func reasonOf(err error) Reason {
	message := status.Convert(err).Message()
	says := func(words string) bool { return strings.Contains(message, words) }
	code := status.Code(err)
	switch {
	case says("x509: "), says("failed to verify certificate"):
		return BadCertificate
	case code == codes.PermissionDenied, code == codes.Unauthenticated:
		return Denied
	case code == codes.ResourceExhausted && says("larger than max"):
		return TooLarge
	case code == codes.Unimplemented, code == codes.Internal && says("unmarshal"):
		return Garbage
	case code == codes.DeadlineExceeded:
		return TimedOut
	default:
		return Unreachable
	}
}

func (x *xds) reset() {
	_ = x.Close() // what is given up needs no farewell
}

// Close implements Asker.
func (x *xds) Close() error {
	if x.cancel != nil {
		x.cancel()
	}
	x.stream, x.cancel = nil, nil
	if x.conn == nil {
		return nil
	}
	err := x.conn.Close()
	x.conn = nil
	return err
}
