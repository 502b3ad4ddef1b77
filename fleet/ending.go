package fleet

import "sync"

// endings are the clusters that have left and not ended yet, and who waits for that.
type endings struct {
	mu      sync.Mutex
	running map[string]int             // clusters by name
	waiting map[string][]chan struct{} // to be closed when there are none any more
}

func newEndings() *endings {
	return &endings{running: map[string]int{}, waiting: map[string][]chan struct{}{}}
}

func (e *endings) begin(c *Cluster) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running[c.name]++
}

func (e *endings) end(c *Cluster) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running[c.name]--; e.running[c.name] > 0 {
		return
	}
	delete(e.running, c.name)
	closeAll(e.waiting[c.name])
	delete(e.waiting, c.name)
}

// tell closes the channels when no cluster of that name is ending any more.
func (e *endings) tell(name string, ended []chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running[name] == 0 {
		closeAll(ended)
		return
	}
	e.waiting[name] = append(e.waiting[name], ended...)
}

func closeAll(all []chan struct{}) {
	for _, c := range all {
		close(c)
	}
}

// underway are the reconciles of one cluster that run now. None begins once somebody waits for their end.
type underway struct {
	mu   sync.Mutex
	n    int
	done chan struct{} // closed when n is zero; nil before anybody waits
}

func (u *underway) enter() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done != nil {
		return false
	}
	u.n++
	return true
}

func (u *underway) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n--; u.n == 0 && u.done != nil {
		close(u.done)
	}
}

// idle lets no more begin, and returns what is closed when the last has ended. It is called once.
func (u *underway) idle() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done = make(chan struct{})
	if u.n == 0 {
		close(u.done)
	}
	return u.done
}
