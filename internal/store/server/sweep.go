// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// abandoned is when a file that is being written belongs to nobody any more. No upload may take that long.
const abandoned = time.Hour

// sweep deletes what nobody needs: modules that were in no set for longer than the grace, uploads that no tag names, and
// what a killed process left behind.
func (s *Server) sweep(ctx context.Context) error {
	now := s.now()
	return errors.Join(
		s.sweepModules(ctx, now),
		s.sweepUploads(ctx, now),
		s.sweepUnfinished(ctx, now),
	)
}

// sweepModules deletes nothing when no manager has spoken for longer than the grace: what is in use is unknown then.
func (s *Server) sweepModules(ctx context.Context, now time.Time) error {
	known := s.references.get()
	if known.Revision == 0 || now.Sub(known.Received) > s.options.Grace {
		return nil
	}
	stored, err := s.storage.list(ctx, modulesPrefix)
	if err != nil {
		return err
	}
	counted := known.counted()
	for key, found := range stored {
		since, unused := known.Unused[key]
		// One that was just brought may have been here, unused, for long.
		if _, used := counted[key]; !used && unused && now.Sub(since) > s.options.Grace {
			err = errors.Join(err, s.collect(ctx, key, found, now))
		}
	}
	return err
}

// collect deletes what is older than the grace. A module that was uploaded again is young.
func (s *Server) collect(ctx context.Context, key string, found object, now time.Time) error {
	if now.Sub(found.at) <= s.options.Grace {
		return nil
	}
	s.metrics.collected.Inc()
	return s.storage.remove(ctx, key, found.at)
}

// sweepUploads deletes the earlier places of tags, and content that no tag names.
func (s *Server) sweepUploads(ctx context.Context, now time.Time) error {
	if !s.options.Durable {
		return nil
	}
	// The content first: what is uploaded and tagged from here on is not among it.
	stored, err := s.storage.list(ctx, uploadsPrefix)
	if err != nil {
		return err
	}
	tags, err := s.storage.list(ctx, tagsPrefix)
	if err != nil {
		return err
	}
	newest := newestPlaces(tags)
	named, err := s.namedUploads(ctx, newest)
	if err != nil {
		return err // without knowing what a tag names, nothing of the uploads may go
	}
	for key, found := range tags {
		if of, version, ok := parseTagKey(key); ok && version < newest[of] {
			err = errors.Join(err, s.collect(ctx, key, found, now))
		}
	}
	for key, found := range stored {
		if strings.HasSuffix(key, extension) && !named[key] {
			err = errors.Join(err, s.collect(ctx, key, found, now))
		}
	}
	return err
}

// newestPlaces is where each tag stands.
func newestPlaces(tags map[string]object) map[label]int {
	newest := map[label]int{}
	for key := range tags {
		if of, version, ok := parseTagKey(key); ok {
			newest[of] = max(newest[of], version)
		}
	}
	return newest
}

// namedUploads are the keys of what tags name.
func (s *Server) namedUploads(ctx context.Context, newest map[label]int) (map[string]bool, error) {
	named := map[string]bool{}
	for of, version := range newest {
		content, err := s.storage.read(ctx, of.tagKey(version))
		if err != nil {
			return nil, err
		}
		var tagged store.TaggedModule
		if err := json.Unmarshal(content, &tagged); err != nil {
			return nil, err
		}
		named[of.uploadKey(tagged.Digest)] = true
	}
	return named, nil
}

// sweepUnfinished deletes the beginnings of files whose writers were killed. Buckets drop theirs themselves.
func (s *Server) sweepUnfinished(ctx context.Context, now time.Time) error {
	if s.storage.folder == "" {
		return nil
	}
	stored, err := s.storage.list(ctx, "")
	if err != nil {
		return err
	}
	for key, found := range stored {
		if strings.HasSuffix(key, unfinished) && now.Sub(found.at) > abandoned {
			err = errors.Join(err, s.storage.remove(ctx, key, found.at))
		}
	}
	return err
}
