package selector_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/selector"
)

// wellFormed has what the grammar allows, with the canonical form, and Calico's ID where it is known.
var wellFormed = []struct{ name, text, want, id string }{
	{"nothing is all()", ``, `all()`, "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug"},
	{"blanks are all()", " \t ", `all()`, "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug"},
	{"parentheses around one operand vanish", ` ((all( )) )`, `all()`, "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug"},
	{"blanks between words", `! (has( b)||! has(a ))`, `!(has(b) || !has(a))`, "s:Iss0uCleLYv1GSv_pNm7hAO58kE9jAx1NKyG3Q"},
	{"no blanks between words", `! (a == "b"&&! c != "d")`, `!(a == "b" && !c != "d")`, "s:lh3haoY1ikTRkd4UZu0nWSaIBknYLPJLX16d-w"},
	{"global()", "global(\t)", `global()`, ""},
	{"a label of every kind of byte", `-azAZ09_./== "v"`, `-azAZ09_./ == "v"`, ""},
	{"a label with several slashes", `has(calico/k8s_NS-.1/role)`, `has(calico/k8s_NS-.1/role)`, ""},
	{"a label of 512 bytes", `has(` + strings.Repeat("a", 512) + `)`, `has(` + strings.Repeat("a", 512) + `)`, ""},
	{"single quotes become double", `a == 'b'`, `a == "b"`, ""},
	{"a double quote in single quotes", `a == '"'`, `a == '"'`, ""},
	{"a single quote in double quotes", `a != "'"`, `a != "'"`, ""},
	{"a backslash is a backslash", `a == "\"`, `a == "\"`, ""},
	{"lines and other bytes in a string", "a == \"\n\x00\xff\"", "a == \"\n\x00\xff\"", ""},
	{"a string that looks like a selector", `a == "all() && global()"`, `a == "all() && global()"`, ""},
	{"an empty string", `a contains ''`, `a contains ""`, ""},
	{"words that touch", `a startswith"b"||a endswith"c"||a notin{"d"}||a in{"e"}`, `(a starts with "b" || a ends with "c" || a not in {"d"} || a in {"e"})`, ""},
	{"words far apart", "a starts \t with 'b'", `a starts with "b"`, ""},
	{"words of the grammar are labels", `in in {"a"} && contains contains "x" && not not in {} && has == "y" && has(has)`, `(in in {"a"} && contains contains "x" && not not in {} && has == "y" && has(has))`, ""},
	{"labels that begin with a word", `inn in {"a"} && notin not in {"b"} && allx == "c"`, `(inn in {"a"} && notin not in {"b"} && allx == "c")`, ""},
	{"the values of a set are sorted, each once", `a in {"z", "z", 'x', "y", "x", "a"}`, `a in {"a", "x", "y", "z"}`, ""},
	{"both quotes in a set", `a not in {"'", '"', "c"}`, `a not in {'"', "'", "c"}`, ""},
	{"an empty set", `a in { }`, `a in {}`, ""},
	{"a comma at the end of a set", `a in {"b" , }`, `a in {"b"}`, ""},
	{"! counts by parity", `!! ! has(a) && !!has(b)`, `(!has(a) && has(b))`, ""},
	{"! around parentheses counts too", `!(!has(a)) && !(!(!(has(b) || has(c))))`, `(has(a) && !(has(b) || has(c)))`, ""},
	{"! binds closer than &&, and a test closer than !", `!a == "x" && b == "y"`, `(!a == "x" && b == "y")`, ""},
	{"&& binds closer than ||", `has(a) || has(b) && has(c) || has(d)`, `(has(a) || (has(b) && has(c)) || has(d))`, ""},
	{"parentheses bind closest", `(has(a) || has(b)) && (has(c) || has(d))`, `((has(a) || has(b)) && (has(c) || has(d)))`, ""},
	{"what is written within each other stays so", `has(a) && (has(b) && has(c))`, `(has(a) && (has(b) && has(c)))`, ""},
	{"operands keep their order", `has(b) && has(a)`, `(has(b) && has(a))`, ""},
	{"Calico's benchmark", benchmark, `(!(a == "b" && !c != "d") || !(a == "b" && !c != "d"))`, ""},
}

func TestTheCanonicalFormIsReadAsTheSame(t *testing.T) {
	for _, test := range wellFormed {
		t.Run(test.name, func(t *testing.T) {
			s, err := selector.Parse(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, s.String()); diff != "" {
				t.Errorf("canonical form (-want +got)\n%s", diff)
			}
			if test.id != "" && s.ID() != test.id {
				t.Errorf("ID: want %s, got %s", test.id, s.ID())
			}
			again, err := selector.Parse(s.String())
			if err != nil {
				t.Fatalf("parsing the canonical form: %v", err)
			}
			if again.String() != s.String() || again.ID() != s.ID() {
				t.Errorf("the canonical form is read as %s", again)
			}
		})
	}
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	tests := []struct {
		name, text string
		refused    bool
	}{
		{"the longest", `a == "` + strings.Repeat("x", selector.MaxLength-7) + `"`, false},
		{"one byte longer", `a == "` + strings.Repeat("x", selector.MaxLength-6) + `"`, true},
		{"blanks count", strings.Repeat(" ", selector.MaxLength+1), true},
		{"what grows longer by printing", strings.Repeat(`a in{}||`, selector.MaxLength/8-1) + `a in{}`, true},
		{"the deepest parentheses", strings.Repeat("(", 512) + "all()" + strings.Repeat(")", 512), false},
		{"one deeper", strings.Repeat("(", 513) + "all()" + strings.Repeat(")", 513), true},
		{"parentheses one after the other", strings.Repeat("(all())&&", 513) + "all()", false},
		{"the deepest operators", strings.Repeat("has(a)||has(b)&&(", 256) + "all()" + strings.Repeat(")", 256), false},
		{"operators one deeper, in fewer parentheses", strings.Repeat("has(a)||has(b)&&(", 257) + "all()" + strings.Repeat(")", 257), true},
		{"any number of !", strings.Repeat("!", 60000) + "has(a)", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := selector.Parse(test.text)
			if (err != nil) != test.refused {
				t.Fatalf("want refused = %t, got %.200v", test.refused, err)
			}
			if err != nil {
				return
			}
			if again, err := selector.Parse(s.String()); err != nil || again.String() != s.String() {
				t.Errorf("the canonical form is not read as it is printed: %.200v", err)
			}
		})
	}
}

func TestEverySelectorOfCalicosLengthIsRead(t *testing.T) {
	const most = 1024
	for _, text := range []string{
		strings.Repeat("(", most/2-3) + "all()" + strings.Repeat(")", most/2-3),
		strings.Repeat("!(", most/3-2) + "all()" + strings.Repeat(")", most/3-2),
		strings.Repeat("a==''||(", most/9-1) + "all()" + strings.Repeat(")", most/9-1),
	} {
		if _, err := selector.Parse(text); err != nil {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}
