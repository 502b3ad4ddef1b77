package index

import (
	"iter"
	"strings"

	"github.com/hawser-io/hawser/selector"
)

// Seen is an endpoint as selectors see it, with what it inherits. It is good only while the iteration that
// yields it stands still, and implements selector.Labels.
type Seen struct{ carrier }

// Get implements selector.Labels. Unlike the endpoint, the value is good for ever.
func (s *Seen) Get(name string) (value string, ok bool) {
	value, ok = s.carrier.Get(name)
	return strings.Clone(value), ok
}

// ID is what the endpoint is known by within its cluster.
func (s *Seen) ID() ID {
	r := s.cluster.record(s.slot)
	return ID{Kind: r.kind, Namespace: s.cluster.scopes[r.namespace].name, Name: r.name()}
}

// Node is where the endpoint is.
func (s *Seen) Node() string { return s.cluster.record(s.slot).node.Value() }

// Endpoint is what is known of it.
func (s *Seen) Endpoint() Endpoint { return s.cluster.endpoint(s.slot) }

// Labels are all labels, its own and those that it inherits.
func (s *Seen) Labels() map[string]string {
	c, r := s.cluster, s.cluster.record(s.slot)
	all := map[string]string{}
	take := func(pairs []uint32) {
		for _, id := range pairs {
			p := c.labels.pair(id)
			all[p.key.name] = p.text()
		}
	}
	take(r.pairs(nil))
	for _, id := range r.scopes() {
		take(c.scopes[id].pairs)
	}
	return all
}

// atOnce is how many endpoints are looked at before whoever changes them has a turn.
const atOnce = 1024

// Look yields what a selector matches in a cluster, in no particular order: for people who ask, as it leaves room
// for what keeps the index in step. Each endpoint is as it was at some time in between; one that went away and
// came back may be yielded twice. The index is locked meanwhile: do not call it.
func (x *Index) Look(s *selector.Selector, cluster string) iter.Seq[*Seen] {
	return func(yield func(*Seen) bool) {
		var slots []uint32
		x.read(cluster, func(c *Cluster) bool {
			found := c.eval(s)
			found.all(func(slot uint32) bool { slots = append(slots, slot); return true })
			return true
		})
		for len(slots) > 0 {
			n := min(atOnce, len(slots))
			if !x.read(cluster, func(c *Cluster) bool { return c.look(s, slots[:n], yield) }) {
				return
			}
			slots = slots[n:]
		}
	}
}

// read reads a cluster, if it is there.
func (x *Index) read(cluster string, do func(*Cluster) bool) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	c := x.clusters[cluster]
	if c == nil {
		return false
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return do(c)
}

// look yields those in some slots that match still: another endpoint may be there by now.
func (c *Cluster) look(s *selector.Selector, slots []uint32, yield func(*Seen) bool) bool {
	seen := &Seen{carrier{cluster: c}}
	for _, slot := range slots {
		if seen.slot = slot; slot < c.used && c.record(slot).is() && s.Match(seen) && !yield(seen) {
			return false
		}
	}
	return true
}
