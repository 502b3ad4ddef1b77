package policy

import (
	"fmt"
	"slices"
	"strings"
)

// term is conditions that all have to hold, in the order of their keys, one for each. None is true.
type term []condition

// disjunction is terms of which one has to hold. None is false.
type disjunction []term

func truth(holds bool) disjunction {
	if holds {
		return disjunction{nil}
	}
	return nil
}

func (d disjunction) isTrue() bool { return len(d) == 1 && len(d[0]) == 0 }

// and is what meets both terms. It is not ok if nothing does.
func (t term) and(u term) (both term, ok bool) {
	both = slices.Concat(t, u)
	slices.SortStableFunc(both, compareKeys)
	kept := both[:0]
	for _, c := range both {
		if n := len(kept); n > 0 && kept[n-1].key == c.key {
			c = kept[n-1].and(c)
			kept = kept[:n-1]
		}
		if c.never() {
			return nil, false
		}
		kept = append(kept, c)
	}
	return kept, true
}

// implies says that whatever meets t meets u.
func (t term) implies(u term) bool {
	for i := range u {
		at := slices.IndexFunc(t, func(c condition) bool { return c.key == u[i].key })
		if at < 0 || !t[at].implies(&u[i]) {
			return false
		}
	}
	return true
}

// joined is the one term that two are together, where they tell apart only the values that one label has.
func (t term) joined(u term) (together term, ok bool) {
	if len(t) != len(u) {
		return nil, false
	}
	differs := -1
	for i := range t {
		switch {
		case t[i].equal(&u[i]):
		case differs >= 0 || t[i].key != u[i].key || !t[i].only || !u[i].only:
			return nil, false
		default:
			differs = i
		}
	}
	if differs < 0 {
		return t, true
	}
	together = slices.Clone(t)
	together[differs].values = union(t[differs].values, u[differs].values)
	return together, true
}

// String is the same for the same term, and in the order of terms.
func (t term) String() string {
	var b strings.Builder
	for i := range t {
		c := &t[i]
		fmt.Fprintf(&b, "%t/%s %t %t %t %q\n", c.key.ofNamespace, c.key.label, c.missing, c.there, c.only, c.values)
	}
	return b.String()
}
