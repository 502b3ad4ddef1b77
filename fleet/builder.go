package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// DefaultWorkers is how many requests of a controller are worked on at a time where nothing says otherwise.
// With one alone, as elsewhere, a cluster that is slow to answer would hold up every other one.
const DefaultWorkers = 8

// Failed requests are tried again after firstBackoff, doubled up to maxBackoff, each by itself: a limit that
// all share would make a cluster where everything fails the pace of the fleet.
const (
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = 1000 * time.Second
)

// Builder makes a controller over the clusters of a fleet, as controller-runtime's builder does for one.
type Builder struct {
	fleet      *Fleet
	name       string
	object     *watchSpec // of For
	watches    []*watchSpec
	local      []localWatch
	predicates []predicate.Predicate
	options    controller.TypedOptions[Request]
	keep       func(*Cluster) bool
	err        error
}

// localWatch is a watch in the local cluster.
type localWatch struct {
	*watchSpec
	to func(context.Context, client.Object) []Request
}

// NewControllerManagedBy begins a controller that the fleet's manager will run.
func NewControllerManagedBy(f *Fleet) *Builder { return &Builder{fleet: f} }

// Named names the controller, for metrics and logs. By default it is the kind that For names.
func (b *Builder) Named(name string) *Builder {
	b.name = name
	return b
}

// For reconciles the objects of a kind, in every cluster.
func (b *Builder) For(obj client.Object, opts ...WatchOption) *Builder {
	if b.object != nil {
		b.err = errors.Join(b.err, errors.New("For is called twice"))
	}
	b.object = newWatch(obj, opts, inside(&handler.EnqueueRequestForObject{}))
	b.watches = append(b.watches, b.object)
	return b
}

// Owns reconciles the objects of For that own, in the same cluster, an object of this kind.
func (b *Builder) Owns(obj client.Object, opts ...WatchOption) *Builder {
	w := newWatch(obj, opts, nil)
	w.isOwns = true
	w.handler = b.owners(w)
	b.watches = append(b.watches, w)
	return b
}

// Watches hands the events of a kind to a handler that was written for one cluster: whatever it wants to be
// reconciled is reconciled in the cluster that the event came from.
func (b *Builder) Watches(obj client.Object, h handler.EventHandler, opts ...WatchOption) *Builder {
	b.watches = append(b.watches, newWatch(obj, opts, inside(h)))
	return b
}

// WatchesAcross reconciles what to makes of the objects of a kind, in whichever clusters. It is called for
// each event of an object, and for an update with the old object and with the new one.
func (b *Builder) WatchesAcross(obj client.Object, to func(ctx context.Context, c *Cluster, obj client.Object) []Request, opts ...WatchOption) *Builder {
	b.watches = append(b.watches, newWatch(obj, opts, across(to)))
	return b
}

// WatchesLocal reconciles what to makes of the objects of a kind in the local cluster.
func (b *Builder) WatchesLocal(obj client.Object, to func(ctx context.Context, obj client.Object) []Request, opts ...WatchOption) *Builder {
	b.local = append(b.local, localWatch{newWatch(obj, opts, nil), to})
	return b
}

// WithEventFilter lets through only the events, of all watches, that a predicate lets through.
func (b *Builder) WithEventFilter(p predicate.Predicate) *Builder {
	b.predicates = append(b.predicates, p)
	return b
}

// WithOptions sets the options of the controller. MaxConcurrentReconciles is by default DefaultWorkers; a
// NewQueue of one's own gives up fairness among clusters.
func (b *Builder) WithOptions(o controller.TypedOptions[Request]) *Builder {
	b.options = o
	return b
}

// Clusters lets the controller watch only clusters for which keep is true. It is asked when a cluster joins
// and when its properties have changed. It does not bound what a reconciler may write to.
func (b *Builder) Clusters(keep func(*Cluster) bool) *Builder {
	b.keep = keep
	return b
}

// Uniform completes the controller with reconcilers that were written for one cluster. build is called once
// for each, before its first request, and what it returns lives as long as the cluster is in the fleet.
func (b *Builder) Uniform(build func(c *Cluster) reconcile.Reconciler) error {
	if build == nil {
		return errors.New("making a controller: Uniform wants a function")
	}
	return b.Complete(&uniform{fleet: b.fleet, build: build, made: map[*Cluster]func() reconcile.Reconciler{}})
}

// Complete makes the controller, which runs when the fleet does. The reconciler finds the cluster of a
// request by Fleet.Get; its logger names the cluster. A request whose cluster has left is dropped and
// counted. While its cluster leaves, the context of a reconcile is cancelled, and what it returns is not
// looked at. Where it returns a *ClusterError of a cluster that is out of reach, it is called again when
// that cluster is back, or has left.
func (b *Builder) Complete(r reconcile.TypedReconciler[Request]) error {
	if r == nil {
		return errors.New("making a controller: there is no reconciler")
	}
	if err := b.complete(r); err != nil {
		return fmt.Errorf("making a controller: %w", err)
	}
	return nil
}

