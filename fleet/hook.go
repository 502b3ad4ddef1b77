package fleet

import "sync"

// Hook is told of clusters that come and go. Any of its functions may be nil.
//
// For one name the calls come one after the other and in order: Engaged, Changed as often as it happens,
// Gone, and perhaps Engaged again, with another Cluster. Calls for different names come at the same time,
// so that a hook that takes long over one cluster holds up nothing else.
type Hook struct {
	// Engaged is told of a cluster that is in the fleet now. It may not have been reached yet.
	Engaged func(c *Cluster)
	// Changed is told that the properties of a cluster are others now.
	Changed func(c *Cluster)
	// Gone is told that a cluster has left. Its caches are ending already. The end of the fleet itself is
	// no cluster's leaving.
	Gone func(name string)
}

func (h Hook) call(e step) {
	switch {
	case e.kind == engaged && h.Engaged != nil:
		h.Engaged(e.cluster)
	case e.kind == changed && h.Changed != nil:
		h.Changed(e.cluster)
	case e.kind == gone && h.Gone != nil:
		h.Gone(e.cluster.name)
	}
}

// step is what happened to a cluster.
type step struct {
	kind    stepKind
	cluster *Cluster
}

type stepKind int

const (
	engaged stepKind = iota
	changed
	gone
)

// watcher is a hook with what it has not been told yet.
type watcher struct {
	hook Hook

	mu      sync.Mutex
	stopped bool
	waiting map[string][]step // a name has an entry for as long as a goroutine tells of it
}

// tell hands an event over and does not wait.
func (w *watcher) tell(e step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	queue, busy := w.waiting[e.cluster.name]
	w.waiting[e.cluster.name] = append(queue, e)
	if !busy {
		go w.drain(e.cluster.name) // ends when there is nothing more to tell of this name
	}
}

func (w *watcher) drain(name string) {
	for {
		e, ok := w.next(name)
		if !ok {
			return
		}
		w.hook.call(e)
	}
}

func (w *watcher) next(name string) (step, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue := w.waiting[name]
	if len(queue) == 0 || w.stopped {
		delete(w.waiting, name)
		return step{}, false
	}
	w.waiting[name] = queue[1:]
	return queue[0], true
}

func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
}

// Watch tells a hook of every cluster that is in the fleet, and from then on of those that come and go.
// After stop no call begins; one that is under way goes on.
func (f *Fleet) Watch(h Hook) (stop func()) {
	w := &watcher{hook: h, waiting: map[string][]step{}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[w] = struct{}{}
	for _, c := range f.clusters {
		w.tell(step{engaged, c})
	}
	return func() {
		w.stop()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}
}

// tellAll is called with f.mu held, so that each watcher sees a name's events in the order in which they happened.
func (f *Fleet) tellAll(e step) {
	for w := range f.watchers {
		w.tell(e)
	}
}
