package fleet

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
)

func testQueue(workers int) *queue {
	return newQueue("", workqueue.NewTypedItemExponentialFailureRateLimiter[Request](time.Millisecond, time.Second), workers, clock.RealClock{})
}

// object n of a cluster
func object(cluster string, n int) Request { return NewRequest(cluster, "ns", fmt.Sprint(n)) }

// takeAll takes everything that waits, with one worker, and names it by cluster and number.
func takeAll(q *queue) (order []string) {
	for q.Len() > 0 {
		r, _ := q.Get()
		order = append(order, r.Cluster+r.Name)
		q.Done(r)
	}
	return order
}

func TestTheOrderOfRequests(t *testing.T) {
	low := priorityqueue.AddOpts{Priority: new(handler.LowPriority)}
	cases := map[string]struct {
		add  func(q *queue)
		want []string
	}{
		"clusters take turns, and each is first in, first out": {
			func(q *queue) {
				for i := range 3 {
					q.Add(object("a", i))
				}
				q.Add(object("b", 0))
				q.Add(object("b", 1))
				q.Add(object("c", 0))
			},
			[]string{"a0", "b0", "c0", "a1", "b1", "a2"},
		},
		"what waits already keeps its place": {
			func(q *queue) {
				q.Add(object("a", 0))
				q.Add(object("a", 1))
				q.Add(object("a", 0))
			},
			[]string{"a0", "a1"},
		},
		"the first list of a cluster waits for its changes, not for those of others": {
			func(q *queue) {
				q.AddWithOpts(low, object("a", 0), object("a", 1))
				q.Add(object("a", 2))
				q.Add(object("b", 0))
				q.Add(object("b", 1))
			},
			[]string{"a2", "b0", "a0", "b1", "a1"},
		},
		"what changes while it waits with the first list becomes urgent": {
			func(q *queue) {
				q.AddWithOpts(low, object("a", 0), object("a", 1), object("a", 2))
				q.Add(object("a", 2))
			},
			[]string{"a2", "a0", "a1"},
		},
		"what is urgent does not become less so": {
			func(q *queue) {
				q.Add(object("a", 0))
				q.AddWithOpts(low, object("a", 0), object("a", 1))
				q.Add(object("a", 2))
			},
			[]string{"a0", "a2", "a1"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			q := testQueue(1)
			defer q.ShutDown()
			c.add(q)
			if diff := cmp.Diff(c.want, takeAll(q)); diff != "" {
				t.Errorf("order (-want +got)\n%s", diff)
			}
		})
	}
}

func TestWhatIsBeingWorkedOnComesAgainOnce(t *testing.T) {
	q := testQueue(4)
	defer q.ShutDown()
	low := priorityqueue.AddOpts{Priority: new(handler.LowPriority)}
	q.AddWithOpts(low, object("a", 0), object("a", 1))
	r, priority, _ := q.GetWithPriority()
	if r != object("a", 0) || priority != handler.LowPriority {
		t.Fatalf("got %s at %d", r, priority)
	}
	q.Add(r)
	q.AddWithOpts(low, r) // does not take the hurry away
	if q.Len() != 1 {
		t.Fatalf("%d wait while one is worked on", q.Len())
	}
	q.Done(r)
	r, priority, _ = q.GetWithPriority()
	if r != object("a", 0) || priority != 0 {
		t.Errorf("got %s at %d, want the one that changed meanwhile, as urgent", r, priority)
	}
	q.Done(r)
	if diff := cmp.Diff([]string{"a1"}, takeAll(q)); diff != "" {
		t.Errorf("order (-want +got)\n%s", diff)
	}
}

