package endpoint

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
)

// Options of a feed. Config and Part are required.
type Options struct {
	// Config reaches the cluster. Its transport sets the deadlines.
	Config *rest.Config
	// ID of the cluster, the UID of its namespace kube-system: nothing is taken from another one. Empty: from any.
	ID string
	// Part of the index that is filled. Nobody else fills it.
	Part   *index.Cluster
	Bounds Bounds
	Clock  clock.WithTicker
	Log    logr.Logger
	// Changed is called, without waiting, whenever State says something else. May be nil.
	Changed func()
	// LookEvery is how often it is looked whether the cluster has the kinds that not every one has. Zero means a minute.
	LookEvery time.Duration
}

// Feed keeps a cluster's part of an index in step with the cluster.
type Feed struct {
	options Options
	client  *rest.RESTClient
	tables  []*table
	refused refusals
	waiting waiting
	rebound chan struct{} // of one: the bounds have changed

	mu     sync.RWMutex // held for reading while an endpoint is taken, or goes
	bounds Bounds

	staleMu sync.Mutex
	stale   time.Time // since when; zero: it is not
	mended  time.Time // when it was not any more; zero: it never was
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
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.LookEvery == 0 {
		o.LookEvery = time.Minute
	}
	f := &Feed{options: o, client: client, bounds: o.Bounds.relevant(), rebound: make(chan struct{}, 1), waiting: waiting{part: o.Part}}
	f.tables = f.allTables()
	return f, nil
}

// Run follows the cluster until ctx ends. What the index has of it then stays there.
func (f *Feed) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, t := range f.tables {
		running.Go(func() { t.Run(ctx) }) // ends with ctx
	}
	for {
		select {
		case <-ctx.Done():
			running.Wait()
			return
		case <-f.rebound:
			for _, t := range f.tables {
				if t.bounded {
					t.Again()
				}
			}
		}
	}
}

// SetBounds changes which addresses the cluster may contribute. What they do not allow any more is gone when it
// returns, also where the cluster does not answer; what they allow now comes with a list that it asks for.
func (f *Feed) SetBounds(b Bounds) {
	if !f.bind(b) {
		return
	}
	f.options.Changed()
	select {
	case f.rebound <- struct{}{}:
	default: // it is to be listed already
	}
}

// bind is SetBounds without asking for a list, also of a feed that has ended, or is about to. It reports whether these are
// other bounds.
func (f *Feed) bind(b Bounds) (changed bool) {
	b = b.relevant()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bounds.equal(b) {
		return false
	}
	f.bounds = b
	f.narrow()
	return true
}

// narrow takes away the addresses that the bounds do not allow. It is called with f.mu held, so that no endpoint is
// taken meanwhile, nor goes, and is there again by what it leaves of it.
func (f *Feed) narrow() {
	part := f.options.Part
	refused := map[index.ID][]refusal{}
	for id, p := range part.Addresses() {
		if reason := f.bounds.refuses(p); reason != "" {
			refused[id] = refuse(refused[id], said(p), reason)
		}
	}
	for id, these := range refused {
		e, ok := part.Get(id)
		if !ok {
			continue
		}
		if e.Addresses = f.bounds.keep(e.Addresses); len(e.Addresses) == 0 {
			part.Delete(id)
		} else {
			part.Set(&e)
		}
		f.refused.set(id, these)
	}
}

func (f *Feed) take(id index.ID, o *wire.Object, read func(*wire.Object, Bounds) (taken, bool)) {
	if f.judge(id, o, read) {
		f.options.Changed()
	}
}

func (f *Feed) judge(id index.ID, o *wire.Object, read func(*wire.Object, Bounds) (taken, bool)) (changed bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, ok := read(o, f.bounds)
	if ok {
		f.waiting.set(&t.endpoint)
	} else {
		f.waiting.remove(id)
	}
	return f.refused.set(id, t.refused)
}

func (f *Feed) drop(id index.ID) {
	if f.forget(id) {
		f.options.Changed()
	}
}

func (f *Feed) forget(id index.ID) (changed bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	f.waiting.remove(id)
	return f.refused.set(id, nil)
}

// State is how much a feed has of its cluster.
type State struct {
	// Synced says that everything that it may read was listed once.
	Synced bool
	// Faults are what is wrong with the lists, by resource: since when, and why.
	Faults map[string]Fault
	// Stale is since when something is not followed that every cluster has; zero: all of that is.
	Stale time.Time
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
		synced, fault := t.state()
		s.Synced = s.Synced && synced
		if fault.Err != nil {
			s.Faults[t.resource] = fault
		}
	}
	f.staleMu.Lock()
	defer f.staleMu.Unlock()
	s.Stale = f.stale
	return s
}

// since is when everything was followed again for the last time that it was not; zero: it always was.
func (f *Feed) since() time.Time {
	f.staleMu.Lock()
	defer f.staleMu.Unlock()
	return f.mended
}

// Retry says that the cluster answers again, as somebody knows: what has failed is tried now, rather than when its time has
// come. It does not wait.
func (f *Feed) Retry() {
	for _, t := range f.tables {
		t.Retry()
	}
}

// changed is called when a list has a fault, or has none any more. The feed is stale from the first one on, until there
// is none.
func (f *Feed) changed() {
	f.staleMu.Lock()
	faulty := slices.ContainsFunc(f.tables, func(t *table) bool {
		_, fault := t.state()
		return fault.Err != nil && !t.mayLack(fault.Err)
	})
	switch {
	case !faulty && !f.stale.IsZero():
		f.stale, f.mended = time.Time{}, f.options.Clock.Now()
	case faulty && f.stale.IsZero():
		f.stale = f.options.Clock.Now()
	}
	f.staleMu.Unlock()
	f.options.Changed()
}

// Prefixes are addresses as Bounds have them: an address is a range of one.
func Prefixes(addresses ...netip.Addr) (all []netip.Prefix) {
	for _, a := range addresses {
		a = a.Unmap()
		all = append(all, netip.PrefixFrom(a, a.BitLen()))
	}
	return all
}
