package index

import (
	"iter"
	"slices"
	"strings"
)

// order keeps pairs of one label in the order of their values, for prefixes. A label with many values changes often, so what
// is new waits in a short run of its own, and what is gone stays, until there is enough of it for a merge. The last few are in
// no order: to find the place of each looks at values all over the memory.
type order struct {
	ids   []uint32 // by value
	fresh []uint32 // by value, to be merged
	last  []uint32 // to be put among these
	dead  int      // of all, those that nobody carries any more: they have no key
}

// lastFew is how many are in no order.
const lastFew = 16

// insert adds a pair.
func (o *order) insert(l *labels, id uint32) {
	if o.last = append(o.last, id); len(o.last) == lastFew {
		o.file(l)
	}
	o.settle(l)
}

// file puts the last ones in order.
func (o *order) file(l *labels) {
	for _, id := range o.last {
		o.fresh = slices.Insert(o.fresh, o.find(l, o.fresh, l.value(id)), id)
	}
	o.last = o.last[:0]
}

// remove removes a pair that is there. Its number is free with the next merge.
func (o *order) remove(l *labels, id uint32) {
	l.pair(id).key = nil
	o.dead++
	o.settle(l)
}

// end frees the numbers of all pairs, the last of which is gone.
func (o *order) end(l *labels) {
	for _, ids := range [][]uint32{o.ids, o.fresh, o.last} {
		for _, id := range ids {
			l.release(id)
		}
	}
}

// settle merges what waits, if that is enough: a merge looks at every pair.
func (o *order) settle(l *labels) {
	if waiting := max(len(o.fresh)+len(o.last), o.dead); waiting < 64 || waiting < len(o.ids)/16 && waiting < 4096 {
		return
	}
	o.file(l)
	merged := make([]uint32, 0, len(o.ids)+len(o.fresh)-o.dead)
	take := func(id uint32) {
		if l.pair(id).key == nil {
			l.release(id)
			return
		}
		merged = append(merged, id)
	}
	rest := o.ids
	for _, id := range o.fresh {
		at := o.find(l, rest, l.value(id))
		for _, before := range rest[:at] {
			take(before)
		}
		rest = rest[at:]
		take(id)
	}
	for _, id := range rest {
		take(id)
	}
	o.ids, o.fresh, o.dead = merged, nil, 0
}

// find returns where the first pair with a value of at least text stands, or would.
func (*order) find(l *labels, ids []uint32, text string) int {
	at, _ := slices.BinarySearchFunc(ids, text, func(id uint32, text string) int { return strings.Compare(l.value(id), text) })
	return at
}

// starting yields the pairs whose value starts with a prefix.
func (o *order) starting(l *labels, prefix string) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, ids := range [][]uint32{o.ids, o.fresh} {
			for _, id := range ids[o.find(l, ids, prefix):] {
				p := l.pair(id)
				if !strings.HasPrefix(p.value(), prefix) {
					break
				}
				if p.key != nil && !yield(id) {
					return
				}
			}
		}
		for _, id := range o.last {
			if p := l.pair(id); p.key != nil && strings.HasPrefix(p.value(), prefix) && !yield(id) {
				return
			}
		}
	}
}
