// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
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

// xds asks over xDS: one stream, on which istiod answers one debug request after the other (istio.io/istio 1.31,
// pilot/pkg/xds/ads.go, processRequest).
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

// Ask implements Asker. After any error it begins anew.
func (x *xds) Ask(ctx context.Context, resource string) ([]byte, error) {
	answer, err := x.ask(ctx, resource)
	if err != nil {
		x.reset()
		return nil, x.explain(ctx, err)
	}
	body := answer.GetResources()
	if answer.GetTypeUrl() != debugType || len(body) != 1 {
		x.reset()
		return nil, &Error{Istiod: x.istiod.Name, Reason: Garbage, Text: "answers with something else than was asked for"}
	}
	return withoutStatus(body[0].GetValue())
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
		return fmt.Errorf("read the token for istiod: %w", err)
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
		return fmt.Errorf("read the authority of istiod's certificate: %w", err)
	}
	if x.conn != nil && bytes.Equal(ca, x.ca) {
		return nil
	}
	if err := x.Close(); err != nil {
		return err
	}
	tlsConfig, err := tlsFor(ca, x.istiod.ServerName)
	if err != nil {
		return fmt.Errorf("%s: %w", x.options.CAFile, err)
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

// explain makes a sentence of what went wrong.
func (x *xds) explain(ctx context.Context, err error) error {
	found := &Error{Istiod: x.istiod.Name, Reason: Unreachable, cause: err}
	code, message := status.Code(err), status.Convert(err).Message()
	switch {
	case errors.Is(err, os.ErrNotExist), code == codes.Unknown && !strings.Contains(message, "transport"):
		found.Reason, found.Text = Denied, text(err.Error())
	case code == codes.PermissionDenied, code == codes.Unauthenticated:
		found.Reason, found.Text = Denied, deniedText
	case strings.Contains(message, "authentication handshake failed"), strings.Contains(message, "x509"):
		found.Reason, found.Text = BadCertificate, fmt.Sprintf("shows a certificate that %s doesn't vouch for, or not for %s", x.options.CAFile, x.istiod.ServerName)
	case code == codes.ResourceExhausted && strings.Contains(message, "larger than max"):
		found.Reason, found.Text = TooLarge, fmt.Sprintf("answers with more than %d MiB", x.options.MaxBytes>>20)
	case code == codes.Internal && strings.Contains(message, "unmarshal"):
		found.Reason, found.Text = Garbage, "answers with something that isn't xDS"
	case ctx.Err() != nil, code == codes.DeadlineExceeded:
		found.Reason, found.Text = TimedOut, "doesn't answer"
	default:
		found.Text = "can't be reached at " + x.istiod.Address
	}
	return found
}

func (x *xds) reset() {
	if x.cancel != nil {
		x.cancel()
	}
	x.stream, x.cancel = nil, nil
}

// Close implements Asker.
func (x *xds) Close() error {
	x.reset()
	if x.conn == nil {
		return nil
	}
	err := x.conn.Close()
	x.conn = nil
	return err
}

// withoutStatus takes off what istiod puts before an answer that is an error: its headers, as JSON (debuggen.go).
func withoutStatus(body []byte) ([]byte, error) {
	if !bytes.HasPrefix(body, []byte(`{"`)) || !bytes.Contains(body[:min(len(body), maxText)], []byte(`"statusCode"`)) {
		return body, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	var headers struct{ StatusCode string }
	if err := decoder.Decode(&headers); err != nil {
		return body, nil //nolint:nilerr // then it is something else
	}
	code, err := strconv.Atoi(headers.StatusCode)
	if err != nil {
		return body, nil //nolint:nilerr // then it is something else
	}
	return nil, &StatusError{Code: code, Text: text(string(body[decoder.InputOffset():]))}
}
