package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/selector"
)

const (
	// maxTerms is how many disjuncts a selector may have: each is a NetworkPolicy, or a peer of one.
	maxTerms = 64
	// maxSteps is how many it may have on the way there.
	maxSteps = 1024
	// maxEffort is how often terms are compared for one policy. What people write takes hundreds; who wants to keep
	// others waiting can write what would take hundreds of millions.
	maxEffort = 200_000
)

// former brings selectors into disjunctive normal form.
type former struct {
	says vocabulary
	left *int // of the policy's maxEffort
}

// normal brings a selector, or its negation, into disjunctive normal form.
func (f former) normal(e selector.Expr, negate bool) (disjunction, error) {
	negate = negate != e.Negated()
	switch e.Kind() {
	case selector.KindTrue:
		return truth(!negate), nil
	case selector.KindAnd, selector.KindOr:
		var all []disjunction
		var failed error
		conjunction := (e.Kind() == selector.KindAnd) != negate
		for operand := range e.Operands() {
			d, err := f.normal(operand, negate)
			switch {
			case err != nil:
				if failed == nil {
					failed = err
				}
			case conjunction && len(d) == 0, !conjunction && d.isTrue():
				return d, nil // whatever the others are, also what cannot be expressed
			default:
				all = append(all, d)
			}
		}
		switch {
		case failed != nil:
			return nil, failed
		case conjunction:
			return f.conjoin(all)
		}
		return f.reduced(slices.Concat(all...))
	}
	return f.normalTest(e, negate)
}

// normalTest is normal of a single test of a label.
func (f former) normalTest(e selector.Expr, negate bool) (disjunction, error) {
	m := f.says(e.Label())
	switch {
	case m.fixed:
		return truth(e.Accepts(m.constant) != negate), nil
	case m.cannot != "":
		return nil, fmt.Errorf("%s cannot be expressed: %s", describe(e), m.cannot)
	}
	if !m.key.can() {
		return truth(negate), nil // as it is always missing
	}
	c := condition{key: m.key, there: true}
	switch e.Kind() {
	case selector.KindHas:
	case selector.KindEqual:
		c.only, c.values = true, filter([]string{e.Value()}, canBe)
	case selector.KindIn:
		c.only, c.values = true, filter(e.Values(), canBe)
	default:
		if e.Value() != "" { // which every value has in it
			return nil, fmt.Errorf("%s cannot be expressed: a NetworkPolicy compares whole values", describe(e))
		}
	}
	if negate {
		c = c.negated()
	}
	switch c = c.settle(); {
	case c.never():
		return nil, nil
	case c.always():
		return truth(true), nil
	}
	return disjunction{{c}}, nil
}

// conjoin is what is in all of them.
func (f former) conjoin(all []disjunction) (disjunction, error) {
	product := truth(true)
	for _, d := range all {
		var next disjunction
		for _, t := range product {
			for _, u := range d {
				if both, ok := t.and(u); ok {
					next = append(next, both)
				}
			}
		}
		var err error
		if product, err = f.reduced(next); err != nil {
			return nil, err
		}
	}
	return product, nil
}

// reduced leaves out terms that others hold, and puts those together that can be: it means the same.
func (f former) reduced(d disjunction) (disjunction, error) {
	if len(d) > maxSteps {
		return nil, errTooMany
	}
	var kept disjunction
next:
	for _, t := range d {
		for again := true; again; {
			again = false
			for i, u := range kept {
				if *f.left--; *f.left < 0 {
					return nil, errTooMuch
				}
				if t.implies(u) {
					continue next
				}
				if u.implies(t) {
					kept, again = slices.Delete(kept, i, i+1), true
					break
				}
				if together, ok := u.joined(t); ok {
					t, kept, again = together, slices.Delete(kept, i, i+1), true
					break
				}
			}
		}
		kept = append(kept, t)
	}
	if len(kept) > maxTerms {
		return nil, errTooMany
	}
	slices.SortFunc(kept, func(a, b term) int { return strings.Compare(a.String(), b.String()) })
	return kept, nil
}

var errTooMany = fmt.Errorf("it cannot be expressed by %d or fewer selectors of labels that are joined by or: write it with fewer || of different labels", maxTerms)

var errTooMuch = errors.New("with it, the selectors of the policy take too much work to bring into a form that can be expressed: write them with fewer || within &&")

// describe writes a test as it may stand in the selector.
func describe(e selector.Expr) string {
	switch e.Kind() {
	case selector.KindHas:
		return fmt.Sprintf("has(%s)", e.Label())
	case selector.KindEqual:
		return fmt.Sprintf("the comparison of %s with %q", e.Label(), e.Value())
	case selector.KindIn:
		return fmt.Sprintf("the comparison of %s with %q", e.Label(), e.Values())
	case selector.KindContains:
		return fmt.Sprintf("%s contains %q", e.Label(), e.Value())
	case selector.KindStartsWith:
		return fmt.Sprintf("%s starts with %q", e.Label(), e.Value())
	default:
		return fmt.Sprintf("%s ends with %q", e.Label(), e.Value())
	}
}
