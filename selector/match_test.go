package selector_test

import (
	"testing"

	"github.com/hawser-io/hawser/selector"
)

func TestMatch(t *testing.T) {
	type labels = map[string]string
	tests := []struct {
		name, text string
		matches    []labels
		others     []labels
	}{
		{"== wants the label and the value", `a == "b"`,
			[]labels{{"a": "b"}, {"a": "b", "c": "d"}}, []labels{nil, {}, {"a": "c"}, {"c": "b"}, {"a": ""}, {"a": "B"}}},
		{"!= is also true of a missing label", `a != "b"`,
			[]labels{nil, {"a": "c"}, {"a": ""}, {"c": "b"}}, []labels{{"a": "b"}}},
		{"== of nothing wants a label with nothing", `a == ""`,
			[]labels{{"a": ""}}, []labels{nil, {"a": "b"}}},
		{"in", `a in {"x", "y"}`,
			[]labels{{"a": "x"}, {"a": "y"}}, []labels{nil, {"a": "z"}, {"a": ""}}},
		{"in many", `a in {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}`,
			[]labels{{"a": "0"}, {"a": "5"}, {"a": "9"}}, []labels{nil, {"a": "z"}, {"a": ""}, {"a": "55"}}},
		{"not in is also true of a missing label", `a not in {"x", "y"}`,
			[]labels{nil, {"a": "z"}, {"a": ""}}, []labels{{"a": "x"}, {"a": "y"}}},
		{"nothing is in an empty set", `a in {}`, nil, []labels{nil, {"a": "x"}, {"a": ""}}},
		{"everything is not in an empty set", `a not in {}`, []labels{nil, {"a": "x"}, {"a": ""}}, nil},
		{"has", `has(a)`, []labels{{"a": "x"}, {"a": ""}}, []labels{nil, {"b": "a"}}},
		{"contains", `a contains "b"`, []labels{{"a": "b"}, {"a": "abc"}}, []labels{nil, {"a": "B"}, {"b": "b"}}},
		{"contains nothing is has", `a contains ""`, []labels{{"a": "x"}, {"a": ""}}, []labels{nil}},
		{"starts with", `a starts with "ab"`, []labels{{"a": "ab"}, {"a": "abc"}}, []labels{nil, {"a": "a"}, {"a": "xab"}}},
		{"ends with", `a ends with "bc"`, []labels{{"a": "bc"}, {"a": "abc"}}, []labels{nil, {"a": "c"}, {"a": "bcx"}}},
		{"! of a test is also true of a missing label", `!a starts with "ab"`, []labels{nil, {"a": "a"}}, []labels{{"a": "ab"}}},
		{"! of != wants the label", `!a != "b"`, []labels{{"a": "b"}}, []labels{nil, {"a": "c"}}},
		{"! binds closer than &&", `!a == "x" && b == "y"`,
			[]labels{{"b": "y"}, {"a": "y", "b": "y"}}, []labels{nil, {"a": "x", "b": "y"}, {"a": "x"}}},
		{"&& binds closer than ||", `has(a) || has(b) && has(c)`,
			[]labels{{"a": ""}, {"b": "", "c": ""}}, []labels{nil, {"b": ""}, {"c": ""}}},
		{"all()", `all()`, []labels{nil, {"a": "b"}}, nil},
		{"global() is true of anything", `global()`, []labels{nil, {selector.NamespaceLabel: "x"}}, nil},
		{"an empty selector", ``, []labels{nil, {"a": "b"}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := selector.MustParse(test.text)
			for _, labels := range test.matches {
				if !s.MatchMap(labels) || !s.Match(selector.Map(labels)) {
					t.Errorf("%s does not match %v", s, labels)
				}
			}
			for _, labels := range test.others {
				if s.MatchMap(labels) || s.Match(selector.Map(labels)) {
					t.Errorf("%s matches %v", s, labels)
				}
			}
		})
	}
}

// pair is the least that labels can be.
type pair struct{ name, value string }

func (p *pair) Get(name string) (string, bool) { return p.value, p.name == name }

func TestMatchAllocatesNothing(t *testing.T) {
	s := selector.MustParse(`(a == "b" || !has(c)) && d not in {"e", "f"} && !g starts with "h" && a in {"0", "1", "2", "3", "4", "5", "6", "7", "8", "b"}`)
	labels, one := map[string]string{"a": "b", "g": "x"}, &pair{"a", "b"}
	if allocations := testing.AllocsPerRun(100, func() {
		if !s.MatchMap(labels) || !s.Match(one) || !s.Match(selector.Map(labels)) {
			t.Error("no match")
		}
	}); allocations != 0 {
		t.Errorf("want no allocations, got %v", allocations)
	}
}

func TestASelectorThatIsNoneMatchesNothing(t *testing.T) {
	for name, s := range map[string]*selector.Selector{"nil": nil, "the zero value": {}} {
		t.Run(name, func(t *testing.T) {
			labels := map[string]string{"none": "", "a": "b"}
			if s.MatchMap(labels) || s.MatchMap(nil) || s.Match(selector.Map(labels)) {
				t.Error("it matches")
			}
			if again := selector.MustParse(s.String()); again.MatchMap(labels) || again.MatchMap(nil) {
				t.Errorf("its canonical form %s matches", again)
			}
			if _, possible := s.Requirements(); possible || !s.MatchesNothing() || s.MatchesEverything() {
				t.Error("it is said to match something")
			}
			if s.ID() == selector.All().ID() {
				t.Error("it has the ID of all()")
			}
		})
	}
}
