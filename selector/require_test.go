package selector_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/selector"
)

func TestRequirements(t *testing.T) {
	type all = []selector.Requirement
	tests := []struct {
		name, text string
		want       all
	}{
		{"a test of a value", `a == "x"`, all{{Label: "a", Values: []string{"x"}}}},
		{"a test of several values", `a in {"y", "x"}`, all{{Label: "a", Values: []string{"x", "y"}}}},
		{"presence", `has(a)`, all{{Label: "a"}}},
		{"absence", `!has(a)`, all{{Label: "a", Absent: true}}},
		{"a beginning", `a starts with "x"`, all{{Label: "a", Prefix: "x"}}},
		{"a middle or an end is presence", `a contains "x" && b ends with "y"`, all{{Label: "a"}, {Label: "b"}}},
		{"what is also true of a missing label", `a != "x" && b not in {"y"} && !c contains "z"`, nil},
		{"presence and another value", `a != "x" && has(a)`, all{{Label: "a"}}},
		{"no test", `all() && global()`, nil},
		{"labels in order", `has(b) && has(a)`, all{{Label: "a"}, {Label: "b"}}},
		{"values that are left", `a in {"x", "y", "z"} && a != "y" && a in {"y", "z"}`, all{{Label: "a", Values: []string{"z"}}}},
		{"values that begin so", `a in {"xx", "xy", "y"} && a starts with "x"`, all{{Label: "a", Values: []string{"xx", "xy"}}}},
		{"the longer of two beginnings", `a starts with "x" && a starts with "xy"`, all{{Label: "a", Prefix: "xy"}}},
		{"either of two values", `a == "x" || a == "y"`, all{{Label: "a", Values: []string{"x", "y"}}}},
		{"a value or presence", `a == "x" || has(a)`, all{{Label: "a"}}},
		{"a value or a beginning", `a in {"xyz", "xya"} || a starts with "xyb"`, all{{Label: "a", Prefix: "xy"}}},
		{"a value or absence", `a == "x" || !has(a)`, nil},
		{"either of two labels", `a == "x" || b == "x"`, nil},
		{"what both ways have", `a == "x" && b == "y" || c == "z" && a == "w"`, all{{Label: "a", Values: []string{"w", "x"}}}},
		{"a way that cannot be", `a == "x" || b == "y" && b == "z"`, all{{Label: "a", Values: []string{"x"}}}},
		{"! of either is neither", `!(has(a) || b != "x")`, all{{Label: "a", Absent: true}, {Label: "b", Values: []string{"x"}}}},
		{"! of both is either", `!(a != "x" && !a in {"y"})`, all{{Label: "a", Values: []string{"x", "y"}}}},
		{"a test that every value passes", `!a starts with ""`, all{{Label: "a", Absent: true}}},
		{"a scoped selector", `projectcalico.org/namespace == "ns" && (pcns.a == "x" && (has(b) || has(c)))`,
			all{{Label: "pcns.a", Values: []string{"x"}}, {Label: "projectcalico.org/namespace", Values: []string{"ns"}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, possible := selector.MustParse(test.text).Requirements()
			if !possible {
				t.Error("want it to be possible")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestSelectorsThatMatchNothingOrEverythingByAccident(t *testing.T) {
	tests := []struct {
		name, text          string
		nothing, everything bool
	}{
		{"an ordinary one", `a == "x"`, false, false},
		{"all()", `all()`, false, true},
		{"nothing", ``, false, true},
		{"! of all()", `!all()`, true, false},
		{"an empty set", `a in {}`, true, false},
		{"not in an empty set", `a not in {}`, false, true},
		{"two values at once", `a == "x" && a == "y"`, true, false},
		{"other than one or other than another", `a != "x" || a != "y"`, false, true},
		{"a value and its denial", `a in {"x", "y"} && a not in {"y", "x", "z"}`, true, false},
		{"a value and absence", `a == "x" && !has(a)`, true, false},
		{"presence or absence", `has(a) || !has(a)`, false, true},
		{"a value or any other", `a == "x" || a != "x"`, false, true},
		{"two beginnings at once", `a starts with "x" && a starts with "y"`, true, false},
		{"a value that does not begin so", `a == "x" && a starts with "y"`, true, false},
		{"no way that can be", `(a == "x" && a == "y") || b in {}`, true, false},
		{"a way that can be", `(a == "x" && a == "y") || has(b)`, false, false},
		{"all() among others", `has(a) || all()`, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := selector.MustParse(test.text)
			if got := s.MatchesNothing(); got != test.nothing {
				t.Errorf("does %s match nothing? want %t, got %t", s, test.nothing, got)
			}
			if got := s.MatchesEverything(); got != test.everything {
				t.Errorf("does %s match everything? want %t, got %t", s, test.everything, got)
			}
		})
	}
}
