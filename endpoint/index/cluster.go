package index

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
)

// Cluster is the part of an index that holds the endpoints of one cluster. Its methods may be called from
// several goroutines; those that change it wait for each other.
type Cluster struct {
	index *Index
	name  string

	mu      sync.RWMutex // after the index's
	gone    bool
	pages   []*[pageSize]record // by slot
	used    uint32              // slots that were ever used
	free    []uint32
	count   int
	labels  labels
	scopes  []*scope
	spare   []uint32          // numbers of scopes
	spaces  map[string]uint32 // scopes of namespaces; "" is that of what has none
	listing [listed]listing   // by what is listed anew
	members []set             // by the number of the query
	asked   carrier           // of whoever changes the cluster
	pairs   []uint32          // scratch of Set
	before  []uint32          // scratch of Set and Delete
	sorted  []Label           // scratch
	touched []*Query          // scratch
}

func newCluster(x *Index, name, id string) *Cluster {
	c := &Cluster{
		index: x, name: name, labels: labels{keys: map[string]*key{}},
		scopes: make([]*scope, firstScope), spaces: map[string]uint32{},
	}
	c.asked.cluster = c
	for i := range c.scopes {
		c.scopes[i] = &scope{}
	}
	c.spaces[""] = noScope
	where := []Label{{ClusterLabel, name}}
	if id != "" {
		where = append(where, Label{ClusterIDLabel, id})
	}
	c.relabel(clusterScope, where)
	c.relabel(kindScope(Pod), []Label{{OrchestratorLabel, "k8s"}})
	return c
}

func (c *Cluster) record(slot uint32) *record { return &c.pages[slot/pageSize][slot%pageSize] }

func (c *Cluster) list(r *record) List {
	return ID{Kind: r.kind, Namespace: c.scopes[r.namespace].name}.List()
}

// find returns the endpoint of a name in a namespace.
func (c *Cluster) find(namespace uint32, id ID) (slot uint32, ok bool) {
	return c.scopes[namespace].names[id.Kind].get(hashOf(id.Name), func(slot uint32) bool { return c.record(slot).name() == id.Name })
}

// all yields every slot in use.
func (c *Cluster) all(yield func(slot uint32) bool) {
	for slot := range c.used {
		if c.record(slot).is() && !yield(slot) {
			return
		}
	}
}

// Set adds an endpoint, or changes what is known of it. It keeps nothing of what it is handed. What says that it is of no
// namespace, and yet a pod or of a service account, is not taken: no API server that does not lie says so.
func (c *Cluster) Set(e *Endpoint) {
	defer c.lock()()
	if c.gone || e.Namespace == "" && (e.Kind == Pod || e.ServiceAccount != "") {
		return
	}
	namespace := c.space(e.Namespace)
	slot, ok := c.find(namespace, e.ID)
	var before []uint32
	account := noScope
	if ok {
		r := c.record(slot)
		before, account = r.pairs(c.before[:0]), r.account
		c.before = before
	}
	if c.scopes[account].name != e.ServiceAccount {
		if account = noScope; e.ServiceAccount != "" {
			account = c.account(namespace, e.ServiceAccount)
		}
	}
	c.intern(e.Labels, before)
	if ok {
		c.change(slot, e, account, before)
	} else {
		slot = c.add(e, namespace, account)
	}
	c.listing[e.List().what].see(slot)
}

// intern leaves in c.pairs the pairs of an endpoint's own labels, by name. Most of them are, most of the
// time, what they were before, and those that are not have at least the same names.
func (c *Cluster) intern(labels []Label, before []uint32) {
	c.pairs = c.pairs[:0]
	if c.named(labels, before) {
		for i, l := range labels {
			id := before[i]
			if p := c.labels.pair(id); p.value() != l.Value {
				id = c.labels.internValue(p.key, l.Value)
			}
			c.pairs = append(c.pairs, id)
		}
		return
	}
	if !slices.IsSortedFunc(labels, byName) {
		c.sorted = append(c.sorted[:0], labels...)
		slices.SortStableFunc(c.sorted, byName)
		labels = c.sorted
	}
	for i, l := range labels {
		if i+1 < len(labels) && labels[i+1].Name == l.Name {
			continue // the last one counts
		}
		if originOf(l.Name) == own {
			c.pairs = append(c.pairs, c.labels.intern(l.Name, l.Value))
		}
	}
}

// named says that labels have the names of some pairs, in their order.
func (c *Cluster) named(labels []Label, pairs []uint32) bool {
	if len(labels) != len(pairs) {
		return false
	}
	for i, l := range labels {
		if c.labels.pair(pairs[i]).key.name != l.Name {
			return false
		}
	}
	return true
}

func (c *Cluster) add(e *Endpoint, namespace, account uint32) (slot uint32) {
	slot = c.slot()
	r := c.record(slot)
	*r = record{kind: e.Kind, namespace: namespace, account: account}
	r.pack(e.Name, c.pairs)
	r.fill(e)
	c.count++
	for _, id := range c.pairs {
		c.labels.carry(id, slot)
	}
	for _, id := range r.scopes() {
		c.scopes[id].members.add(slot)
	}
	c.scopes[namespace].names[e.Kind].put(hashOf(e.Name), slot)
	c.asked.slot = slot
	for _, q := range c.anchored(r, c.pairs) {
		if q.selector.Match(&c.asked) && c.members[q.number].add(slot) {
			q.tell(c.name)
		}
	}
	return slot
}