func TestNoClusterHoldsAllWorkers(t *testing.T) {
	cases := map[string]struct {
		workers int
		held    []int // by clusters that never end their work, one after the other
	}{
		"one worker can only go round":      {1, []int{1}},
		"of two the other one stays free":   {2, []int{1, 1}},
		"of three one stays free":           {3, []int{2, 1}},
		"of eight each takes half the rest": {8, []int{4, 2, 1, 1}},
		"no limit, where there is none":     {0, []int{9, 9}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			q := testQueue(c.workers)
			defer q.ShutDown()
			for cluster, held := range c.held {
				for i := range 9 {
					q.Add(object(fmt.Sprint(cluster), i))
				}
				got := 0
				for q.turns.Len() > 0 && (c.workers == 0 || len(q.turns.taken) < c.workers) {
					_, _ = q.Get()
					got++
				}
				if got != held {
					t.Errorf("cluster %d holds %d workers of %d, want %d", cluster, got, c.workers, held)
				}
			}
		})
	}
}

func TestDelaysAndTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(2)
		q.AddAfter(object("a", 0), time.Minute)
		q.AddAfter(object("b", 0), time.Second)
		q.AddWithOpts(priorityqueue.AddOpts{After: time.Hour, Priority: new(handler.LowPriority)}, object("c", 0))
		began := time.Now()
		for _, want := range []struct {
			r     Request
			after time.Duration
		}{{object("b", 0), time.Second}, {object("a", 0), time.Minute}, {object("c", 0), time.Hour}} {
			r, _ := q.Get()
			if r != want.r || time.Since(began) != want.after {
				t.Errorf("got %s after %s, want %s after %s", r, time.Since(began), want.r, want.after)
			}
			q.Done(r)
		}
		for range 3 {
			q.AddRateLimited(object("a", 1))
		}
		if n := q.NumRequeues(object("a", 1)); n != 3 {
			t.Errorf("%d requeues, want 3", n)
		}
		q.Forget(object("a", 1))
		if n := q.NumRequeues(object("a", 1)); n != 0 {
			t.Errorf("%d requeues after Forget", n)
		}
		r, _ := q.Get()
		q.Add(object("a", 2))
		drained := make(chan struct{})
		go func() {
			q.ShutDownWithDrain()
			close(drained)
		}()
		synctest.Wait()
		select {
		case <-drained:
			t.Error("drained while one is worked on")
		default:
		}
		q.Add(object("a", 3)) // too late
		q.Done(r)
		if diff := cmp.Diff([]string{"a2"}, takeAll(q)); diff != "" {
			t.Errorf("what waited at the end (-want +got)\n%s", diff)
		}
		if _, shutdown := q.Get(); !shutdown {
			t.Error("the queue gives out more after its end")
		}
		<-drained
		q.ShutDown()
	})
}

func TestWorkersAreWokenForWhatTheyMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, clusters, each = 5, 4, 50
		q := testQueue(workers)
		var mu sync.Mutex
		done := map[Request]int{}
		most, now := map[string]int{}, map[string]int{}
		for range workers {
			go func() {
				for {
					r, shutdown := q.Get()
					if shutdown {
						return
					}
					mu.Lock()
					now[r.Cluster]++
					most[r.Cluster] = max(most[r.Cluster], now[r.Cluster])
					mu.Unlock()
					time.Sleep(time.Duration(1+len(r.Cluster)) * time.Second) //nolint:forbidigo // in a bubble
					mu.Lock()
					now[r.Cluster]--
					done[r]++
					mu.Unlock()
					q.Done(r)
				}
			}()
		}
		for i := range each {
			for c := range clusters {
				q.Add(object(string([]byte("abcdefgh")[:c+1]), i))
			}
		}
		time.Sleep(time.Hour) //nolint:forbidigo // in a bubble
		q.ShutDown()
		synctest.Wait()
		if len(done) != clusters*each {
			t.Errorf("%d requests were worked on, want %d", len(done), clusters*each)
		}
		for c, n := range most {
			if n > 3 { // of five: 5-0, 4>1, 3>2
				t.Errorf("cluster %s held %d workers of %d", c, n, workers)
			}
		}
	})
}

// model is the queue as simply as it can be said: every step looks at everything.
type model struct {
	workers int
	waiting []modelItem
	taken   []Request
	again   []modelItem // added while taken
	turn    map[string]int
	clock   int
}

