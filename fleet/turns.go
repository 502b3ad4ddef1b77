package fleet

import (
	"container/list"
	"sync"

	"k8s.io/client-go/util/workqueue"
)

// turns is the order in which a queue hands out requests: clusters take turns, and within one what came
// first goes first. It is the part of a workqueue that holds what waits, and has a lock of its own because
// workers give back their share without the queue's.
//
// No cluster may take all workers: it gets another one only while more are free than it holds already. Of
// eight, one slow cluster holds four at most, the next one two, and there is one for each of two more.
type turns struct {
	workers int // zero: no limit

	mu      sync.Mutex
	lanes   map[string]*lane
	order   *list.List         // of *lane: those where something waits, the next in front
	pushes  uint64             // so far
	waiting map[Request]ticket // what waits, and by which push
	taken   map[Request]rank   // what is being worked on
	marks   map[Request]rank   // what to make of a request when it is pushed, where that is not plain
}

// rank orders the requests of one cluster.
type rank int

const (
	urgent rank = iota
	patient
)

// ticket is a place in a lane: its rank, and the number of the push that it comes from.
type ticket struct {
	rank rank
	push uint64
}

// lane is one cluster's part of the queue. It exists while anything in it waits or is being worked on.
type lane struct {
	cluster string
	busy    int               // workers
	size    int               // of what waits
	ranks   [patient + 1]fifo // with places that do not count any more: waiting knows
	place   *list.Element     // in order; nil while nothing waits
}

// fifo grows at its end and shrinks at its front.
type fifo []place

type place struct {
	request Request
	push    uint64
}

func (q *fifo) pop() place {
	p := (*q)[0]
	(*q)[0] = place{} // the array lives on, the strings need not
	*q = (*q)[1:]
	return p
}

var _ workqueue.Queue[Request] = (*turns)(nil)

func newTurns(workers int) *turns {
	return &turns{
		workers: workers, lanes: map[string]*lane{}, order: list.New(),
		waiting: map[Request]ticket{}, taken: map[Request]rank{}, marks: map[Request]rank{},
	}
}

// mark says how much of a hurry there is with a request that is about to be added.
func (t *turns) mark(r Request, want rank) {
	t.mu.Lock()
	defer t.mu.Unlock()
	marked, known := t.marks[r]
	_, taken := t.taken[r]
	switch {
	case want == patient && known && marked == urgent: // stays so
	case want == patient, taken: // what is taken is pushed only when its worker is done: until then the mark is kept
		t.marks[r] = want
	default:
		delete(t.marks, r)
	}
}

func (t *turns) takeMark(r Request) rank {
	want := t.marks[r]
	delete(t.marks, r)
	return want
}

// Push implements workqueue.Queue: the request does not wait yet.
func (t *turns) Push(r Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lanes[r.Cluster]
	if l == nil {
		l = &lane{cluster: r.Cluster}
		t.lanes[r.Cluster] = l
	}
	t.queue(l, r, t.takeMark(r))
	l.size++
	if l.place == nil {
		l.place = t.order.PushBack(l)
	}
}

// queue puts a request at the end of its rank. If it waits already, its old place does not count any more.
func (t *turns) queue(l *lane, r Request, of rank) {
	t.pushes++
	t.waiting[r] = ticket{of, t.pushes}
	l.ranks[of] = append(l.ranks[of], place{r, t.pushes})
}

// Touch implements workqueue.Queue: the request waits already, and may have become urgent.
func (t *turns) Touch(r Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.takeMark(r) == urgent && t.waiting[r].rank == patient {
		t.queue(t.lanes[r.Cluster], r, urgent)
	}
}

// Len implements workqueue.Queue. It is zero where Pop has nothing to give.
func (t *turns) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next() == nil {
		return 0
	}
	return len(t.waiting)
}

// all returns how many requests wait, also those whose clusters may have no more workers now.
func (t *turns) all() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}

// next is the lane whose turn it is. Those that may not have a worker have some already, so that there are
// never more of them to skip than there are workers.
func (t *turns) next() *lane {
	for e := t.order.Front(); e != nil; e = e.Next() {
		if l, ok := e.Value.(*lane); ok && t.mayTake(l) {
			return l
		}
	}
	return nil
}

func (t *turns) mayTake(l *lane) bool {
	return t.workers <= 0 || l.busy == 0 || t.workers-len(t.taken) > l.busy
}

// Pop implements workqueue.Queue.
func (t *turns) Pop() Request {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.next()
	r, was := t.first(l)
	delete(t.waiting, r)
	t.taken[r] = was
	l.size--
	l.busy++
	if l.size > 0 {
		t.order.MoveToBack(l.place)
		return r
	}
	t.order.Remove(l.place)
	l.place = nil
	l.ranks = [patient + 1]fifo{} // only what does not count any more is left in them
	return r
}

// first takes the first request of a lane whose place still counts.
func (t *turns) first(l *lane) (Request, rank) {
	for of := range l.ranks {
		for len(l.ranks[of]) > 0 {
			p := l.ranks[of].pop()
			if t.waiting[p.request].push == p.push {
				return p.request, rank(of)
			}
		}
	}
	panic("a lane of the queue is empty but counts as full")
}

// patiently reports whether a request that is being worked on was in no hurry.
func (t *turns) patiently(r Request) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taken[r] == patient
}

// release takes a request back from its worker.
func (t *turns) release(r Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.taken[r]; !ok {
		return
	}
	delete(t.taken, r)
	l := t.lanes[r.Cluster]
	l.busy--
	if l.busy == 0 && l.size == 0 {
		delete(t.lanes, r.Cluster)
	}
}
