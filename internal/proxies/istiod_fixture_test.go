// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	istiodName  = "istiod.istio-system.svc"
	secretToken = "eyJhbGciOi.secret-token.c2ln"
)

// fakeIstiod answers debug requests over xDS, with a real certificate.
type fakeIstiod struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	t           *testing.T
	ca          []byte
	certificate tls.Certificate
	address     string
	server      *grpc.Server
	// answer says what a request gets.
	answer func(stream grpc.ServerStream, request *discoveryv3.DiscoveryRequest) (*discoveryv3.DiscoveryResponse, error)

	mutex sync.Mutex
	// streams are the headers of each, asked the requests of all.
	streams []metadata.MD
	asked   []*discoveryv3.DiscoveryRequest
}

func newFakeIstiod(t *testing.T) *fakeIstiod {
	t.Helper()
	f := &fakeIstiod{t: t, address: "127.0.0.1:0"}
	f.ca, f.certificate = newAuthority(t)
	f.answer = repeats
	f.start()
	t.Cleanup(func() { f.server.Stop() })
	return f
}

func (f *fakeIstiod) start() {
	f.t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(f.t.Context(), "tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.address = listener.Addr().String()
	f.server = grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&f.certificate)))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(f.server, f)
	go func() { _ = f.server.Serve(listener) }()
}

// StreamAggregatedResources is xDS.
func (f *fakeIstiod) StreamAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	headers, _ := metadata.FromIncomingContext(stream.Context())
	f.mutex.Lock()
	f.streams = append(f.streams, headers)
	f.mutex.Unlock()
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		f.mutex.Lock()
		f.asked = append(f.asked, request)
		answer := f.answer
		f.mutex.Unlock()
		response, err := answer(stream, request)
		if err != nil {
			return err
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

// answers changes what requests get from now on.
func (f *fakeIstiod) answers(answer func(grpc.ServerStream, *discoveryv3.DiscoveryRequest) (*discoveryv3.DiscoveryResponse, error)) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.answer = answer
}

// repeats answers with what it was asked for.
func repeats(_ grpc.ServerStream, request *discoveryv3.DiscoveryRequest) (*discoveryv3.DiscoveryResponse, error) {
	return debugAnswer(answerTo(request.GetResourceNames()[0])), nil
}

func answerTo(resource string) string { return `["` + resource + `"]` }

func (f *fakeIstiod) tokens() []string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	var tokens []string
	for _, headers := range f.streams {
		tokens = append(tokens, headers.Get("authorization")...)
	}
	return tokens
}

// dial makes an Asker with a CA file and a token file of its own.
func (f *fakeIstiod) dial(change func(*DialOptions)) (Asker, DialOptions) {
	f.t.Helper()
	folder := f.t.TempDir()
	options := DialOptions{CAFile: filepath.Join(folder, "ca.pem"), TokenFile: filepath.Join(folder, "token"), Namespace: "istio-system"}
	writeFile(f.t, options.CAFile, string(f.ca))
	writeFile(f.t, options.TokenFile, secretToken+"\n")
	if change != nil {
		change(&options)
	}
	asker, err := Dial(Istiod{Name: "istiod-0", Address: f.address, ServerName: istiodName}, options)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = asker.Close() })
	return asker, options
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func debugAnswer(bodies ...string) *discoveryv3.DiscoveryResponse {
	response := &discoveryv3.DiscoveryResponse{TypeUrl: debugType}
	for _, body := range bodies {
		response.Resources = append(response.Resources, &anypb.Any{TypeUrl: debugType, Value: []byte(body)})
	}
	return response
}

// newAuthority makes an authority, and a certificate by it with istiod's name.
func newAuthority(t *testing.T) (ca []byte, leaf tls.Certificate) {
	t.Helper()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	rootKey := newKey(t)
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{istiodName}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, root, &key.PublicKey, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
