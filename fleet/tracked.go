package fleet

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// tracked is one kind of a store: its informer, and what can be known of how current that is.
type tracked struct {
	kind     kind
	store    *store
	ctx      context.Context //nolint:containedctx // the life of the informer
	stop     context.CancelFunc
	example  client.Object
	cache    cache.Cache
	informer cache.Informer

	failing atomic.Bool // its watch does not work, and that has been said

	mu      sync.Mutex
	sources []*watched    // one, or as many as there are namespaces
	lastErr error         // what its last list or watch failed with
	noted   chan struct{} // closed, and replaced, with every failure
}

// synced is closed when everything has been listed once. With several namespaces it is also closed when the
// informer has ended before that: whether anything was listed, HasSynced says.
func (t *tracked) synced() <-chan struct{} { return t.informer.HasSyncedChecker().Done() }

// age is zero while the kind is watched, or has never been listed: there is nothing to be stale then.
func (t *tracked) age(now time.Time) time.Duration {
	if !t.informer.HasSynced() {
		return 0
	}
	var oldest time.Duration
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.sources {
		if since := w.since.Load(); since != 0 {
			oldest = max(oldest, now.Sub(time.Unix(0, since)))
		}
	}
	return oldest
}

// refused is the error of a cluster that does not let the kind be listed, if that is so, and otherwise a
// channel that is closed with the next failure.
func (t *tracked) refused() (next <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if apierrors.IsForbidden(t.lastErr) || apierrors.IsUnauthorized(t.lastErr) || apierrors.IsNotFound(t.lastErr) {
		return nil, t.lastErr
	}
	return t.noted, nil
}

// err is what the last list or watch failed with.
func (t *tracked) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lastErr
}

// note takes in how the last list or watch went.
func (t *tracked) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastErr = err
	if err == nil {
		t.failing.Store(false)
		return
	}
	close(t.noted)
	t.noted = make(chan struct{})
}

// unlisted is why nothing was listed though synced is closed.
func (t *tracked) unlisted() error {
	if t.informer.HasSynced() {
		return nil
	}
	return context.Cause(t.ctx)
}

// failed is told when a watch, or the list before it, ends with an error.
func (t *tracked) failed(ctx context.Context, _ *toolscache.Reflector, err error) {
	if ctx.Err() == nil && !t.failing.Swap(true) {
		t.store.log.Info("a watch has ended, and will be tried again", "kind", t.kind.String(), "error", err.Error())
	}
}

// newInformer makes an informer that tells when it is current, and that rests while the link does not work.
func (t *tracked) newInformer(lw toolscache.ListerWatcher, example runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	w := &watched{tracked: t, inner: toolscache.ToListerWatcherWithContext(lw)}
	t.mu.Lock()
	t.sources = append(t.sources, w)
	t.mu.Unlock()
	return toolscache.NewSharedIndexInformer(&toolscache.ListWatch{
		ListWithContextFunc:  w.list,
		WatchFuncWithContext: w.watch,
	}, example, resync, indexers)
}

// newMortalInformer makes one of several for the kind.
func (t *tracked) newMortalInformer(lw toolscache.ListerWatcher, example runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	return mortal{t.newInformer(lw, example, resync, indexers), t.ctx}
}

// watched stands between a reflector and the API server.
type watched struct {
	*tracked
	inner toolscache.ListerWatcherWithContext
	// since is when a reflector first asked for what it has not got yet, in Unix nanoseconds; zero while a
	// watch is open. A watch that breaks is asked for again within a second.
	since atomic.Int64
}

// begin notes that there is no watch, and waits until there can be one: reflectors that try all by themselves
// would cost a dead cluster one request each, and come back up to a minute late.
func (w *watched) begin(ctx context.Context) error {
	w.since.CompareAndSwap(0, w.store.clock.Now().UnixNano())
	return w.store.link.await(ctx)
}

func (w *watched) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	if err := w.begin(ctx); err != nil {
		return nil, err
	}
	list, err := w.inner.ListWithContext(ctx, o)
	if err != nil {
		w.note(err)
	}
	return list, err
}

func (w *watched) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if err := w.begin(ctx); err != nil {
		return nil, err
	}
	open, err := w.inner.WatchWithContext(ctx, o)
	if err == nil {
		w.since.Store(0)
		w.note(nil)
		return open, nil
	}
	w.note(err)
	if o.SendInitialEvents != nil && utilnet.IsConnectionRefused(err) {
		// Over this error a reflector that has not listed yet sleeps, whatever its context says. Where it does
		// not know the kind of the error it comes back by a clock that it can be woken from.
		err = errors.New(err.Error())
	}
	return nil, err
}
