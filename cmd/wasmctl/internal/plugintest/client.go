// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/httpcase"
)

// send sends a request as it stands in the case, header by header, which Go's own client would not, and reads the answer.
func send(ctx context.Context, address string, request httpcase.Message) (*httpcase.Message, error) {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Unix(1, 0)) })()
	if _, err := connection.Write(onTheWire(request)); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: request.Method})
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("the body: %w", err)
	}
	return &httpcase.Message{Status: response.StatusCode, Headers: headersOf(response.Header), Body: string(body)}, nil
}

func onTheWire(request httpcase.Message) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\n", request.Method, request.Target)
	for _, header := range request.Headers {
		fmt.Fprintf(&out, "%s: %s\r\n", header.Name, header.Value)
	}
	if request.Body != "" {
		fmt.Fprintf(&out, "content-length: %d\r\n", len(request.Body))
	}
	out.WriteString("connection: close\r\n\r\n" + request.Body)
	return out.Bytes()
}
