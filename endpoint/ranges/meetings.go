package ranges

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/hawser-io/hawser/endpoint/publish"
)

// meeting is that ranges of a kind of some clusters and ranges of a kind of others have the same addresses.
type meeting struct {
	x, y   kind
	as, bs []int // clusters, by position, in order; not to be changed
	shared []netip.Prefix
}

// class is a kind of ranges, of the local cluster or of remote ones.
type class struct {
	kind
	local bool
}

func (c class) compare(o class) int {
	return cmp.Or(cmp.Compare(c.kind, o.kind), btoi(c.local)-btoi(o.local))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// block is a prefix that clusters have, and what others have within it.
type block struct {
	netip.Prefix
	owners map[class][]int
	inner  map[[2]class]*inner // by the classes of the block's owners and of theirs
}

type inner struct {
	owners map[int]bool
	all    []netip.Prefix
}

// meetings finds those of the classes that are asked for, in either order. It walks once over all ranges in order, with
// those that hold the present one in a stack. What one range holds is told of together, and so are clusters with the same
// range, so that there are no more meetings than ranges, give or take, and not as many as pairs of clusters.
func meetings(sites []site, wanted func(x, y class) bool) []meeting {
	found := map[string]*meeting{}
	var outer []*block
	leave := func(b *block) {
		for key, in := range b.inner {
			add(found, key[0].kind, b.owners[key[0]], key[1].kind, slices.Sorted(maps.Keys(in.owners)), in.all)
		}
	}
	for _, b := range blocks(sites) {
		for len(outer) > 0 && !publish.Holds(outer[len(outer)-1].Prefix, b.Prefix) {
			leave(outer[len(outer)-1])
			outer = outer[:len(outer)-1]
		}
		for _, o := range outer {
			o.hold(b, wanted)
		}
		for x, as := range b.owners {
			for y, bs := range b.owners {
				switch {
				case !wanted(x, y):
				case x == y && len(as) > 1:
					add(found, x.kind, as[:1], x.kind, as[1:], []netip.Prefix{b.Prefix})
				case x.compare(y) < 0:
					add(found, x.kind, as, y.kind, bs, []netip.Prefix{b.Prefix})
				}
			}
		}
		outer = append(outer, b)
	}
	for _, o := range outer {
		leave(o)
	}
	all := make([]meeting, 0, len(found))
	for _, m := range found {
		m.shared = publish.Aggregate(m.shared)
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b meeting) int {
		return cmp.Or(cmp.Compare(a.as[0], b.as[0]), cmp.Compare(a.bs[0], b.bs[0]), cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y),
			slices.Compare(a.as, b.as), slices.Compare(a.bs, b.bs))
	})
	return all
}

// blocks are the prefixes of all clusters, in order, each once.
func blocks(sites []site) (all []*block) {
	at := map[netip.Prefix]*block{}
	for i, s := range sites {
		for k, ranges := range s.of {
			for _, p := range ranges {
				b := at[p]
				if b == nil {
					b = &block{Prefix: p, owners: map[class][]int{}, inner: map[[2]class]*inner{}}
					at[p], all = b, append(all, b)
				}
				c := class{kind(k), s.Local}
				b.owners[c] = append(b.owners[c], i)
			}
		}
	}
	slices.SortFunc(all, func(a, b *block) int { return a.Compare(b.Prefix) })
	return all
}

// hold notes who has a block within this one.
func (b *block) hold(n *block, wanted func(x, y class) bool) {
	for x, as := range b.owners {
		for y, bs := range n.owners {
			if !wanted(x, y) {
				continue
			}
			if len(as) == 1 {
				bs = apart(bs, as[0])
			}
			if len(bs) == 0 {
				continue
			}
			in := b.inner[[2]class{x, y}]
			if in == nil {
				in = &inner{owners: map[int]bool{}}
				b.inner[[2]class{x, y}] = in
			}
			for _, o := range bs {
				in.owners[o] = true
			}
			in.all = append(in.all, n.Prefix)
		}
	}
}

// add adds a meeting, endpointCIDRs first, and else the first cluster; or its ranges to those of one of the same clusters.
func add(found map[string]*meeting, x kind, as []int, y kind, bs []int, shared []netip.Prefix) {
	if len(bs) == 1 {
		as = apart(as, bs[0])
	}
	if len(as) == 1 {
		bs = apart(bs, as[0])
	}
	if len(as) == 0 || len(bs) == 0 {
		return
	}
	swap := bs[0] < as[0] || bs[0] == as[0] && y < x
	if (x == within) != (y == within) {
		swap = y == within
	}
	if swap {
		x, as, y, bs = y, bs, x, as
	}
	key := fmt.Sprint(x, as, y, bs)
	if found[key] == nil {
		found[key] = &meeting{x: x, y: y, as: as, bs: bs}
	}
	found[key].shared = append(found[key].shared, shared...)
}

// apart are some clusters without one.
func apart(all []int, one int) []int {
	if !slices.Contains(all, one) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(i int) bool { return i == one })
}
