package selector

import "strings"

// appendTree appends the canonical form: && and || in parentheses, "!" before its operand, sets in
// order, strings in double quotes unless they have one.
func appendTree(b []byte, tree []node) []byte {
	n := &tree[0]
	if n.not {
		b = append(b, '!')
	}
	switch n.op {
	case opAll, opGlobal:
		return append(b, signs[n.op]...)
	case opHas:
		b = append(b, "has("...)
		b = append(b, n.label...)
		return append(b, ')')
	case opAnd, opOr:
		b = append(b, '(')
		for i := 1; i < len(tree); i += int(tree[i].size) {
			if i > 1 {
				b = appendSign(b, n.op)
			}
			b = appendTree(b, tree[i:i+int(tree[i].size)])
		}
		return append(b, ')')
	case opIn, opNotIn:
		b = appendSign(append(b, n.label...), n.op)
		b = append(b, '{')
		for i, value := range n.values {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendQuoted(b, value)
		}
		return append(b, '}')
	default:
		b = appendSign(append(b, n.label...), n.op)
		return appendQuoted(b, n.value)
	}
}

func appendSign(b []byte, o op) []byte {
	b = append(b, ' ')
	b = append(b, signs[o]...)
	return append(b, ' ')
}

func appendQuoted(b []byte, value string) []byte {
	quote := byte('"')
	if strings.IndexByte(value, quote) >= 0 {
		quote = '\''
	}
	b = append(b, quote)
	b = append(b, value...)
	return append(b, quote)
}

// printedLength is the length of the canonical form.
func printedLength(tree []node) int {
	var length, joins int
	for i := range tree {
		n := &tree[i]
		if n.not {
			length++
		}
		switch n.op {
		case opAll, opGlobal:
			length += len(signs[n.op])
		case opHas:
			length += len("has()") + len(n.label)
		case opAnd, opOr:
			length += len("()")
			joins++
		case opIn, opNotIn:
			length += len(n.label) + len(signs[n.op]) + len("  {}") + max(0, len(n.values)-1)*len(", ")
			for _, value := range n.values {
				length += len(value) + len(`""`)
			}
		default:
			length += len(n.label) + len(signs[n.op]) + len(n.value) + len(`  ""`)
		}
	}
	// Of all nodes but the root, each has a sign before it, except the first operand of each join.
	return length + (len(tree)-1-joins)*len(" && ")
}
