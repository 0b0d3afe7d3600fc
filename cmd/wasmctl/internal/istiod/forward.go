// SPDX-License-Identifier: Apache-2.0

package istiod

import (
	"context"
	"errors"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/tunnel"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
)

// forwarded asks an istiod through a port that the API server forwards.
type forwarded struct {
	proxies.Asker
	pod *tunnel.Tunnel
}

func forwardTo(config *rest.Config, pod *corev1.Pod, port int) (proxies.Asker, error) {
	to, err := tunnel.New(config, pod, port)
	if err != nil {
		return nil, err
	}
	return &forwarded{
		Asker: proxies.Over(pod.Name, &http.Client{Transport: &http.Transport{DialContext: to.Dial}}),
		pod:   to,
	}, nil
}

// Ask implements Asker.
func (f *forwarded) Ask(ctx context.Context, resource string) ([]byte, error) {
	answer, err := f.Asker.Ask(ctx, resource)
	known, isKnown := errors.AsType[*proxies.Error](err)
	if !isKnown {
		return answer, err
	}
	if refused, ok := errors.AsType[*tunnel.Error](err); ok {
		return nil, &proxies.Error{Istiod: known.Istiod, Reason: proxies.Unreachable, Text: refused.Advise("a way of yours with --istiod-url")}
	}
	if known.Reason == proxies.Denied {
		known.Text = "refuses to say what its proxies do"
	}
	return nil, known
}

// Close implements Asker.
func (f *forwarded) Close() error {
	return errors.Join(f.Asker.Close(), f.pod.Close())
}