func (b *Builder) complete(r reconcile.TypedReconciler[Request]) error {
	if err := b.check(); err != nil {
		return err
	}
	o := b.options
	if o.Reconciler != nil {
		return errors.New("its reconciler is set twice: by WithOptions and by Complete")
	}
	b.setDefaults(&o)
	gauge := b.fleet.metrics.parked.WithLabelValues(b.name)
	p := &parking{fleet: b.fleet, gauge: gauge, waiting: map[string]map[Request]struct{}{}}
	for _, reason := range []string{reasonGone, reasonLeft} {
		b.fleet.metrics.dropped.WithLabelValues(b.name, reason)
	}
	o.Reconciler = &within{fleet: b.fleet, controller: b.name, inner: r, parking: p}
	ctrl, err := controller.NewTyped(b.name, b.fleet.manager, o)
	if err != nil {
		return err
	}
	b.fleet.addParking(p)
	for _, w := range b.local {
		if err := ctrl.Watch(b.localSource(w)); err != nil {
			return err
		}
	}
	// Also where no cluster is watched: it knows the queue, and tells when clusters leave.
	return ctrl.Watch(&feed{builder: *b, parking: p, log: b.log(), engaged: map[*Cluster]map[*watchSpec]context.CancelFunc{}})
}

// check resolves what was asked for.
func (b *Builder) check() error {
	if b.err != nil {
		return b.err
	}
	if len(b.watches) == 0 && len(b.local) == 0 {
		return errors.New("it watches nothing: call For, Watches, WatchesAcross or WatchesLocal")
	}
	for _, w := range b.watches {
		if err := w.resolve(b.fleet.cached); err != nil {
			return err
		}
	}
	for _, w := range b.local {
		if _, err := gvkOf(w.object, b.fleet.manager.GetScheme()); err != nil {
			return err
		}
	}
	for _, w := range b.watches {
		if !w.isOwns {
			continue
		}
		if b.object == nil {
			return errors.New("Owns goes only with For")
		}
		if _, _, err := b.fleet.options.Scheme.ObjectKinds(b.object.object); err != nil {
			return fmt.Errorf("finding the kind of owners: %w", err)
		}
	}
	if b.name == "" && b.object == nil {
		return errors.New("it has no name: call For or Named")
	}
	if b.name == "" {
		b.name = strings.ToLower(b.object.kind.gvk.Kind)
	}
	return nil
}

func (b *Builder) setDefaults(o *controller.TypedOptions[Request]) {
	all := b.fleet.manager.GetControllerOptions()
	if o.MaxConcurrentReconciles <= 0 && b.object != nil {
		o.MaxConcurrentReconciles = all.GroupKindConcurrency[b.object.kind.gvk.GroupKind().String()]
	}
	if o.MaxConcurrentReconciles <= 0 {
		o.MaxConcurrentReconciles = all.MaxConcurrentReconciles
	}
	if o.MaxConcurrentReconciles <= 0 {
		o.MaxConcurrentReconciles = DefaultWorkers
	}
	if o.RateLimiter == nil {
		o.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[Request](firstBackoff, maxBackoff)
	}
	if o.NewQueue == nil {
		o.NewQueue = func(name string, limiter workqueue.TypedRateLimiter[Request]) workqueue.TypedRateLimitingInterface[Request] {
			return newQueue(name, limiter, o.MaxConcurrentReconciles, b.fleet.clock)
		}
	}
	if o.LogConstructor == nil {
		log := b.log()
		o.LogConstructor = func(r *Request) logr.Logger {
			if r == nil {
				return log
			}
			return log.WithValues("cluster", r.Cluster, "namespace", r.Namespace, "name", r.Name)
		}
	}
	o.LogConstructor = b.withID(o.LogConstructor)
}

// withID lets a logger name the id of the request's cluster as well, once that is known.
func (b *Builder) withID(constructor func(*Request) logr.Logger) func(*Request) logr.Logger {
	return func(r *Request) logr.Logger {
		log := constructor(r)
		if r == nil {
			return log
		}
		if c := b.fleet.find(r.Cluster); c != nil && c.ID() != "" {
			return log.WithValues("clusterID", c.ID())
		}
		return log
	}
}

func (b *Builder) log() logr.Logger {
	log := b.fleet.manager.GetLogger().WithValues("controller", b.name)
	if b.object != nil {
		log = log.WithValues("controllerGroup", b.object.kind.gvk.Group, "controllerKind", b.object.kind.gvk.Kind)
	}
	return log
}

func (b *Builder) localSource(w localWatch) source.TypedSource[Request] {
	obj := w.object
	if w.metadata {
		obj = metadataOf(obj, b.fleet.manager.GetScheme())
	}
	h := handler.TypedEnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []Request { return w.to(ctx, obj) })
	return source.TypedKind(b.fleet.manager.GetCache(), obj, h, b.predicatesOf(w.watchSpec)...)
}

// predicatesOf are those of the controller and of one watch of it.
func (b *Builder) predicatesOf(w *watchSpec) []predicate.Predicate {
	return append(append([]predicate.Predicate(nil), b.predicates...), w.predicates...)
}
