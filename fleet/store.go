package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// errClusterScoped says that a kind cannot be cached for a virtual cluster, which is one namespace.
var errClusterScoped = errors.New("it is not namespaced, and this cluster is one namespace of another")

// store holds the caches of one cluster. It implements cache.Cache on controller-runtime's own, one for each
// kind: it starts them when they are first wanted, never waits for the cluster while it holds a lock, and
// knows how old they are. Its goroutines end with ctx.
type store struct {
	ctx        context.Context //nolint:containedctx // the life of the cluster
	name       string
	namespace  string // of a virtual cluster
	clock      clock.WithTicker
	link       *link
	log        logr.Logger
	cached     cached
	config     *rest.Config
	http       *http.Client
	mapper     meta.RESTMapper
	live       client.Reader
	staleAfter time.Duration

	mu      sync.RWMutex
	kinds   map[kind]*tracked
	pending map[kind]*attempt
	indexes []index
	ended   bool
	running sync.WaitGroup // grows only with mu held, and not once ended
}

// attempt is one try to start the informer of a kind.
type attempt struct {
	done chan struct{}
	kind *tracked
	err  error
}

// find returns the informer of a kind, if it has one.
func (s *store) find(k kind) *tracked {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.kinds[k]
}

// want returns the informer of a kind, and starts it where there is none. It waits until the link works and
// the cluster has said what resource the kind is, at most until ctx ends. Whether anything has been listed
// then is another question.
func (s *store) want(ctx context.Context, k kind) (*tracked, error) {
	if t := s.find(k); t != nil {
		return t, nil
	}
	a := s.attempt(k)
	if a == nil {
		return nil, context.Cause(s.ctx)
	}
	select {
	case <-a.done:
		return a.kind, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

// attempt returns the try that is under way, or begins one; nil, if the cluster has left.
func (s *store) attempt(k kind) *attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.pending[k]; a != nil {
		return a
	}
	a := &attempt{done: make(chan struct{})}
	if t := s.kinds[k]; t != nil {
		a.kind = t
		close(a.done)
		return a
	}
	if s.ended {
		return nil
	}
	s.pending[k] = a
	s.running.Go(func() { s.try(k, a) }) // ends with the answer of the cluster, or with s.ctx
	return a
}

func (s *store) try(k kind, a *attempt) {
	defer close(a.done)
	t, err := s.start(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, k)
	if err == nil && s.ended {
		t.stop()
		err = context.Cause(s.ctx)
	}
	if err != nil {
		a.err = fmt.Errorf("caching %s of cluster %q: %w", k, s.name, err)
		return
	}
	for _, i := range s.indexes {
		if i.kind == k {
			s.apply(t, i)
		}
	}
	s.kinds[k], a.kind = t, t
	s.running.Go(func() { // ends with s.ctx, or when the informer is removed
		defer t.stop()
		_ = t.cache.Start(t.ctx) // fails only if it is started twice
	})
}

// start makes the cache of a kind, ready to run. The mapper takes no context: what it asks ends with the
// deadline of the connection, or with the connection.
func (s *store) start(k kind) (*tracked, error) {
	if err := s.link.await(s.ctx); err != nil {
		return nil, err
	}
	mapping, err := s.mapper.RESTMapping(k.gvk.GroupKind(), k.gvk.Version)
	if err != nil {
		return nil, err
	}
	if s.namespace != "" && mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return nil, errClusterScoped
	}
	t := &tracked{kind: k, store: s, noted: make(chan struct{})}
	if t.example, err = s.cached.example(k); err != nil {
		return nil, err
	}
	t.ctx, t.stop = context.WithCancel(s.ctx)
	if t.cache, err = cache.New(s.config, s.options(t)); err == nil {
		t.informer, err = t.cache.GetInformer(s.ctx, t.example, cache.BlockUntilSynced(false))
	}
	if err != nil {
		t.stop()
		return nil, err
	}
	return t, nil
}

func (s *store) options(t *tracked) cache.Options {
	o := s.cached.options(t.kind.gvk)
	o.HTTPClient, o.Mapper = s.http, s.mapper
	o.NewInformer = t.newInformer
	o.DefaultWatchErrorHandler = t.failed
	if s.namespace != "" {
		// Requests then name the namespace in their path, as a role in that namespace alone demands.
		own := o.DefaultNamespaces[s.namespace]
		o.DefaultNamespaces = nil
		if own.LabelSelector != nil {
			o.DefaultLabelSelector = own.LabelSelector
		}
		in := fields.OneTermEqualSelector("metadata.namespace", s.namespace)
		if o.DefaultFieldSelector == nil {
			o.DefaultFieldSelector = in
		} else {
			o.DefaultFieldSelector = fields.AndSelectors(in, o.DefaultFieldSelector)
		}
	}
	if len(o.DefaultNamespaces) > 0 {
		o.NewInformer = t.newMortalInformer
	}
	return o
}

