package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// readPatience is how long a read waits for its kind to be listed for the first time. A reconcile is no
// place to wait in; but most lists take less, and a reconcile that is sent away comes back only later.
const readPatience = 10 * time.Second

// Get implements client.Reader.
func (s *store) Get(ctx context.Context, key client.ObjectKey, out client.Object, opts ...client.GetOption) error {
	k, err := gvkOf(out, s.cached.scheme)
	if err != nil {
		return err
	}
	t, err := s.readable(ctx, k)
	if errors.Is(err, errClusterScoped) {
		return s.live.Get(ctx, key, out, opts...)
	}
	if err != nil {
		return err
	}
	return t.cache.Get(ctx, key, out, opts...)
}

// List implements client.Reader.
func (s *store) List(ctx context.Context, out client.ObjectList, opts ...client.ListOption) error {
	k, err := gvkOf(out, s.cached.scheme)
	if err != nil {
		return err
	}
	k.gvk.Kind = strings.TrimSuffix(k.gvk.Kind, "List")
	t, err := s.readable(ctx, k)
	if errors.Is(err, errClusterScoped) {
		return s.live.List(ctx, out, opts...)
	}
	if err != nil {
		return err
	}
	return t.cache.List(ctx, out, opts...)
}

// readable returns a kind whose cache can be read.
func (s *store) readable(ctx context.Context, k kind) (*tracked, error) {
	if s.cached.metadata[k.gvk] && k.form != metadataOnly {
		return nil, fmt.Errorf("reading %s of cluster %q: only its metadata is cached: read it as a metav1.PartialObjectMetadata", k, s.name)
	}
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	t := s.find(k)
	if t == nil && s.cached.ReaderFailOnMissingInformer {
		return nil, &cache.ErrResourceNotCached{GVK: k.gvk}
	}
	if t == nil || !t.informer.HasSynced() {
		var err error
		if t, err = s.first(ctx, k); err != nil {
			return nil, err
		}
	}
	if err := s.stale(); err != nil {
		return nil, err
	}
	return t, nil
}

// stale is ErrStale where caches are older than they may be.
func (s *store) stale() error {
	if s.staleAfter <= 0 {
		return nil
	}
	age := s.age()
	if age <= s.staleAfter {
		return nil
	}
	why := []error{s.link.err()}
	for _, t := range s.all() {
		if t.age(s.clock.Now()) > s.staleAfter {
			why = append(why, t.err())
		}
	}
	return &ClusterError{
		Cluster: s.name, Err: ErrStale, Message: fmt.Sprintf("caches are %s old, and may be %s", age.Round(time.Second), s.staleAfter),
		Cause: errors.Join(why...),
	}
}

// first waits for the first list of a kind, for as long as there is hope for it.
func (s *store) first(ctx context.Context, k kind) (*tracked, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	a := s.attempt(k)
	if a == nil {
		return nil, context.Cause(s.ctx)
	}
	for started := a.done; ; {
		changed := s.link.next()
		if err := s.link.hopeless(); err != nil {
			return nil, s.unread(k, err)
		}
		var listed, noted <-chan struct{}
		if started == nil {
			var err error
			listed = a.kind.synced()
			if noted, err = a.kind.refused(); err != nil {
				return nil, s.unread(k, err)
			}
		}
		select {
		case <-started:
			if a.err != nil {
				return nil, a.err
			}
			started = nil
		case <-listed:
			if err := a.kind.unlisted(); err != nil {
				return nil, s.unread(k, err)
			}
			return a.kind, nil
		case <-changed:
		case <-noted:
		case <-ctx.Done():
			return nil, s.unread(k, errors.Join(context.Cause(ctx), s.link.err()))
		case <-s.ctx.Done():
			return nil, context.Cause(s.ctx)
		}
	}
}

// unread is the error of a read that came before the first list.
func (s *store) unread(k kind, cause error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	what := ErrNotReady
	if errors.Is(cause, ErrUnauthorized) || apierrors.IsForbidden(cause) || apierrors.IsUnauthorized(cause) {
		what = ErrUnauthorized
	}
	return &ClusterError{Cluster: s.name, Err: what, Message: fmt.Sprintf("%s has not been listed yet", k), Cause: cause}
}
