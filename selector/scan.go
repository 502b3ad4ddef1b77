package selector

import "strings"

// inLabel are the bytes of labels.
var inLabel = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-") {
		is[c] = true
	}
	return is
}()

// isLabel says whether a name can be written as a label.
func isLabel(name string) bool {
	for i := range len(name) {
		if !inLabel[name[i]] {
			return false
		}
	}
	return name != "" && len(name) <= MaxLabel
}

// isString says whether a value can be written as a string.
func isString(value string) bool {
	return !strings.Contains(value, `"`) || !strings.Contains(value, `'`)
}

// skip goes over blanks.
func (p *parser) skip() {
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t') {
		p.pos++
	}
}

// peek returns the byte at the position, 0 at the end. A selector may have a 0 of its own, in strings
// only, where nobody peeks: elsewhere it is as wrong as the end, and told apart by unexpected.
func (p *parser) peek() byte {
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

// take goes over blanks and then a sign, if it stands there.
func (p *parser) take(sign byte) bool {
	p.skip()
	if p.pos == len(p.text) || p.text[p.pos] != sign {
		return false
	}
	p.pos++
	return true
}

// takeJoin is take for "&&" and "||".
func (p *parser) takeJoin(o op) bool {
	p.skip()
	if !strings.HasPrefix(p.text[p.pos:], signs[o]) {
		return false
	}
	p.pos += len(signs[o])
	return true
}

// word goes over a run of the bytes of labels, as long as it is.
func (p *parser) word() string {
	start := p.pos
	for p.pos < len(p.text) && inLabel[p.text[p.pos]] {
		p.pos++
	}
	return p.text[start:p.pos]
}
