package selector_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/selector"
)

// describe writes an Expr as it presents itself.
func describe(e selector.Expr) string {
	names := map[selector.Kind]string{
		selector.KindTrue: "true", selector.KindHas: "has", selector.KindEqual: "equal", selector.KindIn: "in",
		selector.KindContains: "contains", selector.KindStartsWith: "starts", selector.KindEndsWith: "ends",
		selector.KindAnd: "and", selector.KindOr: "or",
	}
	words := []string{names[e.Kind()]}
	if e.Label() != "" {
		words = append(words, e.Label())
	}
	if e.Value() != "" {
		words = append(words, e.Value())
	}
	if e.Values() != nil {
		words = append(words, fmt.Sprint(e.Values()))
	}
	for operand := range e.Operands() {
		words = append(words, describe(operand))
	}
	s := "(" + strings.Join(words, " ") + ")"
	if e.Negated() {
		s = "not" + s
	}
	return s
}

func TestExprHasEachTestInOneForm(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"tests of a label", `has(a) && b == "x" && c in {"y", "x"} && d contains "x" && e starts with "x" && f ends with "x"`,
			`(and (has a) (equal b x) (in c [x y]) (contains d x) (starts e x) (ends f x))`},
		{"denials", `a != "x" || b not in {"x"} || !a != "x" || !(b not in {"x"}) || !has(c)`,
			`(or not(equal a x) not(in b [x]) (equal a x) (in b [x]) not(has c))`},
		{"all() and global()", `!all() || global()`, `(or not(true) (true))`},
		{"within each other", `!(has(a) && (has(b) || has(c))) && has(d)`, `(and not(and (has a) (or (has b) (has c))) (has d))`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, describe(selector.MustParse(test.text).Expr())); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestExprTellsItsTestsAndLabels(t *testing.T) {
	e := selector.MustParse(`has(b) && !(a != "x" || all() || b in {"y"})`).Expr()
	var tests []string
	for test := range e.Tests() {
		tests = append(tests, describe(test))
		if len(tests) == 3 {
			break
		}
	}
	if diff := cmp.Diff([]string{"(has b)", "not(equal a x)", "(in b [y])"}, tests); diff != "" {
		t.Errorf("tests (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, e.Labels()); diff != "" {
		t.Errorf("labels (-want +got)\n%s", diff)
	}
	for operand := range e.Operands() {
		if got := describe(operand); got != "(has b)" {
			t.Errorf("the first operand: want (has b), got %s", got)
		}
		break
	}
}
