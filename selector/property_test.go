package selector_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/selector"
)

func parse(t *rapid.T, text string) *selector.Selector {
	t.Helper()
	s, err := selector.Parse(text)
	if err != nil {
		t.Fatalf("parsing %q: %v", text, err)
	}
	return s
}

func refer(t *rapid.T, text string, labels map[string]string) bool {
	t.Helper()
	match, err := reference{labels: labels, all: true, global: true}.match(text)
	if err != nil {
		t.Fatalf("the reference refuses %q: %v", text, err)
	}
	return match
}

func TestMatchAgreesWithTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, labels := texts().Draw(t, "selector"), labelSets().Draw(t, "labels")
		s := parse(t, text)
		want := refer(t, text, labels)
		if got := s.MatchMap(labels); got != want {
			t.Errorf("MatchMap: want %t, got %t", want, got)
		}
		if got := s.Match(selector.Map(labels)); got != want {
			t.Errorf("Match: want %t, got %t", want, got)
		}
		if got := evaluate(s.Expr(), labels); got != want {
			t.Errorf("taken apart as Expr: want %t, got %t", want, got)
		}
		if got := refer(t, s.String(), labels); got != want {
			t.Errorf("the reference finds %t, but %t in the canonical form %s", want, got, s)
		}
	})
}

// evaluate asks an Expr as an index does.
func evaluate(e selector.Expr, labels map[string]string) bool {
	holds := false
	switch e.Kind() {
	case selector.KindTrue:
		holds = true
	case selector.KindAnd:
		holds = true
		for operand := range e.Operands() {
			holds = holds && evaluate(operand, labels)
		}
	case selector.KindOr:
		for operand := range e.Operands() {
			holds = holds || evaluate(operand, labels)
		}
	default:
		value, ok := labels[e.Label()]
		switch e.Kind() {
		case selector.KindHas:
			holds = ok
		case selector.KindEqual:
			holds = ok && value == e.Value()
		case selector.KindIn:
			holds = ok && slices.Contains(e.Values(), value)
		default:
			holds = ok && e.Accepts(value)
		}
	}
	return holds != e.Negated()
}

func TestReadingWhatIsPrintedIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := parse(t, texts().Draw(t, "selector"))
		again := parse(t, s.String())
		if again.String() != s.String() || again.ID() != s.ID() {
			t.Errorf("want %s, %s; got %s, %s", s, s.ID(), again, again.ID())
		}
	})
}

func TestWhatIsRefusedIsRefusedByTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := texts().Draw(t, "selector")
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		noise := rapid.SampledFrom([]string{"", "!", "(", ")", "{", "}", ",", "=", "&", "|", `"`, "'", " ", "\n", "a", "with", "%"}).Draw(t, "noise")
		text = text[:at] + noise + text[at+1:]
		labels := labelSets().Draw(t, "labels")
		want, refused := reference{labels: labels, all: true, global: true}.match(text)
		s, err := selector.Parse(text)
		if (err != nil) != (refused != nil) {
			t.Fatalf("%q: got %v, the reference says %v", text, err, refused)
		}
		if got := s.MatchMap(labels); got != want {
			t.Errorf("%q: want %t, got %t", text, want, got)
		}
	})
}

func TestRewritingIsWhatItMeans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, two := texts().Draw(t, "one"), texts().Draw(t, "two")
		labels := labelSets().Draw(t, "labels")
		a, b := parse(t, one), parse(t, two)
		matchOne, matchTwo := refer(t, one, labels), refer(t, two, labels)

		prefixed := map[string]string{}
		for label, value := range labels {
			prefixed["p."+label] = value
		}
		maps.Copy(prefixed, labelSets().Draw(t, "other labels"))

		check := func(what string, s *selector.Selector, err error, labels map[string]string, want bool) {
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got := s.MatchMap(labels); got != want {
				t.Errorf("%s: %s: want %t, got %t", what, s, want, got)
			}
			if again := parse(t, s.String()); again.String() != s.String() {
				t.Errorf("%s: %s is read as %s", what, s, again)
			}
		}
		s, err := selector.And(a, b)
		check("and", s, err, labels, matchOne && matchTwo)
		s, err = selector.Or(a, b)
		check("or", s, err, labels, matchOne || matchTwo)
		s, err = selector.Not(a)
		check("not", s, err, labels, !matchOne)
		s, err = a.Prefix("p.")
		check("prefix", s, err, prefixed, matchOne)
		if a.String() != parse(t, one).String() {
			t.Errorf("rewriting changed the original: %s", a)
		}
	})
}

