package selector_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/selector"
)

// malformed has a selector at least for each way to write one wrongly.
var malformed = []struct{ name, text, want string }{
	{"a line break between words", "a == 'b'\n",
		`column 9: expected && or ||, found a line break (only spaces and tabs may stand between words)`},
	{"a carriage return between words", "a\r== 'b'",
		`column 2: expected ==, !=, in, not in, contains, starts with or ends with after the label "a", found a line break (only spaces and tabs may stand between words)`},
	{"a single =", `a = "b"`,
		`column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label "a", found a single = (equality is written ==)`},
	{"three =", `a === "b"`,
		`column 5: expected a string, found a single = (equality is written ==)`},
	{"a single &", `a == "b" & c == "d"`,
		`column 10: expected && or ||, found a single & (it is written twice)`},
	{"a single |", `a == "b" |`,
		`column 10: expected && or ||, found a single | (it is written twice)`},
	{"a label alone", `b`,
		`column 2: expected ==, !=, in, not in, contains, starts with or ends with after the label "b", found the end`},
	{"a label alone, with a blank", `a `,
		`column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label "a", found the end`},
	{"a label alone after a join", `has(a) && b`,
		`column 12: expected ==, !=, in, not in, contains, starts with or ends with after the label "b", found the end`},
	{"two labels", `a b`,
		`column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label "a", found "b"`},
	{"label == label", `b == b`,
		`column 6: expected a string in quotes, found "b"`},
	{"label contains label", `b contains b`,
		`column 12: expected a string in quotes, found "b"`},
	{"label starts with label", `b starts with b`,
		`column 15: expected a string in quotes, found "b"`},
	{"a string on the left", `'b1' == b`,
		`column 1: a string cannot stand first: write the label, then the string, as in label == "value"`},
	{"in without braces", `a in "b"`,
		`column 6: expected a set after "in", like {"a", "b"}, found a string`},
	{"not in without braces", `a not in ("b")`,
		`column 10: expected a set after "not in", like {"a", "b"}, found '('`},
	{"== with a set", `a == {"b"}`,
		`column 6: expected a string, found '{'`},
	{"parentheses with nothing in them", `( )`,
		`column 3: the parentheses have nothing in them`},
	{"parentheses that are not closed", `(a == "b"`,
		`column 10: expected &&, || or the ) for the ( in column 1, found the end`},
	{"a parenthesis that closes nothing", `a == "b")`,
		`column 9: the ) closes nothing`},
	{"a closing parenthesis alone", `)`,
		`column 1: expected a label, !, (, has(label) or all(), found ')'`},
	{"an opening parenthesis alone", `(`,
		`column 2: expected a label, !, (, has(label) or all(), found the end`},
	{"an operator at the end", `a ==`,
		`column 5: expected a string, found the end`},
	{"a join at the end", `a == "b" &&`,
		`column 12: expected a label, !, (, has(label) or all(), found the end`},
	{"a join at the beginning", `|| a == "b"`,
		`column 1: expected a label, !, (, has(label) or all(), found ||`},
	{"two joins in a row", `a == "b" && || has(c)`,
		`column 13: expected a label, !, (, has(label) or all(), found ||`},
	{"no join between two tests", `has(a) has(b)`,
		`column 8: expected && or ||, found "has"`},
	{"! alone", `!`,
		`column 2: expected a label, !, (, has(label) or all(), found the end`},
	{"! before an operator", `a ! == "b"`,
		`column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label "a", found '!'`},
	{"has() without a label", `has()`,
		`column 5: expected the label of has(label), found ')'`},
	{"has() that is not closed", `has(a`,
		`column 6: expected the ) for the ( in column 4, found the end`},
	{"has() of two labels", `has(a, b)`,
		`column 6: expected the ) for the ( in column 4, found ','`},
	{"has() of a string", `has("a")`,
		`column 5: expected the label of has(label), found a string`},
	{"a blank before the parenthesis of has()", `has (a)`,
		`column 5: a blank may not stand between has and its parenthesis`},
	{"a blank before the parenthesis of all()", `all ()`,
		`column 5: a blank may not stand between all and its parenthesis`},
	{"all() of something", `all(a)`,
		`column 5: expected the ) for the ( in column 4, found "a"`},
	{"global() that is not closed", `global(`,
		`column 8: expected the ) for the ( in column 7, found the end`},
	{"all() compared", `all() == "x"`,
		`column 7: expected && or ||, found ==`},
	{"a function that there is not", `hash(a)`,
		`column 5: expected ==, !=, in, not in, contains, starts with or ends with after the label "hash", found '('`},
	{"a string that does not end", `a == "FOO`,
		`column 6: the string that begins here has no end: its closing " is missing`},
	{"a string that ends with the other quote", `a == "FOO'`,
		`column 6: the string that begins here has no end: its closing " is missing`},
	{"an escape", `a == "x\"y"`,
		`column 10: expected && or ||, found "y"`},
	{"a word without its boundary", `a inf {"b"}`,
		`column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label "a", found "inf"`},
	{"two words without their boundary", `a starts withs "b"`,
		`column 10: expected "with", as in "starts with", found "withs"`},
	{"half of two words", `a starts "b"`,
		`column 10: expected "with", as in "starts with", found a string`},
	{"half of not in", `a not {"b"}`,
		`column 7: expected "in", as in "not in", found '{'`},
	{"words joined by a dash", `a starts-with "b"`,
		`column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label "a", found "starts-with"`},
	{"words in capitals", `a IN {"b"}`,
		`column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label "a", found "IN"`},
	{"a set with a leading comma", `a in {,"b"}`,
		`column 7: expected a string, found ','`},
	{"a set with two commas", `a in {"b",,"c"}`,
		`column 11: expected a string, found ','`},
	{"a set with a comma missing", `a in {"b" "c"}`,
		`column 11: expected a comma or the } of the set, found a string`},
	{"a set with a comma alone", `a in {,}`,
		`column 7: expected a string, found ','`},
	{"a set of labels", `a in {b}`,
		`column 7: expected a string in quotes, found "b"`},
	{"a set that is not closed", `a in {"b"`,
		`column 10: expected a comma or the } of the set, found the end`},
	{"a set that ends at its comma", `a in {"b",`,
		`column 11: expected a string, found the end`},
	{"a character that is in no word", `%`,
		`column 1: expected a label, !, (, has(label) or all(), found '%'`},
	{"a character beyond ASCII", `größe == "x"`,
		`column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label "gr", found 'ö'`},
	{"a byte that is no character", "a == \"b\" \xff",
		`column 10: expected && or ||, found the byte 0xff`},
	{"a byte of zero", "has(a)\x00",
		`column 7: expected && or ||, found '\x00'`},
	{"a quoted label", `"a" in {"b"}`,
		`column 1: a string cannot stand first: write the label, then the string, as in label == "value"`},
	{"a label of 513 bytes", strings.Repeat("a", 513) + ` == "x"`,
		`column 1: the label has 513 bytes: no more than 512 are allowed`},
	{"has() of a label of 513 bytes", `has(` + strings.Repeat("a", 513) + `)`,
		`column 5: the label has 513 bytes: no more than 512 are allowed`},
	{"a regular expression", `a =~ "b.*"`,
		`column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label "a", found a single = (equality is written ==)`},
	{"a comparison of numbers", `a > "1"`,
		`column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label "a", found '>'`},
	{"a comment", `has(a) // and more`,
		`column 8: expected && or ||, found "//"`},
}

