package index

import (
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/hawser-io/hawser/selector"
)

// scope is what endpoints inherit labels from: a namespace, a service account, a kind, a cluster.
type scope struct {
	name    string
	pairs   []uint32
	members set    // endpoints
	known   bool   // it is there, or was not seen to go; others are kept for their members
	within  uint32 // of a service account: its namespace
	gone    bool   // its number is free

	// Of a namespace:
	names    [kinds]table      // endpoints in it, by name
	accounts map[string]uint32 // scopes
}

// The scopes that are always there. Namespaces and service accounts follow.
const (
	noScope      uint32 = 0
	clusterScope uint32 = 1
	firstScope          = clusterScope + 1 + uint32(kinds)
)

func kindScope(k Kind) uint32 { return clusterScope + 1 + uint32(k) }

// nameLabel, with a prefix, holds the name of what an endpoint inherits labels from.
const nameLabel = "projectcalico.org/name"

// longName is the length from which Calico leaves the name of a service account out.
const longName = 63

// SetNamespace takes over the labels of a namespace.
func (c *Cluster) SetNamespace(name string, labels []Label) {
	defer c.lock()()
	if c.gone || name == "" {
		return
	}
	id := c.space(name)
	c.scopes[id].known = true
	c.relabel(id, append(prefixed(selector.NamespacePrefix, name, labels), Label{selector.NamespaceLabel, name}))
	c.listing[namespaces].see(id)
}

// Knows says whether the labels of a namespace are known.
func (c *Cluster) Knows(namespace string) bool {
	defer c.rlock()()
	id, ok := c.spaces[namespace]
	return ok && c.scopes[id].known
}

// DeleteNamespace forgets a namespace. What is in it stays until it is deleted itself, and has its labels until then:
// otherwise what is left out by them would match in its last moments.
func (c *Cluster) DeleteNamespace(name string) {
	defer c.lock()()
	if id, ok := c.spaces[name]; ok && id != noScope && !c.gone {
		c.forgetNamespace(id)
	}
}

func (c *Cluster) forgetNamespace(id uint32) {
	c.scopes[id].known = false
	c.abandon(id)
}

// SetServiceAccount takes over the labels of a service account.
func (c *Cluster) SetServiceAccount(namespace, name string, labels []Label) {
	defer c.lock()()
	if c.gone || name == "" || namespace == "" {
		return
	}
	id := c.account(c.space(namespace), name)
	c.scopes[id].known = true
	all := prefixed(selector.ServiceAccountPrefix, name, labels)
	c.relabel(id, append(all, accountLabel(name)...))
	c.listing[accounts].see(id)
}

// DeleteServiceAccount forgets the labels of a service account.
func (c *Cluster) DeleteServiceAccount(namespace, name string) {
	defer c.lock()()
	space, ok := c.spaces[namespace]
	if !ok || c.gone {
		return
	}
	if id, ok := c.scopes[space].accounts[name]; ok {
		c.forgetAccount(id)
	}
}

func (c *Cluster) forgetAccount(id uint32) {
	c.scopes[id].known = false
	c.relabel(id, accountLabel(c.scopes[id].name))
	c.abandon(id)
}

// prefixed are the labels that endpoints inherit, as Calico names them.
func prefixed(prefix, name string, labels []Label) []Label {
	all := []Label{{prefix + nameLabel, name}}
	for _, l := range labels {
		if l.Name != nameLabel {
			all = append(all, Label{prefix + l.Name, l.Value})
		}
	}
	return all
}

func accountLabel(name string) []Label {
	if len(name) >= longName {
		return nil
	}
	return []Label{{selector.ServiceAccountLabel, name}}
}

// space returns the scope of a namespace, which it makes where there is none.
func (c *Cluster) space(name string) uint32 {
	if id, ok := c.spaces[name]; ok {
		return id
	}
	id := c.newScope(name)
	c.spaces[c.scopes[id].name] = id
	c.relabel(id, []Label{{selector.NamespaceLabel, name}})
	return id
}

func (c *Cluster) account(namespace uint32, name string) uint32 {
	s := c.scopes[namespace]
	if id, ok := s.accounts[name]; ok {
		return id
	}
	id := c.newScope(name)
	c.scopes[id].within = namespace
	if s.accounts == nil {
		s.accounts = map[string]uint32{}
	}
	s.accounts[c.scopes[id].name] = id
	c.relabel(id, accountLabel(name))
	return id
}

