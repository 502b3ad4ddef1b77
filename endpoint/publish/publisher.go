package publish

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/internal/kinds"
)

// Catalog is what is known of clusters: an *endpoint.Catalog.
type Catalog interface {
	Index() *index.Index
	// State must not tell of a cluster any more when the index has lost its endpoints.
	State(cluster string) (endpoint.ClusterState, bool)
	States() []endpoint.ClusterState
	Notify(told func(cluster string)) (stop func())
}

// Shards says which clusters this replica works for.
type Shards interface {
	// Enter begins work on a cluster; ok is false where that is another replica's. It is nobody else's before leave
	// was called.
	Enter(cluster string) (leave func(), ok bool)
}

// Options of a publisher. Catalog and Objects are required.
type Options struct {
	Catalog Catalog
	// Objects of the local cluster. Somebody else runs them.
	Objects *Objects
	// Shards say which clusters are this replica's. Nil: all.
	Shards Shards
	Clock  clock.WithTicker
	Log    logr.Logger
	// Window is how long a change waits for others, to be written with them. Zero means 100 ms.
	Window time.Duration
	// StatusEvery is how long an entry in a status stays before it is written again. Zero means 3 s.
	StatusEvery time.Duration
	// LookAgain is when something is tried again that was refused for a reason that no watch tells of. Zero means 30 s.
	LookAgain time.Duration
	// Workers is how many write objects at a time. Zero means 4.
	Workers int
}

// reporters is how many write statuses at a time.
const reporters = 2

func (o *Options) complete() {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	for d, by := range map[*time.Duration]time.Duration{&o.Window: 100 * time.Millisecond, &o.StatusEvery: 3 * time.Second, &o.LookAgain: 30 * time.Second} {
		if *d == 0 {
			*d = by
		}
	}
	if o.Workers == 0 {
		o.Workers = 4
	}
}

// Publisher keeps the objects of the clusters of this replica in step with items. Its methods may be called from
// several goroutines.
type Publisher struct {
	options Options
	scheme  *runtime.Scheme
	objects *Objects
	queue   *queue // of what is to be written
	reports *queue // of what there is to say in statuses, which waits for nothing that is written, and nothing for it

	mu       sync.Mutex
	items    map[Key]*live
	progress map[owner]*progress
	told     map[Key]map[string]bool // of which clusters the status of an item was told something
	tenures  map[string]*tenure      // of clusters that there is work on
	disowned map[string]bool
}

// New makes a publisher that writes nothing until Start.
func New(o Options) (*Publisher, error) {
	o.complete()
	scheme, err := kinds.Scheme()
	if err != nil {
		return nil, fmt.Errorf("making the scheme: %w", err)
	}
	return &Publisher{
		options: o, scheme: scheme, objects: o.Objects, queue: newQueue(o.Clock), reports: newQueue(o.Clock),
		items: map[Key]*live{}, progress: map[owner]*progress{}, told: map[Key]map[string]bool{}, tenures: map[string]*tenure{}, disowned: map[string]bool{},
	}, nil
}

// all asks for every item in a cluster to be looked at.
func (p *Publisher) all(cluster string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.items {
		p.queue.note(task{k, cluster, writing}, p.options.Window)
	}
}

// Start implements controller-runtime's Runnable: it publishes until ctx ends. Where one of several managers acts, it
// is that one's.
func (p *Publisher) Start(ctx context.Context) error {
	defer p.options.Catalog.Notify(p.changed)()
	defer p.objects.notify(p.touched)()
	p.everything()
	var working sync.WaitGroup
	for of, workers := range map[*queue]int{p.queue: p.options.Workers, p.reports: reporters} {
		for range workers {
			working.Go(func() { // ends when the queue does
				for {
					t, more := of.get()
					if !more {
						return
					}
					p.work(ctx, of, t)
				}
			})
		}
	}
	<-ctx.Done()
	p.queue.close()
	p.reports.close()
	working.Wait()
	return nil
}

// changed is told of a cluster of which other things are known. It waits for no lock of ours.
func (p *Publisher) changed(cluster string) {
	p.queue.note(task{cluster: cluster, what: spreading}, p.options.Window)
}

// touched is told of objects that have changed.
func (p *Publisher) touched(at owner, ours bool) {
	switch {
	case ours: // it is as it is to be
	case at == owner{}:
		p.everything()
	case at.cluster != "":
		p.queue.note(task{at.key, at.cluster, writing}, p.options.Window)
	}
}

// everything asks for all to be looked at.
func (p *Publisher) everything() { p.queue.note(task{what: spreading}, 0) }
