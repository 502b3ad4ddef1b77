package endpoint

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
)

// Options of a feed. All but Clock and Log are required.
type Options struct {
	// Config reaches the cluster. Its transport sets the deadlines.
	Config *rest.Config
	// Part of the index that is filled. Nobody else fills it.
	Part   *index.Cluster
	Bounds Bounds
	Clock  clock.WithTicker
	Log    logr.Logger
}

// Feed keeps a cluster's part of an index in step with the cluster.
type Feed struct {
	options Options
	client  *rest.RESTClient
	tables  []*table
	refused refusals
	rebound chan struct{} // of one: the bounds have changed

	mu     sync.RWMutex
	bounds Bounds
}

// NewFeed makes a feed that does nothing until Run.
func NewFeed(o Options) (*Feed, error) {
	client, err := wire.Client(o.Config)
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	f := &Feed{options: o, client: client, bounds: o.Bounds, rebound: make(chan struct{}, 1)}
	part := o.Part
	f.tables = []*table{
		{resource: "namespaces", list: index.Namespaces,
			set:    func(o *wire.Object) { part.SetNamespace(o.Name, o.Own) },
			remove: func(o *wire.Object) { part.DeleteNamespace(o.Name) }},
		{resource: "serviceaccounts", list: index.ServiceAccounts,
			set:    func(o *wire.Object) { part.SetServiceAccount(o.Namespace, o.Name, o.Own) },
			remove: func(o *wire.Object) { part.DeleteServiceAccount(o.Namespace, o.Name) }},
		{resource: "nodes", list: index.ListOf(index.Node), bounded: true,
			set:    func(o *wire.Object) { f.take(index.ID{Kind: index.Node, Name: o.Name}, o, node) },
			remove: func(o *wire.Object) { f.drop(index.ID{Kind: index.Node, Name: o.Name}) }},
		{resource: "pods", list: index.ListOf(index.Pod), bounded: true,
			set:    func(o *wire.Object) { f.take(index.ID{Kind: index.Pod, Namespace: o.Namespace, Name: o.Name}, o, pod) },
			remove: func(o *wire.Object) { f.drop(index.ID{Kind: index.Pod, Namespace: o.Namespace, Name: o.Name}) }},
	}
	for _, t := range f.tables {
		t.feed = f
	}
	return f, nil
}

// Run follows the cluster until ctx ends. What the index has of it then stays there.
func (f *Feed) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, t := range f.tables {
		running.Go(func() { t.run(ctx) }) // ends with ctx
	}
	for {
		select {
		case <-ctx.Done():
			running.Wait()
			return
		case <-f.rebound:
			for _, t := range f.tables {
				if t.bounded {
					t.again()
				}
			}
		}
	}
}

// SetBounds changes which addresses the cluster may contribute. What it has is listed anew and judged by
// these; what they do not allow is gone when that has ended.
func (f *Feed) SetBounds(b Bounds) {
	f.mu.Lock()
	same := slices.Equal(f.bounds.Within, b.Within) && slices.Equal(f.bounds.Never, b.Never) && f.bounds.Local == b.Local
	f.bounds = b
	f.mu.Unlock()
	if same {
		return
	}
	select {
	case f.rebound <- struct{}{}:
	default: // it is to be listed already
	}
}

func (f *Feed) take(id index.ID, o *wire.Object, read func(*wire.Object, Bounds) (taken, bool)) {
	f.mu.RLock()
	t, ok := read(o, f.bounds)
	f.mu.RUnlock()
	f.refused.set(id, t.refused)
	if !ok {
		f.options.Part.Delete(id)
		return
	}
	f.options.Part.Set(&t.endpoint)
}

func (f *Feed) drop(id index.ID) {
	f.refused.set(id, nil)
	f.options.Part.Delete(id)
}

// State is how much a feed has of its cluster.
type State struct {
	// Synced says that everything was listed once.
	Synced bool
	// Faults are what is wrong with the lists, by resource: since when, and why.
	Faults map[string]Fault
	// Refused are the addresses that were not taken, by reason.
	Refused map[string]Refused
}

// Fault is what is wrong with a list.
type Fault struct {
	Since time.Time
	Err   error
}

// Refused are addresses that were not taken for one reason: how many, and one of them.
type Refused struct {
	Count   int
	Of      index.ID
	Address string
}

// State returns the state as it is now.
func (f *Feed) State() State {
	s := State{Synced: true, Faults: map[string]Fault{}, Refused: f.refused.byReason()}
	for _, t := range f.tables {
		t.mu.Lock()
		s.Synced = s.Synced && t.synced
		if t.fault.Err != nil {
			s.Faults[t.resource] = t.fault
		}
		t.mu.Unlock()
	}
	return s
}

