package selector

import (
	"iter"
	"slices"
)

// Expr is a selector taken apart, for an index that answers it from sets: every test of one label is a
// union of the sets of that label's values, && and || are intersection and union, and Negated is the
// complement. It is a view, and small: taking one apart allocates nothing.
type Expr struct{ tree []node }

// Kind says what an Expr is.
type Kind uint8

// The kinds of Expr. What a selector writes as != and "not in" is KindEqual and KindIn, negated, and
// global() is KindTrue.
const (
	KindTrue       Kind = iota
	KindHas             // the label is there
	KindEqual           // its value is Value
	KindIn              // its value is one of Values
	KindContains        // its value contains Value
	KindStartsWith      // its value starts with Value
	KindEndsWith        // its value ends with Value
	KindAnd             // all Operands hold
	KindOr              // one of the Operands holds
)

var kinds = [...]Kind{
	opAll: KindTrue, opGlobal: KindTrue, opHas: KindHas, opEqual: KindEqual, opNotEqual: KindEqual,
	opIn: KindIn, opNotIn: KindIn, opContains: KindContains, opStartsWith: KindStartsWith,
	opEndsWith: KindEndsWith, opAnd: KindAnd, opOr: KindOr,
}

// Expr returns the whole selector. That of nil is a KindIn with no values.
func (s *Selector) Expr() Expr { return Expr{s.nodes()} }

// Kind says what the rest of e means.
func (e Expr) Kind() Kind { return kinds[e.tree[0].op] }

// Negated says that e holds where its kind does not. A label that is missing fails every test, and so
// holds where the test is negated.
func (e Expr) Negated() bool { return e.tree[0].not != e.tree[0].op.denies() }

// Label is the label that is tested.
func (e Expr) Label() string { return e.tree[0].label }

// Value is what the label is compared with.
func (e Expr) Value() string { return e.tree[0].value }

// Values are those of KindIn in order, each once. They belong to the selector: do not change them.
func (e Expr) Values() []string { return slices.Clip(e.tree[0].values) }

// Accepts says whether a value passes the test of the label, before any negation.
func (e Expr) Accepts(value string) bool { return e.tree[0].test(value) }

// Operands are those of KindAnd and KindOr, two at least; other kinds have none.
func (e Expr) Operands() iter.Seq[Expr] {
	return func(yield func(Expr) bool) {
		for operand := range operands(e.tree) {
			if !yield(Expr{operand}) {
				return
			}
		}
	}
}

// Tests are all tests of labels in e, at whatever depth, in the order of the text. Whether a selector
// matches can only change with what one of them says of the label.
func (e Expr) Tests() iter.Seq[Expr] {
	return func(yield func(Expr) bool) {
		for i := range e.tree {
			if e.tree[i].label != "" && !yield(Expr{e.tree[i : i+1]}) {
				return
			}
		}
	}
}

// Labels are the labels that are tested, in order, each once.
func (e Expr) Labels() []string {
	var labels []string
	for test := range e.Tests() {
		labels = append(labels, test.Label())
	}
	return distinct(labels)
}
