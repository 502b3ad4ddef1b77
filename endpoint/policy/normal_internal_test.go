package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/selector"
)

// drawText draws a selector of two labels with few values, so that its tests concern each other.
func drawText(t *rapid.T, depth int) string {
	label := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "label")
	switch kind := rapid.IntRange(0, 4+3*depth).Draw(t, "kind"); {
	case kind == 0:
		return "has(" + label + ")"
	case kind == 1:
		return "!has(" + label + ")"
	case kind <= 4:
		set := rapid.SliceOfN(rapid.SampledFrom([]string{`"x"`, `"y"`, `"z"`, `"no value!"`}), 0, 3).Draw(t, "set")
		return label + rapid.SampledFrom([]string{" in {", " not in {"}).Draw(t, "operator") + strings.Join(set, ",") + "}"
	default:
		join := rapid.SampledFrom([]string{" && ", " || "}).Draw(t, "join")
		return rapid.SampledFrom([]string{"(", "!("}).Draw(t, "not") + drawText(t, depth-1) + join + drawText(t, depth-1) + ")"
	}
}

func TestTheNormalFormOfASelectorMeansTheSame(t *testing.T) {
	plan := &Plan{Namespace: "shop", Local: Local{Name: "home"}}
	shapes := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		for range 50 {
			s := selector.MustParse(drawText(t, 3))
			d, err := (former{plan.ownPods, new(maxEffort)}).normal(s.Expr(), false)
			if err != nil {
				t.Fatal(err)
			}
			var terms []labels.Selector
			for _, t2 := range d {
				by := t2.labels(false)
				as, err := metav1.LabelSelectorAsSelector(&by)
				if err != nil {
					t.Fatal(err)
				}
				terms = append(terms, as)
			}
			shapes[fmt.Sprint(len(d))]++
			for _, a := range []string{"", "x", "y", "z", "w"} {
				for _, b := range []string{"", "x", "y", "z", "w"} {
					of := labels.Set{}
					if a != "" {
						of["a"] = a
					}
					if b != "" {
						of["b"] = b
					}
					got := slices.ContainsFunc(terms, func(s labels.Selector) bool { return s.Matches(of) })
					if want := s.MatchMap(of); got != want {
						t.Fatalf("%s of %v: want %t, got %t by %v", s, of, want, got, terms)
					}
				}
			}
			for i, one := range d {
				for j, other := range d {
					if i != j && one.implies(other) {
						t.Fatalf("%s: the term %v is part of %v, and left in", s, terms[i], terms[j])
					}
				}
			}
		}
	})
	for _, n := range []string{"0", "1", "2", "3"} {
		if shapes[n] == 0 {
			t.Errorf("no selector had %s terms", n)
		}
	}
}

func TestSelectorsThatWouldTakeTooManyTermsAreRefused(t *testing.T) {
	plan := &Plan{Namespace: "shop"}
	var each []string
	for i := range 14 {
		each = append(each, fmt.Sprintf(`(a%d == "x" || b%d == "x")`, i, i))
	}
	if _, err := (former{plan.ownPods, new(maxEffort)}).normal(selector.MustParse(strings.Join(each, " && ")).Expr(), false); !errors.Is(err, errTooMany) {
		t.Errorf("got %v", err)
	}
	if d, err := (former{plan.ownPods, new(maxEffort)}).normal(selector.MustParse(strings.Join(each[:6], " && ")).Expr(), false); err != nil || len(d) != maxTerms {
		t.Errorf("%d terms (%v)", len(d), err)
	}
}

func TestAPolicyThatWouldTakeTooMuchWorkIsRefused(t *testing.T) {
	var groups []string
	for i := range 14 {
		groups = append(groups, fmt.Sprintf(`(a in {"1","%d"} || b in {"1","%d"} || has(c) || !has(d) || e != "1" || f == "2" || g != "%d" || h == "3")`, i, i, i))
	}
	text := strings.Join(groups, " && ")
	p := &v1alpha1.FederatedNetworkPolicy{}
	p.Namespace, p.Name = "shop", "rules"
	for range 64 {
		p.Spec.Ingress = append(p.Spec.Ingress, v1alpha1.FederatedRule{Action: "Allow", Destination: &v1alpha1.FederatedPeer{Selector: &text}})
	}
	plan, err := Compile(p, Local{})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err = plan.NetworkPolicies(); !errors.Is(err, errTooMuch) {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}
