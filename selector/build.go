package selector

import (
	"errors"
	"fmt"
	"slices"
)

// All returns the selector that matches everything.
func All() *Selector { return MustParse("all()") }

// Has returns the selector has(label).
func Has(label string) (*Selector, error) { return comparison(node{op: opHas, label: label}) }

// Equals returns the selector label == "value".
func Equals(label, value string) (*Selector, error) {
	return comparison(node{op: opEqual, label: label, value: value})
}

// In returns the selector label in {values}, which matches nothing where there are none.
func In(label string, values ...string) (*Selector, error) {
	return comparison(node{op: opIn, label: label, values: distinct(slices.Clone(values))})
}

// comparison refuses what could not be written, and so would not be read again.
func comparison(n node) (*Selector, error) {
	if !isLabel(n.label) {
		return nil, fmt.Errorf("making a selector for label %.600q: a label has 1 to %d letters, digits, or any of _ . / -", n.label, MaxLabel)
	}
	for _, value := range append(slices.Clone(n.values), n.value) {
		if !isString(value) {
			return nil, fmt.Errorf("making a selector for label %q: the value %.100q has both kinds of quotes, and a string has no escapes", n.label, value)
		}
	}
	n.size = 1
	s, err := newSelector([]node{n}, 0)
	if err != nil {
		return nil, fmt.Errorf("making a selector for label %q: %w", n.label, err)
	}
	return s, nil
}

// And returns a selector that matches what all of them match. One alone is returned as it is; none, or
// one that is nil, is an error, since an operand that was lost must not widen what is left.
func And(selectors ...*Selector) (*Selector, error) { return join(opAnd, selectors) }

// Or returns a selector that matches what any of them matches. Its errors are those of And.
func Or(selectors ...*Selector) (*Selector, error) { return join(opOr, selectors) }

func join(o op, selectors []*Selector) (*Selector, error) {
	if len(selectors) == 0 {
		return nil, fmt.Errorf("joining selectors with %s: there are none", signs[o])
	}
	tree, height := []node{{op: o}}, 0
	for i, s := range selectors {
		if s.empty() {
			return nil, fmt.Errorf("joining selectors with %s: operand %d: %w", signs[o], i+1, errNone)
		}
		tree, height = append(tree, s.tree...), max(height, s.height)
	}
	if len(selectors) == 1 {
		return selectors[0], nil
	}
	tree[0].size = uint32(len(tree)) //nolint:gosec // newSelector refuses what is long
	s, err := newSelector(tree, height+1)
	if err != nil {
		return nil, fmt.Errorf("joining selectors with %s: %w", signs[o], err)
	}
	return s, nil
}

// Not returns a selector that matches what this one does not. Of nil it is an error.
func Not(s *Selector) (*Selector, error) {
	return s.rewrite("negating a selector", func(tree []node) { tree[0].not = !tree[0].not })
}

var errNone = errors.New("it is no selector, but nil or the zero value")

func (s *Selector) empty() bool { return s == nil || len(s.tree) == 0 }

// rewrite edits a copy of the tree, node by node: it may not change their number or order.
func (s *Selector) rewrite(what string, edit func(tree []node)) (*Selector, error) {
	if s.empty() {
		return nil, fmt.Errorf("%s: %w", what, errNone)
	}
	tree := slices.Clone(s.tree)
	edit(tree)
	for i := range tree {
		if label := tree[i].label; len(label) > MaxLabel {
			return nil, fmt.Errorf("%s: the label %.40q… has %d bytes: no more than %d are allowed", what, label, len(label), MaxLabel)
		}
	}
	rewritten, err := newSelector(tree, s.height)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return rewritten, nil
}