func (c *Cluster) newScope(name string) uint32 {
	s := &scope{name: strings.Clone(name)}
	if n := len(c.spare); n > 0 {
		id := c.spare[n-1]
		c.spare = c.spare[:n-1]
		c.scopes[id] = s
		return id
	}
	c.scopes = append(c.scopes, s)
	return uint32(len(c.scopes) - 1) //nolint:gosec // memory ends before
}

// relabel gives a scope other labels, which it sorts, and asks for its members what tells them apart.
func (c *Cluster) relabel(id uint32, labels []Label) {
	s := c.scopes[id]
	after := make([]uint32, 0, len(labels))
	slices.SortStableFunc(labels, byName)
	for i, l := range labels {
		if i+1 < len(labels) && labels[i+1].Name == l.Name {
			continue // the last one counts
		}
		after = append(after, c.labels.intern(l.Name, l.Value))
	}
	slices.Sort(after)
	if slices.Equal(s.pairs, after) {
		return
	}
	before := s.pairs
	affected := c.affected(c.touched[:0], before, after)
	s.pairs = after
	c.labels.exchange(before, after, id)
	c.touched = affected
	for i, q := range affected {
		if !slices.Contains(affected[:i], q) { // each looks at all members
			s.members.all(func(slot uint32) bool { c.ask(q, slot); return true })
		}
	}
}

// abandon removes the scope of a namespace or a service account that nobody knows of and nothing is in.
func (c *Cluster) abandon(id uint32) {
	s := c.scopes[id]
	if id < firstScope || s.gone || s.known || s.members.len() > 0 {
		return
	}
	if len(s.accounts) > 0 { // a namespace
		c.relabel(id, []Label{{selector.NamespaceLabel, s.name}})
		return
	}
	for _, pair := range s.pairs {
		c.labels.drop(pair, id)
	}
	s.pairs = nil
	c.scopes[id] = &scope{gone: true}
	c.spare = append(c.spare, id)
	if s.within == noScope {
		delete(c.spaces, s.name)
		return
	}
	delete(c.scopes[s.within].accounts, s.name)
	c.abandon(s.within)
}

// What is listed, besides the kinds.
const (
	namespaces = int(kinds)
	accounts   = namespaces + 1
	globalSets = accounts + 1
	listed     = globalSets + 1
)

// List is something that a cluster lists.
type List struct{ what int }

// Namespaces and ServiceAccounts are what endpoints inherit labels from.
var (
	Namespaces      = List{namespaces}
	ServiceAccounts = List{accounts}
	// GlobalNetworkSets are the network sets of no namespace, which another resource has than the others.
	GlobalNetworkSets = List{globalSets}
)

// ListOf is the list of endpoints of a kind; of network sets, of those of a namespace.
func ListOf(k Kind) List { return List{int(k)} }

// List is the one that an endpoint is in.
func (id ID) List() List {
	if id.Kind == NetworkSet && id.Namespace == "" {
		return GlobalNetworkSets
	}
	return ListOf(id.Kind)
}

// Begin begins to list something anew. Until End, nothing that is missing from the list is taken as gone.
func (c *Cluster) Begin(l List) {
	defer c.lock()()
	c.listing[l.what] = listing{on: true, seen: roaring.New()}
}

// End ends the list: what was not set since Begin is gone. Without Begin it does nothing.
func (c *Cluster) End(l List) {
	defer c.lock()()
	was := c.listing[l.what]
	c.listing[l.what] = listing{}
	if !was.on || c.gone {
		return
	}
	switch l.what {
	case namespaces:
		for id := range c.knownScopes(was.seen, false) {
			c.forgetNamespace(id)
		}
	case accounts:
		for id := range c.knownScopes(was.seen, true) {
			c.forgetAccount(id)
		}
	default:
		for slot := range c.used {
			if r := c.record(slot); r.is() && c.list(r) == l && !was.seen.Contains(slot) {
				c.delete(slot)
			}
		}
	}
}

// knownScopes yields the namespaces, or service accounts, that were not seen.
func (c *Cluster) knownScopes(seen *roaring.Bitmap, ofAccounts bool) func(yield func(id uint32) bool) {
	return func(yield func(uint32) bool) {
		for i := firstScope; i < uint32(len(c.scopes)); i++ { //nolint:gosec // memory ends before
			s := c.scopes[i]
			if s.known && s.within != noScope == ofAccounts && !seen.Contains(i) && !yield(i) {
				return
			}
		}
	}
}
