package policy

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// condition is what has to be true of one label.
type condition struct {
	key     key
	missing bool     // it may be missing
	there   bool     // it may be there, and then
	only    bool     // with one of the values, if true; with none of them, if not
	values  []string // in order, each once
}

// never says that nothing meets it.
func (c *condition) never() bool { return !c.missing && !c.there }

// always says that everything does.
func (c *condition) always() bool {
	return (c.missing || c.key == namespaceName) && c.there && !c.only && len(c.values) == 0
}

// negated is what does not meet a condition that asks for the label to be there.
func (c condition) negated() condition {
	return condition{key: c.key, missing: true, there: c.only, values: c.values}
}

// settle drops what cannot be of a label that is always there, and of one that no value is left for.
func (c condition) settle() condition {
	if c.key == namespaceName {
		c.missing = false
	}
	if c.only && len(c.values) == 0 {
		c.there = false
	}
	if !c.there {
		c.only, c.values = false, nil
	}
	return c
}

// and is what meets both, which are of one label.
func (c condition) and(d condition) condition {
	e := condition{key: c.key, missing: c.missing && d.missing, there: c.there && d.there, only: c.only || d.only}
	switch {
	case c.only && d.only:
		e.values = intersection(c.values, d.values)
	case c.only:
		e.values = difference(c.values, d.values)
	case d.only:
		e.values = difference(d.values, c.values)
	default:
		e.values = union(c.values, d.values)
	}
	return e.settle()
}

// implies says that whatever meets c meets d, which is of the same label.
func (c *condition) implies(d *condition) bool {
	if c.missing && !d.missing {
		return false
	}
	switch {
	case !c.there:
		return true
	case !d.there, !c.only && d.only:
		return false
	case c.only && d.only:
		return len(difference(c.values, d.values)) == 0
	case c.only:
		return len(intersection(c.values, d.values)) == 0
	}
	return len(difference(d.values, c.values)) == 0
}

func (c *condition) equal(d *condition) bool {
	return c.key == d.key && c.missing == d.missing && c.there == d.there && c.only == d.only && slices.Equal(c.values, d.values)
}

// requirements are the condition as LabelSelectors write it. A label that may be missing or have one of some values
// cannot be written so, and does not come of an intersection.
func (c *condition) requirements() (all []metav1.LabelSelectorRequirement) {
	require := func(operator metav1.LabelSelectorOperator, values []string) {
		all = append(all, metav1.LabelSelectorRequirement{Key: c.key.label, Operator: operator, Values: slices.Clone(values)})
	}
	switch {
	case !c.there:
		require(metav1.LabelSelectorOpDoesNotExist, nil)
	case c.only:
		require(metav1.LabelSelectorOpIn, c.values)
	default:
		if !c.missing && c.key != namespaceName {
			require(metav1.LabelSelectorOpExists, nil)
		}
		if len(c.values) > 0 {
			require(metav1.LabelSelectorOpNotIn, c.values)
		}
	}
	return all
}

func compareKeys(a, b condition) int {
	if a.key.ofNamespace != b.key.ofNamespace {
		if b.key.ofNamespace {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.key.label, b.key.label)
}

func intersection(a, b []string) []string {
	return filter(a, func(v string) bool { return slices.Contains(b, v) })
}

func difference(a, b []string) []string {
	return filter(a, func(v string) bool { return !slices.Contains(b, v) })
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func filter(values []string, keep func(string) bool) (kept []string) {
	for _, value := range values {
		if keep(value) {
			kept = append(kept, value)
		}
	}
	return kept
}
