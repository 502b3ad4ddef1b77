package publish

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

// doing is what a task is about.
type doing uint8

const (
	writing   doing = iota // the objects of an item in a cluster
	reporting              // its entry in the status
	spreading              // all clusters of an item, all items of a cluster, or all of both: what is empty
)

// task is something to be done. The same task is never done twice at a time.
type task struct {
	key     Key
	cluster string
	what    doing
}

// queue holds tasks until they are due. Who notes one waits for nobody, whatever lock he holds.
type queue struct {
	tasks    workqueue.TypedDelayingInterface[task]
	failures workqueue.TypedRateLimiter[task]

	mu    sync.Mutex
	noted map[task]time.Time // until they are due
	clock clock.WithTicker
}

func newQueue(clock clock.WithTicker) *queue {
	return &queue{
		tasks:    workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[task]{Clock: clock}),
		failures: workqueue.NewTypedItemExponentialFailureRateLimiter[task](200*time.Millisecond, 30*time.Second),
		noted:    map[task]time.Time{}, clock: clock,
	}
}

// note lets a task be done after a while, unless it is to be done before that anyway. Most calls find that it is.
func (q *queue) note(t task, after time.Duration) {
	due := q.clock.Now().Add(after)
	q.mu.Lock()
	defer q.mu.Unlock()
	if at, ok := q.noted[t]; ok && !due.Before(at) {
		return
	}
	q.noted[t] = due
	q.tasks.AddAfter(t, after)
}

// get waits for a task that is due. more is false when the queue is closed.
func (q *queue) get() (t task, more bool) {
	t, closed := q.tasks.Get()
	if closed {
		return t, false
	}
	q.mu.Lock()
	delete(q.noted, t) // what changes from now on is another task
	q.mu.Unlock()
	return t, true
}

// first says that a task has not failed since it succeeded last.
func (q *queue) first(t task) bool { return q.failures.NumRequeues(t) == 0 }

// done ends a task. One that has failed is done again, later each time.
func (q *queue) done(t task, err error) {
	q.tasks.Done(t)
	if err == nil {
		q.failures.Forget(t)
		return
	}
	q.note(t, q.failures.When(t))
}

func (q *queue) close() { q.tasks.ShutDown() }
