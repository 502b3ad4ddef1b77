package selector_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hawser-io/hawser/selector"
)

// FuzzParse asks of any text that it is refused with a position, or read as the reference reads it, and
// that what is printed is read as the same.
func FuzzParse(f *testing.F) {
	for _, test := range wellFormed {
		f.Add(test.text)
	}
	for _, test := range malformed {
		f.Add(test.text)
	}
	f.Add(strings.Repeat("(", selector.MaxDepth+1))
	f.Add(strings.Repeat("!(has(a)||", 100))

	someLabels := []map[string]string{nil, {"a": "b"}, {"a": "x", "b": "y", "c": ""}, {"has": "y", "in": "a", "contains": "xx"}}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := selector.Parse(text)
		if err != nil {
			refused(t, text, err)
			return
		}
		canonical := s.String()
		again, err := selector.Parse(canonical)
		if err != nil {
			t.Fatalf("%q is printed as %q, which is refused: %v", text, canonical, err)
		}
		if again.String() != canonical || again.ID() != s.ID() {
			t.Fatalf("%q is printed as %q, which is read as %q", text, canonical, again)
		}
		for _, labels := range someLabels {
			want, err := reference{labels: labels, all: true, global: true}.match(text)
			if err != nil {
				t.Fatalf("the reference refuses %q: %v", text, err)
			}
			if s.MatchMap(labels) != want || again.MatchMap(labels) != want || evaluate(s.Expr(), labels) != want {
				t.Fatalf("%q and %v: want %t", text, labels, want)
			}
			if want && s.MatchesNothing() || !want && s.MatchesEverything() {
				t.Fatalf("%q and %v match is %t, against what the requirements say", text, labels, want)
			}
		}
	})
}

func refused(t *testing.T, text string, err error) {
	t.Helper()
	var syntax *selector.SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("%q is refused without a position: %v", text, err)
	}
	if syntax.Offset < 0 || syntax.Offset > len(text) || syntax.Text != text || syntax.Cause == "" {
		t.Fatalf("%q is refused with %+v", text, syntax)
	}
	lines := strings.Split(syntax.Caret(), "\n")
	if len(lines) != 2 || utf8.RuneCountInString(lines[1]) > utf8.RuneCountInString(lines[0])+1 {
		t.Fatalf("%q is refused with the caret %q", text, lines)
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Fatalf("%q is refused with the error %q", text, err)
	}
	const bounded = 512 // what is longer may be refused for its size, which the reference does not know
	if _, err := (reference{}).match(text); err == nil && len(text) <= bounded {
		t.Fatalf("%q is refused with %v, the reference takes it", text, syntax)
	}
}
