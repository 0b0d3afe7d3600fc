// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// observer sees what happens to EnvoyFilters, as anybody sees it who watches them at the API server.
type observer struct {
	watch watch.Interface

	mu    sync.Mutex
	seen  []sighting
	ended bool
	news  chan struct{}
}

// sighting is an event of a watch.
type sighting struct {
	at   time.Time
	kind watch.EventType
	metaOf
}

// observe watches from now on, until stop.
func (w *world) observe(ctx context.Context) (*observer, error) {
	client, err := metadata.NewForConfig(w.cluster.Config)
	if err != nil {
		return nil, err
	}
	resource := client.Resource(translate.EnvoyFilterKind.GroupVersion().WithResource("envoyfilters")).Namespace(namespace)
	list, err := resource.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	o := &observer{news: make(chan struct{}, 1)}
	if o.watch, err = resource.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion}); err != nil {
		return nil, err
	}
	go o.run()
	return o, nil
}

func (o *observer) stop() { o.watch.Stop() }

func (o *observer) run() {
	for event := range o.watch.ResultChan() {
		object, ok := event.Object.(*metav1.PartialObjectMetadata)
		if !ok {
			continue
		}
		o.add(sighting{time.Now(), event.Type, metaOf{object.Name, string(object.UID), object.ResourceVersion, object.Generation}})
	}
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	o.wake()
}

func (o *observer) add(s sighting) {
	o.mu.Lock()
	o.seen = append(o.seen, s)
	o.mu.Unlock()
	o.wake()
}

func (o *observer) wake() {
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// mark is where a wait begins.
func (o *observer) mark() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.seen)
}

// wait waits for an event since a mark that matches, and returns when it came.
func (o *observer) wait(ctx context.Context, mark int, matches func(sighting) bool) (time.Time, error) {
	for {
		o.mu.Lock()
		for ; mark < len(o.seen); mark++ {
			if matches(o.seen[mark]) {
				defer o.mu.Unlock()
				return o.seen[mark].at, nil
			}
		}
		ended := o.ended
		o.mu.Unlock()
		if ended {
			return time.Time{}, errors.New("the watch of EnvoyFilters has ended")
		}
		select {
		case <-o.news:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("an EnvoyFilter was waited for: %w", context.Cause(ctx))
		}
	}
}

// added waits until all of these were created.
func (o *observer) added(ctx context.Context, mark int, names ...string) (time.Time, error) {
	var last time.Time
	for _, name := range names {
		at, err := o.wait(ctx, mark, func(s sighting) bool { return s.kind == watch.Added && s.Name == name })
		if err != nil {
			return last, fmt.Errorf("%s: %w", name, err)
		}
		if at.After(last) {
			last = at
		}
	}
	return last, nil
}

// untilNil waits until check returns nil, at most so long.
func untilNil(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return chain.Until(ctx, check)
}
