package selector

import (
	"slices"
	"strings"
)

// Parse reads a selector, which holds on to the text. Its errors are a *[SyntaxError].
func Parse(text string) (*Selector, error) {
	p := parser{text: text}
	tree, height, err := p.selector()
	if err != nil {
		return nil, err
	}
	s, err := newSelector(tree, height)
	if err != nil {
		return nil, p.errorAt(0, "%v", err)
	}
	return s, nil
}

// MustParse is for selectors in the source code.
func MustParse(text string) *Selector {
	s, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return s
}

// parser is a position in a text. Its methods append the nodes of what they read, and return them with
// their height, which is how many && and || stand within each other.
type parser struct {
	text string
	pos  int
	open int // parentheses
}

func (p *parser) selector() (tree []node, height int, err error) {
	if len(p.text) > MaxLength {
		return nil, 0, p.errorAt(MaxLength, "the selector has %d bytes: no more than %d are allowed", len(p.text), MaxLength)
	}
	if p.skip(); p.pos == len(p.text) {
		return []node{{op: opAll, size: 1}}, 0, nil
	}
	switch tree, height, err = p.join(p.room(), opOr); {
	case err != nil || p.pos == len(p.text):
		return tree, height, err
	case p.peek() == ')':
		return nil, 0, p.errorAt(p.pos, "the ) closes nothing")
	}
	return nil, 0, p.unexpected("&& or ||")
}

// room is as much as the tree needs, or a little more: a guess that costs less than growing.
func (p *parser) room() []node {
	tests := 1 + strings.Count(p.text, "&")/2 + strings.Count(p.text, "|")/2
	joins := min(tests-1, 2+2*strings.Count(p.text, "("))
	return make([]node, 0, min(tests+joins, 64))
}

// join reads operands with the sign of && or || between them, one at least, and the blanks behind them.
func (p *parser) join(nodes []node, o op) (_ []node, height int, err error) {
	start := len(nodes)
	if nodes, height, err = p.operand(nodes, o); err != nil || !p.takeJoin(o) {
		return nodes, height, err
	}
	nodes = slices.Insert(nodes, start, node{op: o})
	for more := true; more; more = p.takeJoin(o) {
		var h int
		if nodes, h, err = p.operand(nodes, o); err != nil {
			return nil, 0, err
		}
		height = max(height, h)
	}
	nodes[start].size = uint32(len(nodes) - start) //nolint:gosec // a node takes a byte of text at least
	return nodes, height + 1, nil
}

// operand reads one: those of || are the joins of &&, which binds closer.
func (p *parser) operand(nodes []node, o op) (_ []node, height int, err error) {
	if o == opOr {
		return p.join(nodes, opAnd)
	}
	not := false
	for p.take('!') {
		not = !not
	}
	start := len(nodes)
	if p.peek() == '(' {
		nodes, height, err = p.parentheses(nodes)
	} else {
		nodes = append(nodes, node{size: 1})
		err = p.primary(&nodes[start])
	}
	if err == nil && not {
		nodes[start].not = !nodes[start].not
	}
	return nodes, height, err
}

func (p *parser) parentheses(nodes []node) (_ []node, height int, err error) {
	opened := p.pos
	if p.open++; p.open > MaxDepth {
		return nil, 0, p.errorAt(opened, "no more than %d parentheses may be open at once", MaxDepth)
	}
	p.pos++
	if nodes, height, err = p.join(nodes, opOr); err != nil {
		return nil, 0, err
	}
	if !p.take(')') {
		return nil, 0, p.unexpected("&&, || or the ) for the ( in column %d", column(p.text, opened))
	}
	p.open--
	return nodes, height, nil
}

// primary reads what asks for no other operands.
func (p *parser) primary(n *node) error {
	start := p.pos
	label := p.word()
	if label == "" {
		return p.noOperand()
	}
	if p.peek() == '(' { // with no blank before it
		switch label {
		case "all":
			return p.call(n, opAll)
		case "global":
			return p.call(n, opGlobal)
		case "has":
			return p.call(n, opHas)
		}
	}
	if len(label) > MaxLabel {
		return p.longLabel(start)
	}
	n.label = label
	return p.comparison(n)
}

// call reads the parentheses of all(), global() and has(label).
func (p *parser) call(n *node, o op) error {
	n.op = o
	opened := p.pos
	p.pos++
	p.skip()
	if o == opHas {
		start := p.pos
		if n.label = p.word(); n.label == "" {
			return p.unexpected("the label of has(label)")
		}
		if len(n.label) > MaxLabel {
			return p.longLabel(start)
		}
	}
	if !p.take(')') {
		return p.unexpected("the ) for the ( in column %d", column(p.text, opened))
	}
	return nil
}

// comparison reads what follows a label.
func (p *parser) comparison(n *node) (err error) {
	p.skip()
	if n.op, err = p.operator(n.label); err != nil {
		return err
	}
	p.skip()
	if n.op == opIn || n.op == opNotIn {
		n.values, err = p.set(n.op)
	} else {
		n.value, err = p.literal()
	}
	return err
}

// operator reads the sign or the words of a comparison.
func (p *parser) operator(label string) (op, error) {
	if strings.HasPrefix(p.text[p.pos:], "==") {
		p.pos += 2
		return opEqual, nil
	}
	if strings.HasPrefix(p.text[p.pos:], "!=") {
		p.pos += 2
		return opNotEqual, nil
	}
	start := p.pos
	switch p.word() {
	case "in":
		return opIn, nil
	case "contains":
		return opContains, nil
	case "notin":
		return opNotIn, nil
	case "startswith":
		return opStartsWith, nil
	case "endswith":
		return opEndsWith, nil
	case "not":
		return p.secondWord(opNotIn, "in")
	case "starts":
		return p.secondWord(opStartsWith, "with")
	case "ends":
		return p.secondWord(opEndsWith, "with")
	}
	p.pos = start
	return 0, p.noOperator(label)
}

func (p *parser) secondWord(o op, want string) (op, error) {
	p.skip()
	start := p.pos
	if p.word() == want {
		return o, nil
	}
	p.pos = start
	return 0, p.unexpected("%q, as in %q", want, signs[o])
}

// literal reads a string in quotes.
func (p *parser) literal() (string, error) {
	quote := p.peek()
	if quote != '"' && quote != '\'' {
		return "", p.noString()
	}
	length := strings.IndexByte(p.text[p.pos+1:], quote)
	if length < 0 {
		return "", p.errorAt(p.pos, "the string that begins here has no end: its closing %c is missing", quote)
	}
	start := p.pos + 1
	p.pos = start + length + 1
	return p.text[start : start+length], nil
}

// set reads strings in braces.
func (p *parser) set(o op) ([]string, error) {
	if !p.take('{') {
		return nil, p.unexpected(`a set after %q, like {"a", "b"}`, signs[o])
	}
	var space [16]string
	values := space[:0]
	for more := true; more && !p.take('}'); {
		value, err := p.literal() // take went over the blanks
		if err != nil {
			return nil, err
		}
		values = append(values, value)
		if more = p.take(','); !more && !p.take('}') {
			return nil, p.unexpected("a comma or the } of the set")
		}
	}
	return distinct(values), nil
}

// distinct returns the values in order, each once, in a slice of its own, which is nil for none.
func distinct(values []string) []string {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	values = slices.Compact(values)
	own := make([]string, len(values))
	copy(own, values)
	return own
}
