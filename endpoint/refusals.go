package endpoint

import (
	"cmp"
	"slices"
	"sync"

	"github.com/hawser-io/hawser/endpoint/index"
)

// refusals are the addresses that were refused.
type refusals struct {
	mu     sync.Mutex
	all    map[index.ID][]refusal
	counts map[string]int                       // by reason
	first  map[string]Refused                   // by reason, where it is known: of the first endpoint
	listed map[index.List]map[index.ID]struct{} // since begin
}

// set keeps what is refused of an endpoint, and reports whether that was not known.
func (r *refusals) set(id index.ID, refused []refusal) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if listed := r.listed[id.List()]; listed != nil && len(refused) > 0 {
		listed[id] = struct{}{}
	}
	return r.replace(id, refused)
}

func (r *refusals) replace(id index.ID, refused []refusal) (changed bool) {
	before := r.all[id]
	if slices.Equal(before, refused) {
		return false
	}
	if r.all == nil {
		r.all, r.counts, r.first = map[index.ID][]refusal{}, map[string]int{}, map[string]Refused{}
	}
	for _, one := range before {
		r.counts[one.reason] -= one.count
		if r.first[one.reason].Of == id {
			delete(r.first, one.reason)
		}
	}
	for _, one := range refused {
		r.counts[one.reason] += one.count
		if f, known := r.first[one.reason]; known && less(id, f.Of) {
			r.first[one.reason] = Refused{Of: id, Address: one.address}
		}
	}
	if len(refused) == 0 {
		delete(r.all, id)
	} else {
		r.all[id] = refused
	}
	return true
}

// begin begins a list.
func (r *refusals) begin(of index.List) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listed == nil {
		r.listed = map[index.List]map[index.ID]struct{}{}
	}
	r.listed[of] = map[index.ID]struct{}{}
}

// end ends it: what was not set since begin is forgotten. It reports whether there was any.
func (r *refusals) end(of index.List) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	listed := r.listed[of]
	delete(r.listed, of)
	for id := range r.all {
		if _, there := listed[id]; id.List() == of && !there {
			changed = r.replace(id, nil) || changed
		}
	}
	return changed
}

// byReason tells one of each: the first, so that it is the same each time.
func (r *refusals) byReason() map[string]Refused {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.findFirst()
	found := map[string]Refused{}
	for reason, n := range r.counts {
		if n > 0 {
			f := r.first[reason]
			f.Count = n
			found[reason] = f
		}
	}
	return found
}

// findFirst looks through all where the first one of a reason has gone.
func (r *refusals) findFirst() {
	missing := map[string]bool{}
	for reason, n := range r.counts {
		if _, known := r.first[reason]; n > 0 && !known {
			missing[reason] = true
		}
	}
	if len(missing) == 0 {
		return
	}
	for id, all := range r.all {
		for _, one := range all {
			if f, known := r.first[one.reason]; missing[one.reason] && (!known || less(id, f.Of)) {
				r.first[one.reason] = Refused{Of: id, Address: one.address}
			}
		}
	}
}

func less(a, b index.ID) bool {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind)) < 0
}
