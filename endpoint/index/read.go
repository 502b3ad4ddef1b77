package index

import (
	"iter"
	"net/netip"
)

// Len returns how many endpoints the cluster has.
func (c *Cluster) Len() int {
	defer c.rlock()()
	return c.count
}

// Get returns what is known of an endpoint.
func (c *Cluster) Get(id ID) (e Endpoint, ok bool) {
	defer c.rlock()()
	space, ok := c.spaces[id.Namespace]
	if !ok {
		return Endpoint{}, false
	}
	slot, ok := c.find(space, id)
	if !ok {
		return Endpoint{}, false
	}
	return c.endpoint(slot), true
}

// Addresses yields every address of every endpoint, with whose it is, in no particular order. The cluster is
// locked meanwhile: do not call it.
func (c *Cluster) Addresses() iter.Seq2[ID, netip.Prefix] {
	return func(yield func(ID, netip.Prefix) bool) {
		defer c.rlock()()
		for slot := range c.used {
			r := c.record(slot)
			if !r.is {
				continue
			}
			id := ID{Kind: r.kind, Namespace: c.scopes[r.namespace].name, Name: r.name}
			if !r.addresses(func(a netip.Prefix) bool { return yield(id, a) }) {
				return
			}
		}
	}
}

// rlock keeps everybody who changes the cluster out of it.
func (c *Cluster) rlock() (unlock func()) {
	c.index.mu.RLock()
	c.mu.RLock()
	return func() {
		c.mu.RUnlock()
		c.index.mu.RUnlock()
	}
}
