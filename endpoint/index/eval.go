package index

import (
	"iter"

	"github.com/hawser-io/hawser/selector"
)

// answer finds the members of a query anew. Whoever calls it holds the lock.
func (c *Cluster) answer(q *Query) {
	for len(c.members) <= q.number {
		c.members = append(c.members, set{})
	}
	c.members[q.number] = c.eval(q.selector)
	if c.members[q.number].len() > 0 {
		q.tell(c.name)
	}
}

// eval finds what matches: from the sets of labels where these answer, or else it looks through the smallest of the sets
// in which all of that must be.
func (c *Cluster) eval(s *selector.Selector) (found set) {
	e := s.Expr()
	if e.Kind() == selector.KindAnd || e.Kind() == selector.KindOr {
		if all, ok := c.combine(e); ok {
			return setOf(all)
		}
	}
	exact := e.Kind() != selector.KindAnd && e.Kind() != selector.KindOr && c.bound(e) < c.count
	asked := &carrier{cluster: c}
	for slot := range c.candidates(e) {
		asked.slot = slot
		if exact || s.Match(asked) {
			found.add(slot)
		}
	}
	return found
}

// bound is a number that no more endpoints than these match.
func (c *Cluster) bound(e selector.Expr) int {
	if e.Negated() {
		if e.Kind() == selector.KindTrue {
			return 0
		}
		return c.count
	}
	switch e.Kind() {
	case selector.KindTrue:
		return c.count
	case selector.KindAnd:
		best := c.count
		for operand := range e.Operands() {
			best = min(best, c.bound(operand))
		}
		return best
	case selector.KindOr:
		sum := 0
		for operand := range e.Operands() {
			sum += c.bound(operand)
		}
		return min(sum, c.count)
	}
	k := c.labels.keys[e.Label()]
	if k == nil {
		return 0
	}
	if e.Kind() == selector.KindHas && k.origin == own {
		return k.has
	}
	sum := 0
	for id := range c.passing(k, e) {
		sum += c.carriers(id)
		if sum > c.count {
			break
		}
	}
	return sum
}

// carriers is how many endpoints carry a pair.
func (c *Cluster) carriers(id uint32) int {
	p := c.labels.pair(id)
	if p.key.origin == own {
		return p.by.len()
	}
	n := 0
	p.by.all(func(scope uint32) bool { n += c.scopes[scope].members.len(); return true })
	return n
}

// passing yields the pairs of a label whose value passes a test that is not negated.
func (c *Cluster) passing(k *key, e selector.Expr) iter.Seq[uint32] {
	switch e.Kind() {
	case selector.KindEqual:
		return func(yield func(uint32) bool) {
			if id, ok := c.labels.find(k, e.Value()); ok {
				yield(id)
			}
		}
	case selector.KindIn:
		return func(yield func(uint32) bool) {
			for _, value := range e.Values() {
				if id, ok := c.labels.find(k, value); ok && !yield(id) {
					return
				}
			}
		}
	case selector.KindStartsWith:
		return c.labels.starting(k, e.Value())
	}
	return func(yield func(uint32) bool) {
		for id := range k.values.all() {
			if e.Accepts(c.labels.value(id)) && !yield(id) {
				return
			}
		}
	}
}

// candidates yields endpoints among which are all that match, some of them perhaps twice.
func (c *Cluster) candidates(e selector.Expr) iter.Seq[uint32] {
	switch kind := e.Kind(); {
	case kind == selector.KindTrue && e.Negated():
		return nobody
	case c.bound(e) >= c.count: // it is no use to know who
		return c.all
	case kind == selector.KindAnd:
		return c.candidates(c.narrowest(e))
	case kind == selector.KindOr:
		return func(yield func(uint32) bool) {
			for operand := range e.Operands() {
				for slot := range c.candidates(operand) {
					if !yield(slot) {
						return
					}
				}
			}
		}
	}
	k := c.labels.keys[e.Label()]
	if k == nil {
		return nobody
	}
	return func(yield func(uint32) bool) {
		for id := range c.passing(k, e) {
			if !c.carrying(id, yield) {
				return
			}
		}
	}
}

func nobody(func(uint32) bool) {}

// narrowest is the operand that the fewest endpoints match.
func (c *Cluster) narrowest(e selector.Expr) (best selector.Expr) {
	least := -1
	for operand := range e.Operands() {
		if n := c.bound(operand); least < 0 || n < least {
			best, least = operand, n
		}
	}
	return best
}

// carrying calls yield for the endpoints that carry a pair, until it returns false.
func (c *Cluster) carrying(id uint32, yield func(slot uint32) bool) (more bool) {
	more = true
	p := c.labels.pair(id)
	if p.key.origin == own {
		p.by.all(func(slot uint32) bool { more = yield(slot); return more })
		return more
	}
	p.by.all(func(scope uint32) bool {
		c.scopes[scope].members.all(func(slot uint32) bool { more = yield(slot); return more })
		return more
	})
	return more
}

// carrier is an endpoint as selectors see it.
type carrier struct {
	cluster *Cluster
	slot    uint32
}

// Get implements selector.Labels. The value is good for as long as the lock is held.
func (a *carrier) Get(name string) (value string, ok bool) {
	c := a.cluster
	r := c.record(a.slot)
	switch originOf(name) {
	case own:
		for i := range r.own() {
			if p := c.labels.pair(r.pair(i)); p.key.name == name {
				return p.value(), true
			}
		}
		return "", false
	case fromNamespace:
		return c.value(c.scopes[r.namespace].pairs, name)
	case fromAccount:
		return c.value(c.scopes[r.account].pairs, name)
	case fromKind:
		return c.value(c.scopes[kindScope(r.kind)].pairs, name)
	default:
		return c.value(c.scopes[clusterScope].pairs, name)
	}
}

func (c *Cluster) value(pairs []uint32, name string) (value string, ok bool) {
	for _, id := range pairs {
		if p := c.labels.pair(id); p.key.name == name {
			return p.value(), true
		}
	}
	return "", false
}
