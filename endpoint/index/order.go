package index

import (
	"iter"
	"slices"
	"sort"
)

// order keeps pairs of one label in the order of their values. It is a list of short runs, because a tree
// of pairs could not be asked for a prefix, which is no pair. The values are those of text.
type order struct {
	runs [][]uint32
}

// longest is the length at which a run is split: inserting moves half of one at most.
const longest = 512

// find returns where the first pair with a value of at least text stands, or would.
func (o *order) find(l *labels, text string) (run, at int) {
	run = sort.Search(len(o.runs), func(i int) bool { return l.value(o.runs[i][0]) > text }) - 1
	if run < 0 {
		return 0, 0
	}
	ids := o.runs[run]
	at = sort.Search(len(ids), func(i int) bool { return l.value(ids[i]) >= text })
	return run, at
}

// insert adds a pair, whose value is not there yet.
func (o *order) insert(l *labels, id uint32) {
	if len(o.runs) == 0 {
		o.runs = [][]uint32{{id}}
		return
	}
	run, at := o.find(l, l.value(id))
	ids := slices.Insert(o.runs[run], at, id)
	o.runs[run] = ids
	if len(ids) < longest {
		return
	}
	rest := slices.Clone(ids[longest/2:])
	o.runs[run] = slices.Clip(slices.Clone(ids[:longest/2]))
	o.runs = slices.Insert(o.runs, run+1, rest)
}

// remove removes a pair that is there.
func (o *order) remove(l *labels, id uint32) {
	run, at := o.find(l, l.value(id))
	o.runs[run] = slices.Delete(o.runs[run], at, at+1)
	if len(o.runs[run]) == 0 {
		o.runs = slices.Delete(o.runs, run, run+1)
	}
}

// from yields the pairs whose value is at least text, in order.
func (o *order) from(l *labels, text string) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		run, at := o.find(l, text)
		for ; run < len(o.runs); run, at = run+1, 0 {
			for _, id := range o.runs[run][at:] {
				if !yield(id) {
					return
				}
			}
		}
	}
}