// table follows the objects of one resource.
type table struct {
	feed     *Feed
	resource string
	list     index.List
	bounded  bool // what is taken of it depends on the bounds
	set      func(*wire.Object)
	remove   func(*wire.Object)

	mu      sync.Mutex
	synced  bool
	fault   Fault
	restart context.CancelFunc // of what runs now
}

// backoff is how long a list that fails waits for the next try: not for long, because a connection that is
// known to be dead answers at once.
var backoff = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.6, Jitter: .2, Steps: 100, Cap: 5 * time.Second}

func (t *table) run(ctx context.Context) {
	for ctx.Err() == nil {
		once, cancel := context.WithCancel(ctx)
		t.mu.Lock()
		t.restart = cancel
		t.mu.Unlock()
		pace := backoff
		logger := logr.Discard() // what goes wrong is in the state
		toolscache.NewReflectorWithOptions(t.source(), &wire.Object{}, t, toolscache.ReflectorOptions{
			Name: t.resource, Clock: t.feed.options.Clock, Backoff: &pace, Logger: &logger,
		}).RunWithContext(once)
		cancel()
	}
}

// again lists everything anew.
func (t *table) again() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.restart != nil {
		t.restart()
	}
}

func (t *table) source() *toolscache.ListWatch {
	ask := func(o metav1.ListOptions) *rest.Request {
		return t.feed.client.Get().Resource(t.resource).VersionedParams(&o, metav1.ParameterCodec)
	}
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := ask(o).Do(ctx).Get()
			t.learn(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.Watch = true
			w, err := ask(o).Watch(ctx)
			if !apierrors.IsResourceExpired(err) { // a list follows, and nothing is wrong
				t.learn(ctx, err)
			}
			return w, err
		},
	}
}

// learn keeps what the last request failed with.
func (t *table) learn(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		if t.fault.Err != nil {
			t.feed.options.Log.Info("following again", "resource", t.resource)
		}
		t.fault = Fault{}
	case t.fault.Err == nil:
		t.fault = Fault{t.feed.options.Clock.Now(), fmt.Errorf("following %s: %w", t.resource, err)}
		t.feed.options.Log.Info("following no more", "resource", t.resource, "reason", err.Error())
	default:
		t.fault.Err = fmt.Errorf("following %s: %w", t.resource, err)
	}
}

// Add implements cache.ReflectorStore.
func (t *table) Add(obj any) error { return t.Update(obj) }

// Update implements cache.ReflectorStore.
func (t *table) Update(obj any) error {
	o, ok := obj.(*wire.Object)
	if !ok {
		return fmt.Errorf("following %s: got %T", t.resource, obj)
	}
	t.set(o)
	return nil
}

// Delete implements cache.ReflectorStore.
func (t *table) Delete(obj any) error {
	o, ok := obj.(*wire.Object)
	if !ok {
		return fmt.Errorf("following %s: got %T", t.resource, obj)
	}
	t.remove(o)
	return nil
}

// Replace implements cache.ReflectorStore. It is called when a list has ended: what is not in it is gone.
func (t *table) Replace(all []any, _ string) error {
	part := t.feed.options.Part
	part.Begin(t.list)
	if t.bounded {
		t.feed.refused.forget(t.list)
	}
	for _, obj := range all {
		if err := t.Update(obj); err != nil {
			return err
		}
	}
	part.End(t.list)
	t.mu.Lock()
	t.synced = true
	t.mu.Unlock()
	return nil
}

// Resync implements cache.ReflectorStore.
func (*table) Resync() error { return nil }

// refusals are the addresses that were refused. Those of many endpoints are only counted.
type refusals struct {
	mu  sync.Mutex
	all map[index.ID][]refusal
}

func (r *refusals) set(id index.ID, refused []refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(refused) == 0 {
		delete(r.all, id)
		return
	}
	if r.all == nil {
		r.all = map[index.ID][]refusal{}
	}
	r.all[id] = refused
}

// forget forgets those of one list.
func (r *refusals) forget(l index.List) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.all {
		if index.ListOf(id.Kind) == l {
			delete(r.all, id)
		}
	}
}

func (r *refusals) byReason() map[string]Refused {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string]Refused{}
	for id, all := range r.all {
		for _, one := range all {
			f := found[one.reason]
			f.Count++
			if f.Address == "" || less(id, f.Of) { // the same one each time
				f.Of, f.Address = id, one.address
			}
			found[one.reason] = f
		}
	}
	return found
}

func less(a, b index.ID) bool {
	if a.Namespace != b.Namespace {
		return a.Namespace < b.Namespace
	}
	return a.Name < b.Name
}

// Prefixes are addresses as Bounds have them: an address is a range of one.
func Prefixes(addresses ...netip.Addr) (all []netip.Prefix) {
	for _, a := range addresses {
		a = a.Unmap()
		all = append(all, netip.PrefixFrom(a, a.BitLen()))
	}
	return all
}
