package publish

import (
	"maps"
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
	begun map[task]time.Time // of those that are being done
	rests map[task]time.Time // until when what took long is not done again
	clock clock.WithTicker
}

// What takes long rests: while the local API server is slow, more changes are written with fewer writes.
const (
	restShare = 2 // times as long as it took
	leastRest = 100 * time.Millisecond
	mostRest  = time.Second
	manyRests = 1000 // are looked through for those that are over
)

func newQueue(clock clock.WithTicker) *queue {
	return &queue{
		tasks:    workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[task]{Clock: clock}),
		failures: workqueue.NewTypedItemExponentialFailureRateLimiter[task](200*time.Millisecond, 30*time.Second),
		noted:    map[task]time.Time{}, begun: map[task]time.Time{}, rests: map[task]time.Time{}, clock: clock,
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
	for {
		t, closed := q.tasks.Get()
		if closed {
			return t, false
		}
		if q.begin(t) {
			return t, true
		}
		q.tasks.Done(t)
	}
}

// begin notes that a task is done from now on, unless it rests: then it is put off.
func (q *queue) begin(t task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	if rest := q.rests[t]; now.Before(rest) {
		q.noted[t] = rest
		q.tasks.AddAfter(t, rest.Sub(now))
		return false
	}
	delete(q.rests, t)
	delete(q.noted, t) // what changes from now on is another task
	q.begun[t] = now
	return true
}

// end notes how long a task took.
func (q *queue) end(t task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	rest := min(restShare*now.Sub(q.begun[t]), mostRest)
	delete(q.begun, t)
	if rest < leastRest {
		return
	}
	if len(q.rests) >= manyRests {
		maps.DeleteFunc(q.rests, func(_ task, until time.Time) bool { return !now.Before(until) })
	}
	q.rests[t] = now.Add(rest)
}

// first says that a task has not failed since it succeeded last.
func (q *queue) first(t task) bool { return q.failures.NumRequeues(t) == 0 }

// done ends a task. One that has failed is done again, later each time.
func (q *queue) done(t task, err error) {
	q.end(t)
	q.tasks.Done(t)
	if err == nil {
		q.failures.Forget(t)
		return
	}
	q.note(t, q.failures.When(t))
}

func (q *queue) close() { q.tasks.ShutDown() }
