package fleet

import (
	"context"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// feed is the one source of a controller: the watches of all clusters. Each watch of each cluster begins in
// a goroutine of its own, which ends as soon as the watch has begun; after that the cluster's informer has a
// handler more, until the cluster or the controller ends. So a cluster that never answers delays nothing.
type feed struct {
	builder Builder
	parking *parking
	log     logr.Logger

	mu      sync.Mutex
	engaged map[*Cluster]map[*watchSpec]context.CancelFunc
}

// String names the source in logs.
func (d *feed) String() string { return "clusters of the fleet" }

// Start implements source.TypedSource. It does not wait.
func (d *feed) Start(ctx context.Context, q workqueue.TypedRateLimitingInterface[Request]) error {
	queue, ok := q.(requestQueue)
	if !ok {
		queue = plain{q}
	}
	d.parking.open(queue)
	ctx = logf.IntoContext(ctx, d.log)
	stop := d.builder.fleet.Watch(Hook{
		Engaged: func(c *Cluster) { d.engage(ctx, c, queue) },
		Changed: func(c *Cluster) { d.engage(ctx, c, queue) },
		Gone:    func(name string) { d.parking.resume(name) },
	})
	context.AfterFunc(ctx, stop)
	return nil
}

// engage begins the watches that are wanted of a cluster, and ends those that are not wanted any more.
func (d *feed) engage(ctx context.Context, c *Cluster, q requestQueue) {
	var wanted []bool // asked without the lock: it is for others to answer
	for _, w := range d.builder.watches {
		wanted = append(wanted, (d.builder.keep == nil || d.builder.keep(c)) && (w.keep == nil || w.keep(c)))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.ctx.Err() != nil || ctx.Err() != nil {
		return
	}
	running := d.engaged[c]
	if running == nil {
		running = map[*watchSpec]context.CancelFunc{}
		d.engaged[c] = running
		context.AfterFunc(c.ctx, func() { d.forget(c) })
	}
	for i, w := range d.builder.watches {
		end, runs := running[w]
		switch {
		case wanted[i] && !runs:
			running[w] = d.begin(ctx, c, w, q)
		case runs && !wanted[i]:
			end()
			delete(running, w)
		}
	}
}

func (d *feed) forget(c *Cluster) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.engaged, c)
}

// begin lets a watch begin, and returns what ends it. It ends with its cluster or its controller, too.
func (d *feed) begin(controller context.Context, c *Cluster, w *watchSpec, q requestQueue) context.CancelFunc {
	ctx, cancel := context.WithCancel(logf.IntoContext(c.ctx, d.log.WithValues("cluster", c.name)))
	detach := context.AfterFunc(controller, cancel)
	context.AfterFunc(ctx, func() { detach() })
	go func() { // ends when the watch has begun, or with ctx
		if err := d.watch(ctx, c, w, q); err != nil && ctx.Err() == nil {
			d.log.Error(err, "a cluster cannot be watched", "cluster", c.name, "kind", w.kind.String())
		}
	}()
	return cancel
}

func (d *feed) watch(ctx context.Context, c *Cluster, w *watchSpec, q requestQueue) error {
	if w.isOwns { // its handler asks for the scope of the owner's kind, and drops the event if it gets no answer
		if _, err := c.store.persist(ctx, d.builder.object.kind); err != nil {
			return err
		}
	}
	t, err := c.store.persist(ctx, w.kind)
	if err != nil {
		return err
	}
	return handle(ctx, t.informer, func(informer cache.Informer) error {
		return (&source.TypedInformer[client.Object, Request]{
			Informer: informer, Handler: w.handler(c), Predicates: d.builder.predicatesOf(w),
		}).Start(ctx, q)
	})
}
