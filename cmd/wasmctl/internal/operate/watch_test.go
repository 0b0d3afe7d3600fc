// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

func withReady(ready metav1.ConditionStatus, reason string) *wasmv1alpha1.WasmPlugin {
	plugin := authPlugin(spec(file.Source, "", ""))
	plugin.Status.Conditions = []metav1.Condition{{Type: wasmv1alpha1.ConditionReady, Status: ready, Reason: reason, LastTransitionTime: metav1.Now()}}
	return plugin
}

// TestWatch follows a plugin over a watch that ends, until the API server is gone for good.
func TestWatch(t *testing.T) {
	gone := errors.New("connection refused")
	lists, watches := 0, 0
	ready := withReady(metav1.ConditionTrue, "Programmed")
	c := clusterOf(t, withReady(metav1.ConditionUnknown, "Waiting"))
	c.WithWatch = interceptor.NewClient(c.WithWatch, interceptor.Funcs{
		List: func(ctx context.Context, under client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if lists++; lists > 2 {
				return gone
			}
			return under.List(ctx, list, options...)
		},
		Watch: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
			watches++
			events := watch.NewFakeWithChanSize(4, false)
			if watches == 1 {
				events.Modify(ready)
				events.Modify(ready.DeepCopy()) // nothing of it is news
				events.Modify(&wasmv1alpha1.WasmPlugin{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"}})
			} else {
				events.Error(&metav1.Status{Reason: metav1.StatusReasonExpired})
			}
			events.Stop()
			return events, nil
		},
	})
	var out, errOut bytes.Buffer
	options := &statusOptions{OutputOptions: cli.OutputOptions{Form: cli.FormWide}, names: []string{"auth"}}
	w := &watcher{statusOptions: options, retrying: retrying{50 * time.Millisecond, time.Millisecond}, out: &out, errOut: &errOut, shown: map[string]view{}}
	err := w.follow(t.Context(), c)
	if !errors.Is(err, gone) || !strings.Contains(err.Error(), "went away") {
		t.Errorf("ends with %v", err)
	}
	// The second list shows again what the first watch had overtaken: the plugin of the fake API server is still waiting.
	if strings.Count(out.String(), "Waiting") != 2 || strings.Count(out.String(), "Programmed") != 1 || strings.Count(out.String(), "NAMESPACE") != 1 ||
		strings.Contains(out.String(), "other") {
		t.Errorf("shows\n%s", &out)
	}
	if !strings.Contains(errOut.String(), "asking again") || watches != 2 {
		t.Errorf("%d watches, says\n%s", watches, &errOut)
	}
}

// unlisted is a cluster that answers each list with the error.
func unlisted(t *testing.T, err error) *cluster {
	t.Helper()
	c := clusterOf(t)
	c.WithWatch = interceptor.NewClient(c.WithWatch, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return err },
	})
	return c
}

func TestWatchOfNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		c    *cluster
		want string
	}{
		"no such plugin":    {clusterOf(t), "there is no WasmPlugin auth"},
		"no API server":     {unlisted(t, errors.New("refused")), "ask the API server: refused"},
		"a mute API server": {unlisted(t, context.DeadlineExceeded), "the API server https://api.example.com doesn't answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			options := &statusOptions{OutputOptions: cli.OutputOptions{Form: cli.FormText}, names: []string{"auth"}}
			err := options.follow(t.Context(), tc.c, &out, &errOut)
			if err == nil || !strings.Contains(err.Error(), tc.want) || out.Len() > 0 {
				t.Errorf("%v, shows %q", err, &out)
			}
		})
	}
}

func TestWatchThatTheUserEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := clusterOf(t, withReady(metav1.ConditionTrue, "Programmed"))
	c.WithWatch = interceptor.NewClient(c.WithWatch, interceptor.Funcs{
		Watch: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
			cancel()
			return watch.NewEmptyWatch(), nil
		},
	})
	var out, errOut bytes.Buffer
	options := &statusOptions{OutputOptions: cli.OutputOptions{Form: cli.FormText}}
	if err := options.follow(ctx, c, &out, &errOut); err != nil || !strings.Contains(out.String(), "auth") {
		t.Errorf("%v, shows %q", err, &out)
	}
}
