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

// Addresses yields every address of every endpoint, with whose it is, in no particular order. It leaves room for whoever
// changes the cluster: each endpoint is as it was at some time in between.
func (c *Cluster) Addresses() iter.Seq2[ID, netip.Prefix] {
	return func(yield func(ID, netip.Prefix) bool) {
		var some []owned
		for from := uint32(0); ; from += atOnce {
			var more bool
			if some, more = c.addresses(some[:0], from); !more {
				return
			}
			for _, o := range some {
				if !yield(o.id, o.address) {
					return
				}
			}
		}
	}
}

// owned is an address with whose it is.
type owned struct {
	id      ID
	address netip.Prefix
}

// addresses appends those of some slots. more is false where there are none from these on.
func (c *Cluster) addresses(to []owned, from uint32) (some []owned, more bool) {
	defer c.rlock()()
	for slot := from; slot < min(from+atOnce, c.used); slot++ {
		if r := c.record(slot); r.is() {
			id := ID{Kind: r.kind, Namespace: c.scopes[r.namespace].name, Name: r.name()}
			r.addresses(func(a netip.Prefix) bool { to = append(to, owned{id, a}); return true })
		}
	}
	return to, from < c.used
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