// change compares what is known with what is new, and asks the queries that tell them apart.
func (c *Cluster) change(slot uint32, e *Endpoint, account uint32, before []uint32) {
	r := c.record(slot)
	c.asked.slot = slot
	if r.fill(e) { // whoever has it renders it anew
		for _, q := range c.anchored(r, before) {
			if c.members[q.number].has(slot) {
				q.tell(c.name)
			}
		}
	}
	affected := c.touched[:0]
	if !slices.Equal(before, c.pairs) {
		affected = c.affected(affected, before, c.pairs)
		r.repack(c.pairs)
		c.labels.exchange(before, c.pairs, slot)
	}
	if r.account != account {
		before := r.account
		affected = c.affected(affected, c.scopes[before].pairs, c.scopes[account].pairs)
		c.scopes[before].members.remove(slot)
		r.account = account
		c.scopes[account].members.add(slot)
		c.abandon(before)
	}
	c.touched = affected
	for _, q := range affected {
		c.ask(q, slot)
	}
}

// ask finds out anew whether an endpoint matches.
func (c *Cluster) ask(q *Query, slot uint32) {
	c.asked.slot = slot
	members := &c.members[q.number]
	if q.selector.Match(&c.asked) {
		if members.add(slot) {
			q.tell(c.name)
		}
	} else if members.remove(slot) {
		q.tell(c.name)
	}
}

// affected appends the queries whose answer may change as labels do.
func (c *Cluster) affected(to []*Query, before, after []uint32) []*Query {
	tests := &c.index.tests
	for _, id := range before {
		if slices.Contains(after, id) {
			continue
		}
		p := c.labels.pair(id)
		if value, ok := c.value(after, p.key.name); ok {
			to = tests.flipping(to, p.key.name, p.value(), value)
		} else {
			to = tests.matching(to, p.key.name, p.value())
		}
	}
	for _, id := range after {
		p := c.labels.pair(id)
		if _, ok := c.value(before, p.key.name); !ok {
			to = tests.matching(to, p.key.name, p.value())
		}
	}
	return to
}

// anchored are the queries that may match an endpoint with some labels of its own.
func (c *Cluster) anchored(r *record, own []uint32) []*Query {
	found := append(c.touched[:0], c.index.anywhere...)
	look := func(pairs []uint32) {
		for _, id := range pairs {
			p := c.labels.pair(id)
			found = c.index.anchors.matching(found, p.key.name, p.value())
		}
	}
	look(own)
	for _, id := range r.scopes() {
		look(c.scopes[id].pairs)
	}
	c.touched = found
	return found
}

// Delete removes an endpoint, if it is there.
func (c *Cluster) Delete(id ID) {
	defer c.lock()()
	space, ok := c.spaces[id.Namespace]
	if !ok || c.gone {
		return
	}
	if slot, ok := c.find(space, id); ok {
		c.delete(slot)
	}
}

func (c *Cluster) delete(slot uint32) {
	r := c.record(slot)
	c.before = r.pairs(c.before[:0])
	for _, q := range c.anchored(r, c.before) {
		if c.members[q.number].remove(slot) {
			q.tell(c.name)
		}
	}
	for _, id := range c.before {
		c.labels.drop(id, slot)
	}
	for _, id := range r.scopes() {
		c.scopes[id].members.remove(slot)
	}
	c.scopes[r.namespace].names[r.kind].remove(hashOf(r.name()), slot)
	namespace, account := r.namespace, r.account
	*r = record{}
	c.free = append(c.free, slot)
	c.count--
	c.abandon(account)
	c.abandon(namespace)
}

func (c *Cluster) slot() uint32 {
	if n := len(c.free); n > 0 {
		slot := c.free[n-1]
		c.free = c.free[:n-1]
		return slot
	}
	if c.used%pageSize == 0 {
		c.pages = append(c.pages, new([pageSize]record))
	}
	c.used++
	return c.used - 1
}

// lock keeps the queries as they are, and everybody else out of the cluster.
func (c *Cluster) lock() (unlock func()) {
	c.index.mu.RLock()
	c.mu.Lock()
	return func() {
		c.mu.Unlock()
		c.index.mu.RUnlock()
	}
}

// endpoint makes an Endpoint of a record.
func (c *Cluster) endpoint(slot uint32) Endpoint {
	r := c.record(slot)
	e := Endpoint{
		ID:             ID{Kind: r.kind, Namespace: c.scopes[r.namespace].name, Name: r.name()},
		ServiceAccount: c.scopes[r.account].name,
		Node:           r.node.Value(),
		Ports:          unpackPorts(r.ports.Value()),
	}
	r.addresses(func(a netip.Prefix) bool { e.Addresses = append(e.Addresses, a); return true })
	for _, id := range r.pairs(nil) {
		p := c.labels.pair(id)
		e.Labels = append(e.Labels, Label{p.key.name, p.text()})
	}
	slices.SortFunc(e.Labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	return e
}

// listing is what was seen since something began to be listed anew.
type listing struct {
	on   bool
	seen *roaring.Bitmap
}

func (l *listing) see(id uint32) {
	if l.on {
		l.seen.Add(id)
	}
}