// addIndex takes an index for now and later, and starts the informer of its kind in the background.
func (s *store) addIndex(i index) {
	s.mu.Lock()
	s.indexes = append(s.indexes, i)
	t := s.kinds[i.kind]
	if t == nil && !s.ended {
		s.running.Go(func() { // ends when the informer has started, or with s.ctx
			_, _ = s.persist(s.ctx, i.kind)
		})
	}
	s.mu.Unlock()
	if t != nil { // not under the lock: all that is cached has to be looked at
		s.apply(t, i)
	}
}

// apply asks nothing of the cluster: the informer is there.
func (s *store) apply(t *tracked, i index) {
	if err := t.cache.IndexField(s.ctx, t.example, i.field, i.extract); err != nil && s.ctx.Err() == nil {
		s.log.Error(err, "an index cannot be kept", "kind", i.kind.String(), "field", i.field)
	}
}

// Attempts to start an informer are repeated after firstRetry, doubled up to maxRetry: a kind that is not
// there yet may be installed any time.
const (
	firstRetry = time.Second
	maxRetry   = time.Minute
)

// persist is want until it succeeds, ctx ends, or there is no point in trying.
func (s *store) persist(ctx context.Context, k kind) (*tracked, error) {
	for pause := firstRetry; ; pause = min(2*pause, maxRetry) {
		t, err := s.want(ctx, k)
		if err == nil || errors.Is(err, errClusterScoped) || ctx.Err() != nil || s.ctx.Err() != nil {
			return t, err
		}
		if pause == firstRetry {
			s.log.Info("a kind cannot be cached yet", "kind", k.String(), "error", err.Error())
		}
		timer := s.clock.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C():
		}
		timer.Stop()
	}
}

// wait returns when every goroutine of the store has ended, some time after ctx has.
func (s *store) wait() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.running.Wait()
}

// age is how long ago everything that is cached was last known to be current.
func (s *store) age() time.Duration {
	now := s.clock.Now()
	oldest := s.link.age(now)
	for _, t := range s.all() {
		oldest = max(oldest, t.age(now))
	}
	return oldest
}

func (s *store) all() []*tracked {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.kinds))
}

// GetInformer implements cache.Informers. It waits as controller-runtime's own does: until the first list is
// done, or ctx ends, unless it is told not to.
func (s *store) GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	k, err := gvkOf(obj, s.cached.scheme)
	if err != nil {
		return nil, err
	}
	return s.getInformer(ctx, k, opts)
}

// GetInformerForKind implements cache.Informers.
func (s *store) GetInformerForKind(ctx context.Context, gvk schema.GroupVersionKind, opts ...cache.InformerGetOption) (cache.Informer, error) {
	return s.getInformer(ctx, kind{gvk: gvk}, opts)
}

func (s *store) getInformer(ctx context.Context, k kind, opts []cache.InformerGetOption) (cache.Informer, error) {
	t, err := s.want(ctx, k)
	if err != nil {
		return nil, err
	}
	o := cache.InformerGetOptions{}
	for _, opt := range opts {
		opt(&o)
	}
	if o.BlockUntilSynced != nil && !*o.BlockUntilSynced {
		return t.informer, nil
	}
	select {
	case <-t.synced():
		if err := t.unlisted(); err != nil {
			return nil, s.unread(k, err)
		}
		return t.informer, nil
	case <-ctx.Done():
		return nil, s.unread(k, context.Cause(ctx))
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

// RemoveInformer implements cache.Informers: it stops the informer of a kind and forgets what it has cached.
func (s *store) RemoveInformer(ctx context.Context, obj client.Object) error {
	k, err := gvkOf(obj, s.cached.scheme)
	if err != nil {
		return err
	}
	s.mu.Lock()
	t := s.kinds[k]
	delete(s.kinds, k)
	s.mu.Unlock()
	if t == nil {
		return nil
	}
	t.stop()
	return nil
}

// IndexField implements client.FieldIndexer, for this cluster alone. It does not wait for it.
func (s *store) IndexField(_ context.Context, obj client.Object, field string, extract client.IndexerFunc) error {
	k, err := s.cached.kindOf(obj)
	if err != nil {
		return err
	}
	s.addIndex(index{k, field, extract})
	return nil
}

// Start implements cache.Informers. The fleet has started the store already: this waits for its end.
func (s *store) Start(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return nil
}

// WaitForCacheSync implements cache.Informers.
func (s *store) WaitForCacheSync(ctx context.Context) bool {
	for _, t := range s.all() {
		select {
		case <-t.synced():
			if t.unlisted() != nil {
				return false
			}
		case <-ctx.Done():
			return false
		case <-s.ctx.Done():
			return false
		}
	}
	return true
}
