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

// Duplicates returns addresses that endpoints of several clusters have, at most limit of them, the lowest first, and
// how many there are. Ranges, as network sets have them, are not looked at. It looks only at clusters whose bounds
// overlap, and at the addresses that lie where they do: what lies apart costs nothing.
func (c *Catalog) Duplicates(limit int) (found []Duplicate, total int) {
	c.mu.Lock()
	shared := c.shared()
	c.mu.Unlock()
	first := map[netip.Addr]string{} // the cluster that has it
	owners := map[netip.Addr][]Owner{}
	each := func(do func(cluster string, id index.ID, a netip.Addr)) {
		for _, s := range shared {
			for id, p := range s.part.Addresses() {
				if p.IsSingleIP() && slices.ContainsFunc(s.within, func(w netip.Prefix) bool { return w.Contains(p.Addr()) }) {
					do(s.name, id, p.Addr())
				}
			}
		}
	}
	each(func(cluster string, _ index.ID, a netip.Addr) {
		if other, taken := first[a]; !taken {
			first[a] = cluster
		} else if other != cluster {
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
	each(func(cluster string, id index.ID, a netip.Addr) {
		if wanted[a] {
			owners[a] = append(owners[a], Owner{cluster, id})
		}
	})
	for _, a := range lowest {
		of := owners[a]
		slices.SortFunc(of, func(a, b Owner) int {
			return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})
		found = append(found, Duplicate{a, of})
	}
	return found, total
}

// sharing is a cluster, and where others may have the same addresses.
type sharing struct {
	name   string
	part   *index.Cluster
	within []netip.Prefix
}

// Review looks for addresses that endpoints of several clusters have, and keeps what it finds as gaps of these clusters,
// until the next time.
func (c *Catalog) Review() {
	found, _ := c.Duplicates(math.MaxInt)
	gaps := map[string]Gap{}
	for _, d := range found { // the lowest address comes first
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

// shared are the clusters whose bounds overlap, by name. It is called with c.mu held.
func (c *Catalog) shared() (all []sharing) {
	for _, name := range slices.Sorted(maps.Keys(c.clusters)) {
		e := c.clusters[name]
		if e.part == nil {
			continue
		}
		var within []netip.Prefix
		for other, o := range c.clusters {
			if other != name && o.part != nil {
				within = append(within, overlap(e.cluster.Bounds, o.cluster.Bounds)...)
			}
		}
		if len(within) > 0 {
			slices.SortFunc(within, netip.Prefix.Compare)
			all = append(all, sharing{name, e.part, slices.Compact(within)})
		}
	}
	return all
}

// overlap is where two clusters may both have addresses.
func overlap(a, b Bounds) (both []netip.Prefix) {
	for _, x := range a.everywhere() {
		for _, y := range b.everywhere() {
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

// everywhere are the ranges that addresses may be in.
func (b Bounds) everywhere() []netip.Prefix {
	if b.Local && len(b.Within) == 0 {
		return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	return b.Within
}
