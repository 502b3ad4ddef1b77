package shard

import "sync"

// work is what this replica does for its clusters: which are its own, and what is under way for each.
type work struct {
	mu       sync.Mutex
	clusters map[string]*item
}

// item is a cluster that is owned, or that was and has not ended yet.
type item struct {
	owned    bool
	underway int
	idle     chan struct{} // closed when nothing is under way any more; nil while it is owned
}

func newWork() *work { return &work{clusters: map[string]*item{}} }

// enter begins some work on a cluster, if that is owned.
func (w *work) enter(cluster string) (leave func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.clusters[cluster]
	if i == nil || !i.owned {
		return nil, false
	}
	i.underway++
	return sync.OnceFunc(func() { w.leave(i) }), true
}

func (w *work) leave(i *item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i.underway--; i.underway == 0 && i.idle != nil {
		close(i.idle)
	}
}

// own lets work on a cluster begin.
func (w *work) own(cluster string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clusters[cluster] = &item{owned: true}
}

// disown lets no more begin, and returns what is closed when all that is under way has ended.
func (w *work) disown(cluster string) (idle <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.clusters[cluster]
	delete(w.clusters, cluster)
	if i == nil {
		i = &item{}
	}
	i.owned, i.idle = false, make(chan struct{})
	if i.underway == 0 {
		close(i.idle)
	}
	return i.idle
}

func (w *work) owns(cluster string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.clusters[cluster]
	return i != nil && i.owned
}
