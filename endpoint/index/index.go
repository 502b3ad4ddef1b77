package index

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/hawser-io/hawser/selector"
)

// Index holds the endpoints of all clusters, and the live selectors. Its methods may be called from several
// goroutines.
type Index struct {
	mu       sync.RWMutex // held for reading by whoever changes a cluster
	clusters map[string]*Cluster
	queries  []*Query // by their number; nil where that is free
	free     []int
	tests    filing   // by every test that they make
	anchors  filing   // by what is true of one label wherever they match
	anywhere []*Query // that match without it
}

// New makes an index of nothing.
func New() *Index {
	return &Index{
		clusters: map[string]*Cluster{},
		tests:    filing{map[string]*drawer{}}, anchors: filing{map[string]*drawer{}},
	}
}

// Query is a live selector.
type Query struct {
	index    *Index
	selector *selector.Selector
	changed  func(cluster string)
	number   int
	anchor   string // label that it is filed under, if it is
}

// Selector returns what the query asks.
func (q *Query) Selector() *selector.Selector { return q.selector }

// Cluster adds a cluster, of no endpoints yet. id may be empty. It fails if the cluster is there already.
func (x *Index) Cluster(name, id string) (*Cluster, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.clusters[name] != nil {
		return nil, fmt.Errorf("adding cluster %q to the index: it is there already", name)
	}
	c := newCluster(x, name, id)
	x.clusters[name] = c
	c.members = make([]set, len(x.queries))
	return c, nil
}

// Remove removes a cluster, and all of its endpoints from the answers.
func (x *Index) Remove(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.clusters[name]
	if c == nil {
		return
	}
	delete(x.clusters, name)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.members {
		if c.members[i].len() > 0 {
			x.queries[i].tell(name)
		}
	}
	c.gone = true
}

// Add makes a selector live. changed is told, from then on, of each cluster whose answer changes: other
// endpoints, or other addresses or ports of the same. It is called while the index is locked: it takes a
// note, and asks nothing. It may be nil.
func (x *Index) Add(s *selector.Selector, changed func(cluster string)) *Query {
	q := &Query{index: x, selector: s, changed: changed}
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.free); n > 0 {
		q.number, x.free = x.free[n-1], x.free[:n-1]
		x.queries[q.number] = q
	} else {
		q.number = len(x.queries)
		x.queries = append(x.queries, q)
	}
	x.file(q)
	for _, c := range x.clusters {
		c.mu.Lock()
		c.answer(q)
		c.mu.Unlock()
	}
	return q
}

func (x *Index) file(q *Query) {
	for test := range q.selector.Expr().Tests() {
		x.tests.fileTest(q, test)
	}
	requirements, possible := q.selector.Requirements()
	if !possible {
		return
	}
	if r, ok := narrowest(requirements); ok {
		q.anchor = r.Label
		x.anchors.fileRequirement(q, r)
		return
	}
	x.anywhere = append(x.anywhere, q)
}

// Close ends the query. Its answers are empty from then on.
func (q *Query) Close() {
	x := q.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.queries[q.number] != q {
		return
	}
	x.queries[q.number] = nil
	x.free = append(x.free, q.number)
	x.tests.remove(q, q.selector.Expr().Labels())
	if q.anchor != "" {
		x.anchors.remove(q, []string{q.anchor})
	}
	x.anywhere = slices.DeleteFunc(x.anywhere, func(o *Query) bool { return o == q })
	for _, c := range x.clusters {
		c.mu.Lock()
		c.members[q.number] = set{}
		c.mu.Unlock()
	}
}

// Clusters returns the names of the clusters, sorted.
func (x *Index) Clusters() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.clusters))
}

// Len returns how many endpoints of a cluster match.
func (q *Query) Len(cluster string) int {
	n := 0
	q.read(cluster, func(_ *Cluster, members *set) { n = members.len() })
	return n
}

// Members yields what matches in a cluster, in no particular order. The index is locked meanwhile: do not
// call it.
func (q *Query) Members(cluster string) iter.Seq[Endpoint] {
	return func(yield func(Endpoint) bool) {
		q.read(cluster, func(c *Cluster, members *set) {
			members.all(func(slot uint32) bool { return yield(c.endpoint(slot)) })
		})
	}
}

// Addresses yields the addresses of what matches in a cluster, in no particular order, some of them perhaps twice. The
// index is locked meanwhile: do not call it.
func (q *Query) Addresses(cluster string) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		q.read(cluster, func(c *Cluster, members *set) {
			members.all(func(slot uint32) bool { return c.record(slot).addresses(yield) })
		})
	}
}

func (q *Query) read(cluster string, do func(*Cluster, *set)) {
	x := q.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	c := x.clusters[cluster]
	if c == nil || x.queries[q.number] != q {
		return
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	do(c, &c.members[q.number])
}

// Eval yields what a selector matches in a cluster now, in no particular order. The index is locked
// meanwhile: do not call it.
func (x *Index) Eval(s *selector.Selector, cluster string) iter.Seq[Endpoint] {
	return func(yield func(Endpoint) bool) {
		x.mu.RLock()
		defer x.mu.RUnlock()
		c := x.clusters[cluster]
		if c == nil {
			return
		}
		c.mu.RLock()
		defer c.mu.RUnlock()
		found := c.eval(s)
		found.all(func(slot uint32) bool { return yield(c.endpoint(slot)) })
	}
}

func (q *Query) tell(cluster string) {
	if q.changed != nil {
		q.changed(cluster)
	}
}
