package selector

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError says what is wrong with a selector, and where.
type SyntaxError struct {
	Text   string // the selector
	Offset int    // of the byte that is wrong; the length of the text, if more was expected
	Cause  string // without the position
}

// Error implements error, in one line without the selector: an object may hold several, and whoever
// reports knows the name of the field.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("parsing the selector at column %d: %s", e.Column(), e.Cause)
}

// Column counts characters, the first is 1.
func (e *SyntaxError) Column() int { return column(e.Text, e.Offset) }

func column(text string, offset int) int { return utf8.RuneCountInString(text[:offset]) + 1 }

// shown is how much of the selector stands on each side of what is wrong.
const shown = 40

// Caret returns two lines for a terminal: the selector, shortened around what is wrong, and below it a
// ^. What a terminal would not print, or obey, stands there as a question mark.
func (e *SyntaxError) Caret() string {
	before, after := []rune(e.Text[:e.Offset]), []rune(e.Text[e.Offset:])
	head, tail := "", ""
	if len(before) > shown {
		head, before = "…", before[len(before)-shown+1:]
	}
	if len(after) > shown {
		tail, after = "…", after[:shown-1]
	}
	line := head + strings.Map(printable, string(before)+string(after)) + tail
	return line + "\n" + strings.Repeat(" ", utf8.RuneCountInString(head)+len(before)) + "^"
}

func printable(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case r == utf8.RuneError || !unicode.IsPrint(r) || unicode.Is(unicode.Mn, r): // a mark has no column of its own
		return '?'
	}
	return r
}

func (p *parser) errorAt(offset int, format string, args ...any) error {
	return &SyntaxError{Text: p.text, Offset: offset, Cause: fmt.Sprintf(format, args...)}
}

// unexpected is the error where something else should stand.
func (p *parser) unexpected(format string, args ...any) error {
	return p.errorAt(p.pos, "expected %s, found %s", fmt.Sprintf(format, args...), p.found())
}

// found names what stands at the position.
func (p *parser) found() string {
	const long = 32
	if word := (&parser{text: p.text, pos: p.pos}).word(); len(word) > long {
		return fmt.Sprintf("%q…", word[:long])
	} else if word != "" {
		return fmt.Sprintf("%q", word)
	}
	rest := p.text[p.pos:]
	if rest == "" {
		return "the end"
	}
	for _, sign := range []string{"==", "!=", "&&", "||"} {
		if strings.HasPrefix(rest, sign) {
			return sign
		}
	}
	switch rest[0] {
	case '\n', '\r':
		return "a line break (only spaces and tabs may stand between words)"
	case '=':
		return "a single = (equality is written ==)"
	case '&', '|':
		return fmt.Sprintf("a single %c (it is written twice)", rest[0])
	case '"', '\'':
		return "a string"
	}
	r, size := utf8.DecodeRuneInString(rest)
	if r == utf8.RuneError && size == 1 {
		return fmt.Sprintf("the byte %#02x", rest[0])
	}
	return strconv.QuoteRune(r)
}

// noOperand is the error where an operand should begin.
func (p *parser) noOperand() error {
	switch p.peek() {
	case '"', '\'':
		return p.errorAt(p.pos, `a string cannot stand first: write the label, then the string, as in label == "value"`)
	case ')':
		if p.pos > 0 && strings.HasSuffix(strings.TrimRight(p.text[:p.pos], " \t"), "(") {
			return p.errorAt(p.pos, "the parentheses have nothing in them")
		}
	}
	return p.unexpected("a label, !, (, has(label) or all()")
}

// noOperator is the error where a label has no operator behind it.
func (p *parser) noOperator(label string) error {
	switch label {
	case "all", "global", "has":
		if p.peek() == '(' {
			return p.errorAt(p.pos, "a blank may not stand between %s and its parenthesis", label)
		}
	}
	if len(label) > 64 {
		label = label[:64] + "…"
	}
	return p.unexpected("==, !=, in, not in, contains, starts with or ends with after the label %q", label)
}

// noString is the error where a string should begin.
func (p *parser) noString() error {
	if p.pos < len(p.text) && inLabel[p.text[p.pos]] {
		return p.unexpected("a string in quotes")
	}
	return p.unexpected("a string")
}

func (p *parser) longLabel(start int) error {
	return p.errorAt(start, "the label has %d bytes: no more than %d are allowed", p.pos-start, MaxLabel)
}
