// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// expected returns what the annotation of a pair that stands would be if it were rendered now, as far as that is known
// without asking.
func (s *sources) expected(plugin *metav1.PartialObjectMetadata, standing sourceVersions) sourceVersions {
	var expected sourceVersions
	for name, version := range standing.ConfigMaps {
		key := types.NamespacedName{Namespace: plugin.Namespace, Name: name}
		expected.set(rules.Object{Kind: rules.ConfigMap, Name: name}, s.watches.version(key, version))
	}
	for name, version := range standing.Secrets {
		expected.set(rules.Object{Kind: rules.Secret, Name: name}, version)
	}
	expected.setRefresh(plugin.Annotations)
	return expected
}

// unchanged follows the objects of a pair that stands, and looks at those that aren't watched if it is time. It returns
// the time until the next look, 0 for none.
func (s *sources) unchanged(ctx context.Context, plugin *metav1.PartialObjectMetadata, standing sourceVersions) (bool, time.Duration, error) {
	key := client.ObjectKeyFromObject(plugin)
	s.watches.follow(key, standing.configMapNames())
	unwatched := s.unwatched(key.Namespace, standing)
	if wait := s.untilCheck(key, len(unwatched) > 0); wait > 0 || len(unwatched) == 0 {
		return true, wait, nil
	}
	for object, version := range unwatched {
		seen, err := s.look(ctx, key.Namespace, object)
		if err != nil {
			return false, 0, err
		}
		if seen.version != version || seen.Denied != "" {
			return false, 0, nil
		}
	}
	return true, s.checkLater(key, standing), nil
}

// unwatched are the Secrets, and those ConfigMaps whose watch brings no news.
func (s *sources) unwatched(namespace string, versions sourceVersions) map[rules.Object]string {
	unwatched := map[rules.Object]string{}
	for name, version := range versions.Secrets {
		unwatched[rules.Object{Kind: rules.Secret, Name: name}] = version
	}
	for name, version := range versions.ConfigMaps {
		if s.watches.fails(types.NamespacedName{Namespace: namespace, Name: name}) {
			unwatched[rules.Object{Kind: rules.ConfigMap, Name: name}] = version
		}
	}
	return unwatched
}

// untilCheck returns the time until the next look, 0 where it has come. The looks of plugins that are seen for the first
// time, as all are after a restart, are spread over the interval.
func (s *sources) untilCheck(plugin types.NamespacedName, needed bool) time.Duration {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !needed {
		delete(s.checks, plugin)
		return 0
	}
	next, known := s.checks[plugin]
	if !known {
		next = time.Now().Add(rand.N(s.interval))
		s.checks[plugin] = next
	}
	return max(0, time.Until(next))
}

// checkLater returns the time until the next look after one: the interval, give or take a tenth, so that those of many
// plugins don't come together. It is 0 where all is watched.
func (s *sources) checkLater(plugin types.NamespacedName, versions sourceVersions) time.Duration {
	unwatched := s.unwatched(plugin.Namespace, versions)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(unwatched) == 0 {
		delete(s.checks, plugin)
		return 0
	}
	wait := s.interval - s.interval/10 + rand.N(s.interval/5)
	s.checks[plugin] = time.Now().Add(wait)
	return wait
}

// forget ends what is done for a plugin that is gone.
func (s *sources) forget(plugin types.NamespacedName) {
	s.watches.follow(plugin, nil)
	s.untilCheck(plugin, false)
}