type modelItem struct {
	r    Request
	rank rank
	came int
}

func at(items []modelItem, r Request) int {
	return slices.IndexFunc(items, func(i modelItem) bool { return i.r == r })
}

func (m *model) add(r Request, of rank) {
	m.clock++
	switch i, j := at(m.waiting, r), at(m.again, r); {
	case i >= 0:
		if of == urgent && m.waiting[i].rank == patient {
			m.waiting[i].rank, m.waiting[i].came = urgent, m.clock
		}
	case j >= 0:
		m.again[j].rank = min(m.again[j].rank, of)
	case slices.Contains(m.taken, r):
		m.again = append(m.again, modelItem{r, of, 0})
	default:
		m.push(r, of)
	}
}

func (m *model) push(r Request, of rank) {
	if !slices.ContainsFunc(m.waiting, func(i modelItem) bool { return i.r.Cluster == r.Cluster }) {
		m.turn[r.Cluster] = m.clock
	}
	m.waiting = append(m.waiting, modelItem{r, of, m.clock})
}

// take returns who must be next.
func (m *model) take() (Request, bool) {
	held := map[string]int{}
	for _, r := range m.taken {
		held[r.Cluster]++
	}
	best := -1
	for i, item := range m.waiting {
		c := item.r.Cluster
		if held[c] > 0 && m.workers-len(m.taken) <= held[c] {
			continue
		}
		if best < 0 {
			best = i
			continue
		}
		b := m.waiting[best]
		switch {
		case c != b.r.Cluster:
			if m.turn[c] < m.turn[b.r.Cluster] {
				best = i
			}
		case item.rank < b.rank, item.rank == b.rank && item.came < b.came:
			best = i
		}
	}
	if best < 0 || len(m.taken) >= m.workers {
		return Request{}, false
	}
	m.clock++
	r := m.waiting[best].r
	m.waiting = slices.Delete(m.waiting, best, best+1)
	m.taken = append(m.taken, r)
	m.turn[r.Cluster] = m.clock
	return r, true
}

func (m *model) done(i int) Request {
	m.clock++
	r := m.taken[i]
	m.taken = slices.Delete(m.taken, i, i+1)
	if j := at(m.again, r); j >= 0 {
		of := m.again[j].rank
		m.again = slices.Delete(m.again, j, j+1)
		m.push(r, of)
	}
	return r
}

func TestTheQueueDoesWhatItsModelDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 6).Draw(t, "workers")
		q := testQueue(workers)
		defer q.ShutDown()
		m := &model{workers: workers, turn: map[string]int{}}
		clusters := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				r := object(clusters.Draw(t, "cluster"), rapid.IntRange(0, 4).Draw(t, "object"))
				if rapid.Bool().Draw(t, "patient") {
					q.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, r)
					m.add(r, patient)
				} else {
					q.Add(r)
					m.add(r, urgent)
				}
			},
			"take": func(t *rapid.T) {
				want, ok := m.take()
				if !ok {
					if len(m.taken) < workers && q.turns.Len() != 0 {
						t.Fatal("the queue gives what it should keep back")
					}
					return
				}
				if q.turns.Len() == 0 {
					t.Fatalf("the queue gives nothing, want %s", want)
				}
				if r, _ := q.Get(); r != want {
					t.Fatalf("got %s, want %s", r, want)
				}
			},
			"done": func(t *rapid.T) {
				if len(m.taken) > 0 {
					q.Done(m.done(rapid.IntRange(0, len(m.taken)-1).Draw(t, "which")))
				}
			},
			"": func(t *rapid.T) {
				if q.Len() != len(m.waiting) {
					t.Fatalf("%d wait, want %d", q.Len(), len(m.waiting))
				}
				if len(m.waiting)+len(m.taken) == 0 && len(q.turns.lanes) != 0 {
					t.Fatal("lanes are left over")
				}
			},
		})
	})
}
