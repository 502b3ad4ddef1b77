package endpoint

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"

	"github.com/hawser-io/hawser/endpoint/index"
)

// Duplicate is an address that endpoints of several clusters have.
type Duplicate struct {
	Address netip.Addr
	// Of are whose it is, sorted by cluster.
	Of []Owner
}

// Owner is an endpoint of a cluster.
type Owner struct {
	Cluster string
	index.ID
}

// Compare orders owners by cluster, kind, namespace and name.
func (o Owner) Compare(other Owner) int {
	return cmp.Or(cmp.Compare(o.Cluster, other.Cluster), cmp.Compare(o.Kind, other.Kind), cmp.Compare(o.Namespace, other.Namespace), cmp.Compare(o.Name, other.Name))
}

// Duplicates returns addresses that endpoints of several clusters have, at most limit of them, the lowest first, and
// how many there are. Ranges, as network sets have them, are not looked at. It looks only at clusters whose bounds
// overlap, and at the addresses that lie where they do: what lies apart costs nothing. With a cluster without bounds, as
// the local one may be, all others overlap: of these the addresses count that it has itself.
func (c *Catalog) Duplicates(limit int) (found []Duplicate, total int) {
	c.mu.Lock()
	shared := c.shared()
	c.mu.Unlock()
	first := map[netip.Addr]string{} // the cluster that has it
	owners := map[netip.Addr][]Owner{}
	unbounded := map[netip.Addr]struct{}{} // what those without bounds have
	each := func(do func(s sharing, id index.ID, a netip.Addr)) {
		for _, s := range shared {
			if len(s.within)+len(unbounded) == 0 {
				continue
			}
			for id, p := range s.part.Addresses() {
				if p.IsSingleIP() && s.may(p.Addr(), unbounded) {
					do(s, id, p.Addr())
				}
			}
		}
	}
	each(func(s sharing, _ index.ID, a netip.Addr) {
		if s.unbounded { // they come first
			unbounded[a] = struct{}{}
		}
		if other, taken := first[a]; !taken {
			first[a] = s.name
		} else if other != s.name {
			owners[a] = nil
		}
	})
	total = len(owners)
	lowest := slices.SortedFunc(maps.Keys(owners), netip.Addr.Compare)
	lowest = lowest[:min(len(lowest), limit)]
	wanted := map[netip.Addr]bool{}
	for _, a := range lowest {
		wanted[a] = true
	}
	if len(wanted) > 0 {
		each(func(s sharing, id index.ID, a netip.Addr) {
			if wanted[a] {
				owners[a] = append(owners[a], Owner{s.name, id})
			}
		})
	}
	for _, a := range lowest {
		of := owners[a]
		slices.SortFunc(of, Owner.Compare)
		if len(of) == 0 || of[0].Cluster == of[len(of)-1].Cluster { // meanwhile somebody has it no more
			total--
			continue
		}
		found = append(found, Duplicate{a, of})
	}
	return found, total
}

// sharing is a cluster, and where others may have the same addresses.
type sharing struct {
	name      string
	part      *index.Cluster
	unbounded bool
	// within are where others with bounds may be; of a cluster without, where anybody else may be.
	within []netip.Prefix
}

// may says whether others may have an address of the cluster. unbounded are those that clusters without bounds have.
func (s sharing) may(a netip.Addr, unbounded map[netip.Addr]struct{}) bool {
	if _, there := unbounded[a]; there {
		return true
	}
	return slices.ContainsFunc(s.within, func(w netip.Prefix) bool { return w.Contains(a) })
}

// Review looks for addresses that endpoints of several clusters have, and keeps what it finds as gaps of these clusters,
// until the next time.
func (c *Catalog) Review() {
	found, _ := c.Duplicates(math.MaxInt)
	gaps := DuplicateGaps(found)
	var changed []string
	c.mu.Lock()
	for cluster, e := range c.clusters {
		if e.duplicate != gaps[cluster] {
			e.duplicate = gaps[cluster]
			changed = append(changed, cluster)
		}
	}
	c.mu.Unlock()
	for _, cluster := range changed {
		c.tell(cluster)
	}
}

// DuplicateGaps are what is missing from clusters, by name, because others have the same addresses. They tell of the first
// one that is found of each.
func DuplicateGaps(found []Duplicate) map[string]Gap {
	gaps := map[string]Gap{}
	for _, d := range found {
		for i, o := range d.Of {
			if i > 0 && d.Of[i-1].Cluster == o.Cluster {
				continue // it has the address several times
			}
			g := gaps[o.Cluster]
			if g.Count++; g.Count == 1 {
				other := d.Of[0]
				if other.Cluster == o.Cluster {
					other = d.Of[len(d.Of)-1]
				}
				g.Reason = ReasonDuplicate
				g.Message = fmt.Sprintf("addresses that other clusters have, too, as %s of %s and of %s in cluster %s", d.Address, name(o.ID), name(other.ID), other.Cluster)
			}
			gaps[o.Cluster] = g
		}
	}
	return gaps
}

// shared are the clusters whose bounds overlap, those without bounds first, then by name. It is called with c.mu held.
func (c *Catalog) shared() (all []sharing) {
	for _, name := range slices.Sorted(maps.Keys(c.clusters)) {
		e := c.clusters[name]
		if e.part == nil {
			continue
		}
		s := sharing{name: name, part: e.part, unbounded: e.cluster.Bounds.everywhere()}
		overlaps := false
		for other, o := range c.clusters {
			if other == name || o.part == nil {
				continue
			}
			both := overlap(e.cluster.Bounds, o.cluster.Bounds)
			overlaps = overlaps || len(both) > 0
			if s.unbounded || !o.cluster.Bounds.everywhere() {
				s.within = append(s.within, both...)
			}
		}
		if overlaps {
			slices.SortFunc(s.within, netip.Prefix.Compare)
			s.within = slices.Compact(s.within)
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b sharing) int {
		switch {
		case a.unbounded == b.unbounded:
			return 0
		case a.unbounded:
			return -1
		}
		return 1
	})
	return all
}

// overlap is where two clusters may both have addresses.
func overlap(a, b Bounds) (both []netip.Prefix) {
	for _, x := range a.Ranges() {
		for _, y := range b.Ranges() {
			if !x.Overlaps(y) {
				continue
			}
			if x.Bits() < y.Bits() {
				x, y = y, x
			}
			both = append(both, x) // the narrower one
		}
	}
	return both
}

// everywhere says that addresses may be anywhere.
func (b Bounds) everywhere() bool { return b.Local && len(b.Within) == 0 }

// Ranges are those that addresses may be in. They are not to be changed.
func (b Bounds) Ranges() []netip.Prefix {
	if b.everywhere() {
		return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	return b.Within
}
