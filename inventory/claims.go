package inventory

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Claims tell a Sink of clusters that several claimants tell of, where two may use one name. It belongs to the
// first that Set it, until that one removes it; then to the next. The others are Faults of the name. Its
// methods do not wait, and may be called from any goroutine. A claimant is a text for people, as
// `Secret "a" in namespace "b"`.
type Claims struct {
	to Sink

	mu    sync.Mutex // also held while to is told, which never waits: it hears of a name in order
	names map[string]*claimed
}

// claimed is a name and who uses it.
type claimed struct {
	claims []*claim // in the order in which they came
	owner  *claim   // nil while nobody has told where the cluster is
	fault  string   // that was told
}

type claim struct {
	by      string
	cluster *Cluster // nil where there is only a fault
	fault   error
}

// NewClaims returns claims of which to is told.
func NewClaims(to Sink) *Claims { return &Claims{to: to, names: map[string]*claimed{}} }

// Set tells of a cluster of a claimant.
func (c *Claims) Set(by string, cluster Cluster) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := cluster.Spec.Name
	n, mine := c.claim(by, name)
	mine.cluster = &cluster
	if n.owner == nil {
		n.owner = mine
	}
	if n.owner == mine {
		c.to.Set(cluster)
	}
	c.settle(name, n)
}

// Fault tells what a claimant cannot read of a cluster. Nil clears it.
func (c *Claims) Fault(by, name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, mine := c.claim(by, name)
	mine.fault = err
	c.settle(name, n)
}

// Remove tells that a claimant no longer has a cluster, nor a fault of it.
func (c *Claims) Remove(by, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(by, name)
}

// Retain drops what a claimant has told of the names that keep does not report: its clusters, and its faults.
func (c *Claims) Retain(by string, keep func(name string) (cluster, fault bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, n := range c.names {
		i := n.index(by)
		if i < 0 {
			continue
		}
		cluster, fault := keep(name)
		if !fault {
			n.claims[i].fault = nil
		}
		if cluster {
			c.settle(name, n)
		} else {
			c.remove(by, name)
		}
	}
}

// claim returns the name with what by has claimed of it so far.
func (c *Claims) claim(by, name string) (*claimed, *claim) {
	n := c.names[name]
	if n == nil {
		n = &claimed{}
		c.names[name] = n
	}
	if i := n.index(by); i >= 0 {
		return n, n.claims[i]
	}
	mine := &claim{by: by}
	n.claims = append(n.claims, mine)
	return n, mine
}

func (n *claimed) index(by string) int {
	return slices.IndexFunc(n.claims, func(other *claim) bool { return other.by == by })
}

func (c *Claims) remove(by, name string) {
	n := c.names[name]
	if n == nil {
		return
	}
	i := n.index(by)
	if i < 0 {
		return
	}
	gone := n.claims[i]
	n.claims = slices.Delete(n.claims, i, i+1)
	if n.owner == gone {
		n.owner = nil
		// Another claimant's cluster is another cluster: what ran for the old one must not go on with it.
		c.to.Remove(name)
		if next := slices.IndexFunc(n.claims, func(other *claim) bool { return other.cluster != nil }); next >= 0 {
			n.owner = n.claims[next]
			c.to.Set(*n.owner.cluster)
		}
	}
	c.settle(name, n)
}

// settle tells of the faults of a name, if they are others than before, and forgets what nobody claims.
func (c *Claims) settle(name string, n *claimed) {
	n.claims = slices.DeleteFunc(n.claims, func(other *claim) bool { return other.cluster == nil && other.fault == nil })
	err := n.faults(name)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != n.fault {
		n.fault = text
		c.to.Fault(name, err)
	}
	if len(n.claims) == 0 {
		delete(c.names, name)
	}
}

func (n *claimed) faults(name string) error {
	var errs []error
	for _, other := range n.claims {
		if other != n.owner && n.owner != nil && other.cluster != nil {
			errs = append(errs, fmt.Errorf("cluster %q of %s is left out: %s has one of that name already", name, other.by, n.owner.by))
		}
		if other.fault != nil {
			errs = append(errs, other.fault)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
