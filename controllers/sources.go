// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// sources reads the ConfigMaps and Secrets that rules come from, and tells when they may have changed. ConfigMaps are
// watched. Secrets never are: a right to watch or list them is a right to read all of a namespace.
type sources struct {
	live    client.Reader
	watches *configMapWatches
	// interval is about the time between two looks at what isn't watched.
	interval time.Duration

	mutex sync.Mutex
	// checks are the times of each plugin's next look.
	checks map[types.NamespacedName]time.Time
}

func newSources(live client.Reader, watches *configMapWatches, interval time.Duration) *sources {
	return &sources{live: live, watches: watches, interval: interval, checks: map[types.NamespacedName]time.Time{}}
}

// noRight is why an object may not be read, as the end of a sentence.
var noRight = map[rules.Kind]string{
	rules.ConfigMap: "the operator has no right to it; grant get, list and watch on configmaps in this namespace",
	rules.Secret:    "the operator has no right to Secrets of this namespace; add the namespace to the chart's value rulesFrom.secretNamespaces, or grant get on this Secret",
}

// reading is an object as it was read. One that doesn't exist has no version.
type reading struct {
	rules.Content
	version string
}

// read reads the objects that a spec names, each once, and follows them from then on. What can't be read for another
// reason than that it isn't there, or not for us, is an error.
func (s *sources) read(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin) (rules.Sources, sourceVersions, error) {
	objects := translate.References(plugin.Spec)
	if len(objects) > translate.MaxReferences {
		objects = nil // it will be refused, whatever they hold
	}
	var versions sourceVersions
	for _, object := range objects {
		versions.set(object, "")
	}
	key := client.ObjectKeyFromObject(plugin)
	// First the watch, then the look: so that no change is missed between them.
	s.watches.follow(key, versions.configMapNames())
	found, size := rules.Sources{}, rules.Size(0)
	for _, object := range objects {
		read, err := s.get(ctx, key.Namespace, object)
		if err != nil {
			return nil, sourceVersions{}, err
		}
		read.Content = size.Bounded(read.Content)
		if read.version != "" || read.Denied != "" {
			found[object] = read.Content
		}
		versions.set(object, read.version)
	}
	versions.setRefresh(plugin.Annotations)
	return found, versions, nil
}

func (s *sources) get(ctx context.Context, namespace string, object rules.Object) (reading, error) {
	key := types.NamespacedName{Namespace: namespace, Name: object.Name}
	if object.Kind == rules.ConfigMap {
		configMap := &corev1.ConfigMap{}
		if err := getByName(ctx, s.live, key, configMap); err != nil {
			return unread(err, object, key)
		}
		return reading{rules.Content{Data: rules.Texts(configMap.Data, configMap.BinaryData)}, configMap.ResourceVersion}, nil
	}
	// Whether the data may be read is asked before they are.
	if seen, err := s.look(ctx, namespace, object); err != nil || seen.version == "" || seen.Denied != "" {
		return seen, err
	}
	secret := &corev1.Secret{}
	if err := getByName(ctx, s.live, key, secret); err != nil {
		return unread(err, object, key)
	}
	if denied := rules.NoConsent(secret.Labels); denied != "" {
		return reading{rules.Content{Denied: denied}, secret.ResourceVersion}, nil
	}
	return reading{rules.Content{Data: secret.Data}, secret.ResourceVersion}, nil
}

// getByName reads an object by a name that a user gave it or wrote. One that no object can have, ../x say, is of none: the client's own error for
// it would be no answer, and no asking again mends it.
func getByName(ctx context.Context, live client.Reader, key types.NamespacedName, into client.Object) error {
	if len(content.IsPathSegmentName(key.Name)) > 0 {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	err := live.Get(ctx, key, into)
	if err == nil && into.GetName() != key.Name {
		return apply.ErrAnotherObject
	}
	return err
}

// look reads an object's metadata only.
func (s *sources) look(ctx context.Context, namespace string, object rules.Object) (reading, error) {
	key := types.NamespacedName{Namespace: namespace, Name: object.Name}
	meta := partial(corev1.SchemeGroupVersion.WithKind(string(object.Kind)))
	if err := getByName(ctx, s.live, key, meta); err != nil {
		return unread(err, object, key)
	}
	read := reading{version: meta.ResourceVersion}
	if object.Kind == rules.Secret {
		read.Denied = rules.NoConsent(meta.Labels)
	}
	return read, nil
}

func unread(err error, object rules.Object, key types.NamespacedName) (reading, error) {
	switch {
	case apierrors.IsNotFound(err):
		return reading{}, nil
	case apierrors.IsForbidden(err):
		return reading{Content: rules.Content{Denied: noRight[object.Kind]}}, nil
	default:
		return reading{}, fmt.Errorf("read %s %s: %w", object.Kind, key, err)
	}
}