func TestAMalformedSelectorIsRefusedWithPositionAndCause(t *testing.T) {
	for _, test := range malformed {
		t.Run(test.name, func(t *testing.T) {
			s, err := selector.Parse(test.text)
			var syntax *selector.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("want a SyntaxError, got selector %v and error %v", s, err)
			}
			if diff := cmp.Diff("parsing the selector at "+test.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got)\n%s", diff)
			}
			if s != nil {
				t.Errorf("want no selector with the error, got %v", s)
			}
			if _, err := (reference{}).match(test.text); err == nil {
				t.Error("the reference does not refuse it")
			}
		})
	}
}

func TestTheCaretStandsBelowWhatIsWrong(t *testing.T) {
	long := strings.Repeat("a", 100)
	tests := []struct{ name, text, want string }{
		{"a short selector", `b == b`, "" +
			"b == b\n" +
			"     ^"},
		{"a selector that ends too early", `has(a) &&`, "" +
			"has(a) &&\n" +
			"         ^"},
		{"a long selector, wrong in the middle", long + ` = "` + long + `"`, "" +
			"…" + long[:38] + ` = "` + long[:36] + "…\n" +
			strings.Repeat(" ", 40) + "^"},
		{"a long selector, wrong at its end", long, "" +
			"…" + long[:39] + "\n" +
			strings.Repeat(" ", 40) + "^"},
		{"characters of several bytes", `has(ä)`, "" +
			"has(ä)\n" +
			"    ^"},
		{"tabs", "a\t==\tb", "" +
			"a == b\n" +
			"     ^"},
		{"what a terminal would obey", "a == '\x1b[2J\u0301\u202e' b", "" +
			"a == '?[2J??' b\n" +
			"              ^"},
		{"bytes that are no characters", "a == '\xff\xfe'\xfd", "" +
			"a == '??'?\n" +
			"         ^"},
		{"lines", "a == 'b'\n&& c == 'd'", "" +
			"a == 'b'?&& c == 'd'\n" +
			"        ^"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := selector.Parse(test.text)
			var syntax *selector.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("want a SyntaxError, got %v", err)
			}
			if diff := cmp.Diff(test.want, syntax.Caret()); diff != "" {
				t.Errorf("caret (-want +got)\n%s", diff)
			}
		})
	}
}
