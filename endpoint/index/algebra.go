package index

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/hawser-io/hawser/selector"
)

// fewSets is from how many sets on it is no better to unite them than to look at endpoints one by one.
const fewSets = 64

// combine answers && and || from the sets of who carries what, without looking at any endpoint. It does not try where
// that would take many sets, or those who do not carry something.
func (c *Cluster) combine(e selector.Expr) (found *roaring.Bitmap, ok bool) {
	if e.Negated() {
		return nil, false
	}
	return c.positive(e)
}

// positive answers an expression as if it were not negated. What it returns may be the index's own: do not change it.
func (c *Cluster) positive(e selector.Expr) (found *roaring.Bitmap, ok bool) {
	switch e.Kind() {
	case selector.KindTrue:
		return nil, false
	case selector.KindAnd:
		return c.intersect(e)
	case selector.KindOr:
		var all []*roaring.Bitmap
		for operand := range e.Operands() {
			one, ok := c.combine(operand)
			if !ok {
				return nil, false
			}
			all = append(all, one)
		}
		return roaring.FastOr(all...), true
	}
	return c.united(e)
}

func (c *Cluster) intersect(e selector.Expr) (found *roaring.Bitmap, ok bool) {
	var in, out []*roaring.Bitmap
	for operand := range e.Operands() {
		if operand.Kind() == selector.KindTrue {
			if operand.Negated() {
				return roaring.New(), true
			}
			continue
		}
		one, ok := c.positive(operand)
		switch {
		case !ok:
			return nil, false
		case operand.Negated():
			out = append(out, one)
		default:
			in = append(in, one)
		}
	}
	if len(in) == 0 {
		return nil, false
	}
	found = roaring.FastAnd(in...)
	for _, one := range out {
		found.AndNot(one)
	}
	return found, true
}

// united are the endpoints that pass a test of one label.
func (c *Cluster) united(e selector.Expr) (found *roaring.Bitmap, ok bool) {
	k := c.labels.keys[e.Label()]
	if k == nil {
		return roaring.New(), true
	}
	var few []uint32
	var many []*roaring.Bitmap
	sets := 0
	take := func(s *set) bool {
		if s.more != nil && s.more.many != nil {
			many = append(many, s.more.many)
		} else {
			s.all(func(id uint32) bool { few = append(few, id); return true })
		}
		sets++
		return sets < fewSets
	}
	for id := range c.passing(k, e) {
		p, more := c.labels.pair(id), true
		if k.origin == own {
			more = take(&p.by)
		} else {
			p.by.all(func(scope uint32) bool { more = take(&c.scopes[scope].members); return more })
		}
		if !more {
			return nil, false
		}
	}
	if len(many) == 1 && len(few) == 0 {
		return many[0], true
	}
	return roaring.FastOr(append(many, roaring.BitmapOf(few...))...), true
}

// setOf makes a set of a bitmap, which is nobody else's.
func setOf(bitmap *roaring.Bitmap) set {
	switch n := bitmap.GetCardinality(); {
	case n == 0:
		return set{}
	case n == 1:
		return set{one: bitmap.Minimum() + 1}
	case n <= fewest:
		return set{more: &several{few: bitmap.ToArray()}}
	}
	return set{more: &several{many: bitmap}}
}
