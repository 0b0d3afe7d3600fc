// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

const (
	// retryFor is how long the API server may be away, and retryEvery how often it is asked meanwhile.
	retryFor   = 30 * time.Second
	retryEvery = time.Second
)

// retrying says how long and how often an API server that went away is asked.
type retrying struct{ limit, every time.Duration }

// watcher shows plugins, and again those that change.
type watcher struct {
	*statusOptions

	retrying

	out, errOut io.Writer
	shown       map[string]view
	// drawn is how many lines stand on the terminal, to be drawn over.
	drawn int
}

// follow watches until the user ends it, which is no error.
func (o *statusOptions) follow(ctx context.Context, c *cluster, out, errOut io.Writer) error {
	w := &watcher{statusOptions: o, retrying: retrying{retryFor, retryEvery}, out: out, errOut: errOut, shown: map[string]view{}}
	return w.follow(ctx, c)
}

func (w *watcher) follow(ctx context.Context, c *cluster) error {
	var away time.Time
	for {
		err := w.once(ctx, c, func() { away = time.Time{} })
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the user ended it
		}
		switch {
		case away.IsZero():
			// What was wrong from the beginning isn't waited for.
			if len(w.shown) == 0 && err != nil {
				return err
			}
			away = time.Now()
		case time.Since(away) > w.limit:
			return fmt.Errorf("the API server went away: %w", err)
		}
		if err != nil {
			cli.Comment(w.errOut, "status", "asking again, since "+err.Error())
		}
		if err := w.pause(ctx); err != nil {
			return nil //nolint:nilerr // the user ended it
		}
	}
}

func (r retrying) pause(ctx context.Context) error {
	timer := time.NewTimer(r.every)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// once lists and watches until the connection ends. reached is called when the API server answered.
func (w *watcher) once(ctx context.Context, c *cluster, reached func()) error {
	views, version, err := w.read(ctx, c)
	if err != nil {
		return err
	}
	reached()
	if err := w.show(views); err != nil {
		return err
	}
	events, err := c.Watch(ctx, &wasmv1alpha1.WasmPluginList{}, client.InNamespace(c.namespace),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version}})
	if err != nil {
		return c.explained(err, "")
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		plugin, ok := event.Object.(*wasmv1alpha1.WasmPlugin)
		switch {
		case !ok:
			return errors.New("the API server ended the watch")
		case !w.wants(plugin):
		case event.Type == watch.Deleted:
			delete(w.shown, plugin.Namespace+"/"+plugin.Name)
			cli.Comment(w.errOut, plugin.Namespace+"/"+plugin.Name, "was deleted.")
		default:
			if err := w.show([]view{viewOf(plugin)}); err != nil {
				return err
			}
		}
	}
	return errors.New("the API server closed the connection")
}

// show writes the views that differ from what was shown.
func (w *watcher) show(views []view) error {
	var news []view
	for _, v := range views {
		key := v.Namespace + "/" + v.Name
		if old, known := w.shown[key]; known && reflect.DeepEqual(old, v) {
			continue
		}
		news = append(news, v)
	}
	if len(news) == 0 {
		return nil
	}
	content, err := w.content(news)
	if err != nil {
		return err
	}
	if err := cli.Write(w.out, []byte(content)); err != nil {
		return err
	}
	for _, v := range news {
		w.shown[v.Namespace+"/"+v.Name] = v
	}
	return nil
}

func (w *watcher) content(news []view) (string, error) {
	p := newPrinter(w.out, w.Form == cli.FormWide)
	switch {
	case w.Form == cli.FormJSON:
		var lines strings.Builder
		for _, v := range news {
			content, err := cli.JSON(v)
			if err != nil {
				return "", err
			}
			lines.Write(content)
		}
		return lines.String(), nil
	case len(w.names) == 1 && !p.wide:
		// On a terminal the plugin stands in its place.
		text, over := p.detail(news[len(news)-1]), ""
		if p.colours && w.drawn > 0 {
			over = fmt.Sprintf("\x1b[%dA\x1b[J", w.drawn)
		}
		w.drawn = strings.Count(text, "\n")
		return over + text, nil
	}
	return p.table(news, len(w.shown) == 0), nil
}