func TestAPeerIsTheConjunctionOfWhatItSays(t *testing.T) {
	optional := func(t *rapid.T, name string) (string, *selector.Selector) {
		if !rapid.Bool().Draw(t, "has "+name) {
			return "", nil
		}
		text := selectors().Draw(t, name)
		return text, parse(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		labels := labelSets().Draw(t, "labels")
		namespaceLabels, accountLabels := labelSets().Draw(t, "labels of the namespace"), labelSets().Draw(t, "labels of the account")
		own, peer := maps.Clone(labels), selector.Peer{}
		var text, not, namespaces, accounts string
		text, peer.Selector = optional(t, "selector")
		not, peer.NotSelector = optional(t, "notSelector")
		accounts, peer.ServiceAccounts.Selector = optional(t, "serviceAccounts")
		namespaces, peer.NamespaceSelector = optional(t, "namespaceSelector")
		if rapid.IntRange(0, 4).Draw(t, "global") == 0 {
			namespaces, peer.NamespaceSelector = "global()", parse(t, "global()")
		}
		peer.ServiceAccounts.Names = rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y"}), 0, 2).Draw(t, "names")
		namespace := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "namespace of the policy")

		// What the endpoint has of its namespace and account, and has not if it is not in one.
		ownNamespace, inNamespace := own[selector.NamespaceLabel]
		if !inNamespace {
			namespaceLabels = nil
		}
		for label, value := range namespaceLabels {
			own[selector.NamespacePrefix+label] = value
		}
		for label, value := range accountLabels {
			own[selector.ServiceAccountPrefix+label] = value
		}

		want, says := true, false
		if peer.Selector != nil {
			want, says = want && refer(t, text, labels), true
		}
		if peer.ServiceAccounts.Selector != nil {
			want, says = want && refer(t, accounts, accountLabels), true
		}
		if names := peer.ServiceAccounts.Names; len(names) > 0 {
			want, says = want && slices.Contains(names, labels[selector.ServiceAccountLabel]), true
		}
		switch {
		case peer.NamespaceSelector != nil:
			match, err := reference{labels: namespaceLabels, all: inNamespace, global: !inNamespace}.match(namespaces)
			if err != nil {
				t.Fatal(err)
			}
			want, says = want && match, true
		case namespace != "" && (says || peer.NotSelector != nil):
			want, says = want && inNamespace && ownNamespace == namespace, true
		}
		_ = not // bounds the peer, and is evaluated apart

		s, err := peer.Endpoints(namespace)
		if err != nil {
			t.Fatal(err)
		}
		if (s != nil) != says {
			t.Fatalf("does the peer say something of endpoints? want %t, got %s", says, s)
		}
		if s != nil && s.MatchMap(own) != want {
			t.Errorf("%s: want %t of %v", s, want, own)
		}
	})
}

func TestWhatMatchesMeetsTheRequirements(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, labels := parse(t, texts().Draw(t, "selector")), labelSets().Draw(t, "labels")
		requirements, possible := s.Requirements()
		match := s.MatchMap(labels)
		if match && (!possible || s.MatchesNothing()) {
			t.Errorf("%s matches %v, which is said to be impossible", s, labels)
		}
		if !match && s.MatchesEverything() {
			t.Errorf("%s is said to match everything, and does not match %v", s, labels)
		}
		for _, r := range requirements {
			value, ok := labels[r.Label]
			meets := ok == !r.Absent && (r.Values == nil || slices.Contains(r.Values, value)) && strings.HasPrefix(value, r.Prefix)
			if match && !meets {
				t.Errorf("%s matches %v, against the requirement %+v", s, labels, r)
			}
			if r.Absent && (r.Values != nil || r.Prefix != "") {
				t.Errorf("%s requires values of a label that has to be missing: %+v", s, r)
			}
		}
	})
}

func TestOnlyTestedLabelsMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := parse(t, texts().Draw(t, "selector"))
		before, after := labelSets().Draw(t, "before"), labelSets().Draw(t, "after")
		tested := s.Expr().Labels()
		for _, labels := range []map[string]string{before, after} {
			maps.DeleteFunc(labels, func(label, _ string) bool { return slices.Contains(tested, label) })
		}
		if s.MatchMap(before) != s.MatchMap(after) {
			t.Errorf("%s tells %v from %v, but tests only %v", s, before, after, tested)
		}
	})
}
