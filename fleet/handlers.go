package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

type (
	// requestQueue is what handlers put requests into.
	requestQueue = priorityqueue.PriorityQueue[Request]
	// eventHandler turns the events of one cluster into requests.
	eventHandler = handler.TypedEventHandler[client.Object, Request]
)

// scoped is a handler written for one cluster, as a handler of a fleet.
type scoped struct {
	handler.EventHandler
	cluster string
}

var _ eventHandler = scoped{}

type limited = workqueue.TypedRateLimitingInterface[Request]

// Create implements handler.TypedEventHandler.
func (s scoped) Create(ctx context.Context, e event.CreateEvent, q limited) {
	s.EventHandler.Create(ctx, e, s.queue(q))
}

// Update implements handler.TypedEventHandler.
func (s scoped) Update(ctx context.Context, e event.UpdateEvent, q limited) {
	s.EventHandler.Update(ctx, e, s.queue(q))
}

// Delete implements handler.TypedEventHandler.
func (s scoped) Delete(ctx context.Context, e event.DeleteEvent, q limited) {
	s.EventHandler.Delete(ctx, e, s.queue(q))
}

// Generic implements handler.TypedEventHandler.
func (s scoped) Generic(ctx context.Context, e event.GenericEvent, q limited) {
	s.EventHandler.Generic(ctx, e, s.queue(q))
}

func (s scoped) queue(q limited) scopedQueue {
	if inner, ok := q.(requestQueue); ok {
		return scopedQueue{inner, s.cluster}
	}
	return scopedQueue{plain{q}, s.cluster}
}

// plain is a queue without priorities.
type plain struct{ limited }

// AddWithOpts implements priorityqueue.PriorityQueue.
func (p plain) AddWithOpts(o priorityqueue.AddOpts, requests ...Request) {
	for _, r := range requests {
		switch {
		case o.RateLimited:
			p.AddRateLimited(r)
		case o.After > 0:
			p.AddAfter(r, o.After)
		default:
			p.Add(r)
		}
	}
}

// GetWithPriority implements priorityqueue.PriorityQueue.
func (p plain) GetWithPriority() (Request, int, bool) {
	r, shutdown := p.Get()
	return r, 0, shutdown
}

// scopedQueue is the queue of a fleet as one cluster's handlers see it.
type scopedQueue struct {
	inner   requestQueue
	cluster string
}

var _ priorityqueue.PriorityQueue[reconcile.Request] = scopedQueue{}

func (q scopedQueue) of(r reconcile.Request) Request { return Request{q.cluster, r} }

func (q scopedQueue) Add(r reconcile.Request)                       { q.inner.Add(q.of(r)) }
func (q scopedQueue) AddAfter(r reconcile.Request, d time.Duration) { q.inner.AddAfter(q.of(r), d) }
func (q scopedQueue) AddRateLimited(r reconcile.Request)            { q.inner.AddRateLimited(q.of(r)) }
func (q scopedQueue) Forget(r reconcile.Request)                    { q.inner.Forget(q.of(r)) }
func (q scopedQueue) NumRequeues(r reconcile.Request) int           { return q.inner.NumRequeues(q.of(r)) }
func (q scopedQueue) Done(r reconcile.Request)                      { q.inner.Done(q.of(r)) }
func (q scopedQueue) Len() int                                      { return q.inner.Len() }
func (q scopedQueue) ShutDown()                                     { q.inner.ShutDown() }
func (q scopedQueue) ShutDownWithDrain()                            { q.inner.ShutDownWithDrain() }
func (q scopedQueue) ShuttingDown() bool                            { return q.inner.ShuttingDown() }

func (q scopedQueue) Get() (reconcile.Request, bool) {
	r, shutdown := q.inner.Get()
	return r.Request, shutdown
}

func (q scopedQueue) GetWithPriority() (reconcile.Request, int, bool) {
	r, priority, shutdown := q.inner.GetWithPriority()
	return r.Request, priority, shutdown
}

func (q scopedQueue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	for _, r := range requests {
		q.inner.AddWithOpts(o, q.of(r))
	}
}

// handle sends the events of an informer to a handler, through controller-runtime's own source, until ctx
// ends. That source does not give back what the informer knows the handler by, so it is caught on the way:
// a handler that is not removed lives as long as the informer.
func handle(ctx context.Context, informer cache.Informer, start func(cache.Informer) error) error {
	r := &registrar{Informer: informer}
	if err := start(r); err != nil {
		return err
	}
	if r.registration == nil {
		return errors.New("the source has not added its handler")
	}
	context.AfterFunc(ctx, func() {
		_ = informer.RemoveEventHandler(r.registration) // fails only where the informer has ended as well
	})
	return nil
}

// registrar is an informer that remembers the handler that is added to it.
type registrar struct {
	cache.Informer
	registration toolscache.ResourceEventHandlerRegistration
}

// AddEventHandlerWithOptions implements cache.Informer.
func (r *registrar) AddEventHandlerWithOptions(h toolscache.ResourceEventHandler, o toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	registration, err := r.Informer.AddEventHandlerWithOptions(h, o)
	if err != nil {
		return nil, fmt.Errorf("adding a handler: %w", err)
	}
	r.registration = registration
	return registration, nil
}
