package fleet

import (
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
)

// queue is a work queue that is fair among clusters. What order requests are worked on in is the business
// of turns; the rest (no request twice, none by two workers at once, delays, the end, metrics) is client-go's.
type queue struct {
	workqueue.TypedRateLimitingInterface[Request]
	turns *turns
}

var _ priorityqueue.PriorityQueue[Request] = (*queue)(nil)

// newQueue makes a queue for a number of workers.
func newQueue(name string, limiter workqueue.TypedRateLimiter[Request], workers int, c clock.WithTicker) *queue {
	t := newTurns(workers)
	return &queue{workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[Request]{
		Name:  name,
		Clock: c,
		DelayingQueue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[Request]{
			Name:  name,
			Clock: c,
			Queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[Request]{Name: name, Clock: c, Queue: t}),
		}),
	}), t}
}

// Len returns how many requests wait, also those that wait for the workers of their own cluster.
func (q *queue) Len() int { return q.turns.all() }

// Add implements workqueue.TypedInterface.
func (q *queue) Add(r Request) { q.AddWithOpts(priorityqueue.AddOpts{}, r) }

// Done implements workqueue.TypedInterface. Whoever calls it goes on with Get, and so takes what the worker
// that is free now makes possible: no other worker has to be woken for it.
func (q *queue) Done(r Request) {
	q.turns.release(r)
	q.TypedRateLimitingInterface.Done(r)
}

// AddWithOpts implements priorityqueue.PriorityQueue. Of priorities there are two: a negative one (a first
// list, a resync) is for when the cluster has nothing else to do. They do not weigh between clusters.
func (q *queue) AddWithOpts(o priorityqueue.AddOpts, requests ...Request) {
	for _, r := range requests {
		want := urgent
		if o.Priority != nil && *o.Priority < 0 {
			want = patient
		}
		q.turns.mark(r, want)
		switch {
		case o.RateLimited:
			q.AddRateLimited(r)
		case o.After > 0:
			q.AddAfter(r, o.After)
		default:
			q.TypedRateLimitingInterface.Add(r)
		}
	}
}

// GetWithPriority implements priorityqueue.PriorityQueue.
func (q *queue) GetWithPriority() (r Request, priority int, shutdown bool) {
	r, shutdown = q.Get()
	if !shutdown && q.turns.patiently(r) {
		priority = handler.LowPriority
	}
	return r, priority, shutdown
}
