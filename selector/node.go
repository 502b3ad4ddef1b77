package selector

import (
	"iter"
	"slices"
	"strings"
)

// node is one step of a selector. The nodes of a tree lie in one slice, each operator before its
// operands, so that a match walks forward over memory, and rewriting is copying.
type node struct {
	label  string
	value  string
	values []string // of a set: sorted, each once

	size uint32 // how many nodes it is, with all of its operands and itself
	op   op
	not  bool // "!", by parity
}

type op uint8

const (
	opAll op = iota
	opGlobal
	opHas
	opEqual
	opNotEqual
	opIn
	opNotIn
	opContains
	opStartsWith
	opEndsWith
	opAnd
	opOr
)

// signs is how the operators are written.
var signs = [...]string{
	opAll:        "all()",
	opGlobal:     "global()",
	opEqual:      "==",
	opNotEqual:   "!=",
	opIn:         "in",
	opNotIn:      "not in",
	opContains:   "contains",
	opStartsWith: "starts with",
	opEndsWith:   "ends with",
	opAnd:        "&&",
	opOr:         "||",
}

// nothing is the tree that matches nothing. It is not "!all()", whose meaning changes when it is
// rewritten for namespaces: nothing stays nothing.
var nothing = []node{{label: "none", op: opIn, size: 1}}

// operands are the trees directly below the root of a tree, an "&&" or an "||".
func operands(tree []node) iter.Seq[[]node] {
	return func(yield func([]node) bool) {
		for i := 1; i < len(tree); i += int(tree[i].size) {
			if !yield(tree[i : i+int(tree[i].size)]) {
				return
			}
		}
	}
}

// test says whether the value of a label that is there passes. A "!=" tests what it denies, as "==" does.
func (n *node) test(value string) bool {
	switch n.op {
	case opEqual, opNotEqual:
		return value == n.value
	case opIn, opNotIn:
		return among(n.values, value)
	case opContains:
		return strings.Contains(value, n.value)
	case opStartsWith:
		return strings.HasPrefix(value, n.value)
	case opEndsWith:
		return strings.HasSuffix(value, n.value)
	default: // opHas
		return true
	}
}

// denies says whether the operator is true where its test is not.
func (o op) denies() bool { return o == opNotEqual || o == opNotIn }

// among looks a value up in sorted ones.
func among(values []string, value string) bool {
	if len(values) <= 8 { // below, a walk is faster
		return slices.Contains(values, value)
	}
	_, ok := slices.BinarySearch(values, value)
	return ok
}
