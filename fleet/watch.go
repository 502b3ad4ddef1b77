package fleet

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// WatchOption adjusts one watch of a controller: one call of For, Owns or a Watches.
type WatchOption func(*watchSpec)

// WithPredicates lets through only the events that every predicate lets through.
func WithPredicates(predicates ...predicate.Predicate) WatchOption {
	return func(w *watchSpec) { w.predicates = append(w.predicates, predicates...) }
}

// OnlyMetadata watches, and caches, only the metadata of objects. Read them as metav1.PartialObjectMetadata
// then: anything else would start a second cache.
func OnlyMetadata() WatchOption { return func(w *watchSpec) { w.metadata = true } }

// MatchEveryOwner lets Owns reconcile every owner of an object, and not only the one that controls it.
func MatchEveryOwner() WatchOption { return func(w *watchSpec) { w.everyOwner = true } }

// InClusters watches only clusters for which keep is true, of those that the controller looks at. It is asked
// when a cluster joins and when its properties have changed.
func InClusters(keep func(*Cluster) bool) WatchOption { return func(w *watchSpec) { w.keep = keep } }

// watchSpec is one call of For, Owns or a Watches.
type watchSpec struct {
	object     client.Object
	predicates []predicate.Predicate
	metadata   bool
	everyOwner bool
	keep       func(*Cluster) bool

	// what is called for each cluster
	handler func(c *Cluster) eventHandler

	kind   kind
	isOwns bool
}

func newWatch(obj client.Object, opts []WatchOption, h func(*Cluster) eventHandler) *watchSpec {
	w := &watchSpec{object: obj, handler: h}
	for _, opt := range opts {
		opt(w)
	}
	return w
}

// resolve finds the kind of what is watched.
func (w *watchSpec) resolve(c cached) (err error) {
	w.kind, err = c.kindOf(w.object)
	if w.metadata {
		w.kind.form = metadataOnly
	}
	return err
}

// inside hands events to a handler that knows of no other clusters.
func inside(h handler.EventHandler) func(*Cluster) eventHandler {
	return func(c *Cluster) eventHandler { return scoped{h, c.name} }
}

// across hands objects with their cluster to a function.
func across(to func(context.Context, *Cluster, client.Object) []Request) func(*Cluster) eventHandler {
	return func(c *Cluster) eventHandler {
		return handler.TypedEnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []Request {
			return to(ctx, c, obj)
		})
	}
}

// owners hands an object's owner of a kind to be reconciled.
func (b *Builder) owners(w *watchSpec) func(*Cluster) eventHandler {
	return func(c *Cluster) eventHandler {
		var opts []handler.OwnerOption
		if !w.everyOwner {
			opts = append(opts, handler.OnlyControllerOwner())
		}
		return scoped{handler.EnqueueRequestForOwner(b.fleet.options.Scheme, c.GetRESTMapper(), b.object.object, opts...), c.name}
	}
}
