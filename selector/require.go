package selector

import (
	"maps"
	"slices"
	"strings"
)

// Requirement is what is true of one label wherever a selector matches. The converse does not hold: an
// index finds candidates by it, and asks Match.
type Requirement struct {
	Label  string
	Absent bool     // the label is missing; otherwise it is there
	Values []string // if not nil, it has one of these, in order, each once
	Prefix string   // its value starts so
}

// Requirements returns what the selector requires, in the order of labels. It finds what each label's
// tests say together, not what labels say of each other. If possible is false the selector matches
// nothing, whatever the labels are.
func (s *Selector) Requirements() (requirements []Requirement, possible bool) {
	all, possible := boundsOf(s.nodes(), false)
	for _, label := range slices.Sorted(maps.Keys(all)) {
		b := all[label]
		switch {
		case b.missing && b.there:
		case b.missing:
			requirements = append(requirements, Requirement{Label: label, Absent: true})
		case b.only:
			requirements = append(requirements, Requirement{Label: label, Values: b.values})
		default:
			requirements = append(requirements, Requirement{Label: label, Prefix: b.prefix})
		}
	}
	return requirements, possible
}

// MatchesNothing says that no labels can match, as far as Requirements sees: a == "x" && a == "y".
func (s *Selector) MatchesNothing() bool {
	_, possible := boundsOf(s.nodes(), false)
	return !possible
}

// MatchesEverything says that all labels match, as far as Requirements sees: a != "x" || a != "y".
func (s *Selector) MatchesEverything() bool {
	_, possible := boundsOf(s.nodes(), true)
	return !possible
}

// bounds holds what may be true of a label where a tree matches.
type bounds struct {
	missing bool // it may be missing
	there   bool // it may be there, and then
	only    bool // with one of the values, if true; with none of them, if not
	values  []string
	prefix  string // with a value that starts so; "" where only is true
}

// boundsOf returns the bounds of the labels that a tree, or its negation, bounds, or that it cannot match.
func boundsOf(tree []node, negate bool) (all map[string]bounds, possible bool) {
	n := &tree[0]
	negate = negate != n.not
	switch {
	case n.op == opAll || n.op == opGlobal:
		return nil, !negate
	case n.op == opAnd && !negate, n.op == opOr && negate:
		return boundsOfAll(tree, negate)
	case n.op == opOr || n.op == opAnd:
		return boundsOfAny(tree, negate)
	}
	b := boundsOfTest(n, negate != n.op.denies())
	return map[string]bounds{n.label: b}, b.missing || b.there
}

func boundsOfTest(n *node, negate bool) bounds {
	switch n.op {
	case opEqual, opNotEqual:
		return bounds{missing: negate, there: true, only: !negate, values: []string{n.value}}
	case opIn, opNotIn:
		return bounds{missing: negate, there: negate || len(n.values) > 0, only: !negate, values: n.values}
	}
	switch {
	case negate && n.value == "": // of has, and of what every value has in it
		return bounds{missing: true}
	case negate:
		return bounds{missing: true, there: true}
	case n.op == opStartsWith:
		return bounds{there: true, prefix: n.value}
	}
	return bounds{there: true}
}

// boundsOfAll are those of operands that all have to hold.
func boundsOfAll(tree []node, negate bool) (all map[string]bounds, possible bool) {
	for operand := range operands(tree) {
		more, possible := boundsOf(operand, negate)
		if !possible {
			return nil, false
		}
		if len(more) > len(all) {
			all, more = more, all // that one is extended which costs less
		}
		for label, b := range more {
			if a, ok := all[label]; ok {
				b = a.and(b)
			}
			if !b.missing && !b.there {
				return nil, false
			}
			all[label] = b
		}
	}
	return all, true
}

// boundsOfAny are those of operands of which one has to hold: each bounds a label, or none does.
func boundsOfAny(tree []node, negate bool) (all map[string]bounds, possible bool) {
	for operand := range operands(tree) {
		more, ok := boundsOf(operand, negate)
		switch {
		case !ok:
			continue
		case !possible:
			all, possible = more, true
			continue
		case len(more) < len(all):
			all, more = more, all
		}
		for label, a := range all {
			if b, ok := more[label]; ok {
				all[label] = a.or(b)
			} else {
				delete(all, label)
			}
		}
	}
	return all, possible
}

// and returns the bounds of what is within both.
func (a bounds) and(b bounds) bounds {
	c := bounds{missing: a.missing && b.missing, there: a.there && b.there}
	if !c.there {
		return c
	}
	switch {
	case strings.HasPrefix(a.prefix, b.prefix):
		c.prefix = a.prefix
	case strings.HasPrefix(b.prefix, a.prefix):
		c.prefix = b.prefix
	default:
		c.there = false
		return c
	}
	switch c.only = a.only || b.only; {
	case a.only && b.only:
		c.values = filter(a.values, func(v string) bool { return among(b.values, v) })
	case a.only:
		c.values = filter(a.values, func(v string) bool { return !among(b.values, v) })
	case b.only:
		c.values = filter(b.values, func(v string) bool { return !among(a.values, v) })
	default:
		c.values = distinct(slices.Concat(a.values, b.values))
	}
	if c.only {
		c.values = filter(c.values, func(v string) bool { return strings.HasPrefix(v, c.prefix) })
		c.prefix = ""
		c.there = len(c.values) > 0
	}
	return c
}

// or returns bounds of what is within one of the two.
func (a bounds) or(b bounds) bounds {
	c := bounds{missing: a.missing || b.missing, there: a.there || b.there}
	switch {
	case !a.there:
		c.only, c.values, c.prefix = b.only, b.values, b.prefix
		return c
	case !b.there:
		c.only, c.values, c.prefix = a.only, a.values, a.prefix
		return c
	}
	switch c.only = a.only && b.only; {
	case c.only:
		c.values = distinct(slices.Concat(a.values, b.values))
		return c
	case a.only:
		c.values = filter(b.values, func(v string) bool { return !among(a.values, v) })
	case b.only:
		c.values = filter(a.values, func(v string) bool { return !among(b.values, v) })
	default:
		c.values = filter(a.values, func(v string) bool { return among(b.values, v) })
	}
	c.prefix = commonPrefix(a.start(), b.start())
	return c
}

// start is how all values within the bounds start.
func (a bounds) start() string {
	if !a.only {
		return a.prefix
	}
	return commonPrefix(a.values[0], a.values[len(a.values)-1]) // which are in order
}

func commonPrefix(a, b string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[:i]
		}
	}
	return a[:min(len(a), len(b))]
}

func filter(values []string, keep func(string) bool) []string {
	var kept []string
	for _, value := range values {
		if keep(value) {
			kept = append(kept, value)
		}
	}
	return kept
}
