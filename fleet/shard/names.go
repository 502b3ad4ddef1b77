package shard

import (
	"maps"
	"slices"
	"sync"
)

// names are the clusters that there are, as this replica sees them.
type names struct {
	changed func()

	mu     sync.Mutex
	all    map[string]struct{}
	synced bool
}

func newNames(changed func()) *names { return &names{changed: changed, all: map[string]struct{}{}} }

func (n *names) know(cluster string) {
	n.mu.Lock()
	_, known := n.all[cluster]
	n.all[cluster] = struct{}{}
	n.mu.Unlock()
	if !known {
		n.changed()
	}
}

func (n *names) forget(cluster string) (known bool) {
	n.mu.Lock()
	_, known = n.all[cluster]
	delete(n.all, cluster)
	n.mu.Unlock()
	if known {
		n.changed()
	}
	return known
}

func (n *names) sync() {
	n.mu.Lock()
	n.synced = true
	n.mu.Unlock()
	n.changed()
}

// list returns the clusters, sorted, once all of them are known.
func (n *names) list() (all []string, synced bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.all)), n.synced
}
