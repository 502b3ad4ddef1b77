package index

import (
	"slices"
	"strings"

	"github.com/hawser-io/hawser/selector"
)

// filing finds queries by what they say of labels.
type filing struct {
	byLabel map[string]*drawer
}

// drawer holds the queries that say something of one label.
type drawer struct {
	equal    map[string][]*Query // by the value that they name
	prefixes map[string][]*Query // by the prefix that they name
	lengths  []int               // of the prefixes, each once
	there    []*Query            // that only say that it is there
	others   []other             // that have to be asked
}

type other struct {
	query *Query
	test  selector.Expr
}

func (f *filing) drawer(label string) *drawer {
	d := f.byLabel[label]
	if d == nil {
		d = &drawer{equal: map[string][]*Query{}, prefixes: map[string][]*Query{}}
		f.byLabel[label] = d
	}
	return d
}

// fileTest files a query under one of its tests, whether or not that is negated.
func (f *filing) fileTest(q *Query, test selector.Expr) {
	d := f.drawer(test.Label())
	switch test.Kind() {
	case selector.KindHas:
		d.there = append(d.there, q)
	case selector.KindEqual:
		d.fileEqual(q, test.Value())
	case selector.KindIn:
		for _, value := range test.Values() {
			d.fileEqual(q, value)
		}
	case selector.KindStartsWith:
		d.filePrefix(q, test.Value())
	default:
		d.others = append(d.others, other{q, test})
	}
}

// fileRequirement files a query under what is true of one label wherever it matches.
func (f *filing) fileRequirement(q *Query, r selector.Requirement) {
	d := f.drawer(r.Label)
	switch {
	case r.Values != nil:
		for _, value := range r.Values {
			d.fileEqual(q, value)
		}
	case r.Prefix != "":
		d.filePrefix(q, r.Prefix)
	default:
		d.there = append(d.there, q)
	}
}

func (d *drawer) fileEqual(q *Query, value string) { d.equal[value] = append(d.equal[value], q) }

func (d *drawer) filePrefix(q *Query, prefix string) {
	d.prefixes[prefix] = append(d.prefixes[prefix], q)
	if !slices.Contains(d.lengths, len(prefix)) {
		d.lengths = append(d.lengths, len(prefix))
	}
}

// remove takes a query out of the drawers of some labels.
func (f *filing) remove(q *Query, labels []string) {
	for _, label := range labels {
		d := f.byLabel[label]
		if d == nil {
			continue
		}
		d.remove(q)
		if len(d.equal)+len(d.prefixes)+len(d.there)+len(d.others) == 0 {
			delete(f.byLabel, label)
		}
	}
}

func (d *drawer) remove(q *Query) {
	is := func(other *Query) bool { return other == q }
	for _, byText := range []map[string][]*Query{d.equal, d.prefixes} {
		for text, queries := range byText {
			if queries = slices.DeleteFunc(queries, is); len(queries) == 0 {
				delete(byText, text)
			} else {
				byText[text] = queries
			}
		}
	}
	d.lengths = d.lengths[:0]
	for prefix := range d.prefixes {
		if !slices.Contains(d.lengths, len(prefix)) {
			d.lengths = append(d.lengths, len(prefix))
		}
	}
	d.there = slices.DeleteFunc(d.there, is)
	d.others = slices.DeleteFunc(d.others, func(o other) bool { return o.query == q })
}

// matching appends the queries with something to say of a label that has a value.
func (f *filing) matching(to []*Query, label, value string) []*Query {
	d := f.byLabel[label]
	if d == nil {
		return to
	}
	to = d.naming(to, value)
	to = append(to, d.there...)
	for _, o := range d.others {
		if o.test.Accepts(value) {
			to = append(to, o.query)
		}
	}
	return to
}

// naming appends the queries that name a value, or a prefix of it.
func (d *drawer) naming(to []*Query, value string) []*Query {
	to = append(to, d.equal[value]...)
	for _, n := range d.lengths {
		if n <= len(value) {
			to = append(to, d.prefixes[value[:n]]...)
		}
	}
	return to
}

// flipping appends the queries with a test of a label whose answer may change as the label's value does.
func (f *filing) flipping(to []*Query, label, before, after string) []*Query {
	d := f.byLabel[label]
	if d == nil {
		return to
	}
	to = d.naming(to, before)
	to = d.naming(to, after)
	for _, o := range d.others {
		if o.test.Accepts(before) != o.test.Accepts(after) {
			to = append(to, o.query)
		}
	}
	return to
}

// narrowest is the requirement that the fewest endpoints are likely to meet, if there is one that says what
// a label has to be.
func narrowest(requirements []selector.Requirement) (best selector.Requirement, ok bool) {
	cost := func(r selector.Requirement) int {
		switch {
		case r.Values != nil:
			return len(r.Values)
		case r.Prefix != "":
			return 1 << 16 >> min(len(r.Prefix), 8) // a longer one says more
		}
		return 1 << 20
	}
	for _, r := range requirements {
		if r.Absent {
			continue
		}
		// What says where an endpoint is rather than what it is finds many.
		if !ok || cost(r) < cost(best) || cost(r) == cost(best) && originOf(best.Label) != own && originOf(r.Label) == own {
			best, ok = r, true
		}
	}
	best.Label = strings.Clone(best.Label)
	return best, ok
}
