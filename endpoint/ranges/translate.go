package ranges

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/hawser-io/hawser/endpoint/publish"
)

// translating says that what pods send to other clusters loses its address: from pools with natOutgoing, whatever goes
// to an address outside of every pool is translated, and so the other side's addresses have to be in one. Pools that are
// disabled translate as well, as pods that are there keep their addresses; no pod is in those for ranges of other clusters.
func translating(sites []site, all ofOthers, at, most int) (found []Finding) {
	s := &sites[at]
	w := &wants{sites: sites, at: at, most: most}
	theirs := sync.OnceValue(func() []netip.Prefix { return all.butOf(at) }) // which few clusters need
	mirror := func(p netip.Prefix) bool { return len(publish.Outside(nil, p, theirs())) == 0 }
	for _, p := range s.Pools {
		w.inPools = append(w.inPools, p.CIDR)
		if p.NATOutgoing && (!p.Disabled || !mirror(p.CIDR)) {
			w.v4, w.v6 = w.v4 || p.CIDR.Addr().Is4(), w.v6 || p.CIDR.Addr().Is6()
		}
	}
	w.inPools = publish.Aggregate(w.inPools)
	for _, p := range all.pods {
		w.want(p)
	}
	if f := w.finding("Calico in %s translates what its pods send to pods of %s, whose policies then do not see who it is: no IPPool holds %s"); f != nil {
		found = append(found, *f)
	}
	own := slices.Concat(s.of[pods], s.of[services], s.of[nodes])
	for _, h := range all.hosts {
		for _, p := range h.ranges(own, w.inPools) {
			w.want(want{h.of, p})
		}
	}
	if f := w.finding("Calico in %s translates what its pods send to nodes of %s: policies for these, and for pods in their networks, do not see who it is: no IPPool holds %s"); f != nil {
		f.Severity = Warning
		found = append(found, *f)
	}
	return found
}

// ofOthers are the ranges that clusters may need pools for, of all of them.
type ofOthers struct {
	pods  []want // in order
	hosts []hostRange
}

func rangesOf(sites []site) (all ofOthers) {
	for i := range sites {
		for _, p := range sites[i].podRanges {
			all.pods = append(all.pods, want{i, p})
		}
		all.hosts = append(all.hosts, hostRanges(sites, i)...)
	}
	slices.SortFunc(all.pods, want.compare)
	return all
}

// butOf are the ranges of all clusters but one, put together.
func (o ofOthers) butOf(at int) (theirs []netip.Prefix) {
	for _, w := range o.pods {
		if w.of != at {
			theirs = append(theirs, w.Prefix)
		}
	}
	for _, h := range o.hosts {
		switch {
		case h.of == at:
		case h.whole.IsValid():
			theirs = append(theirs, h.whole)
		default:
			theirs = append(theirs, h.nodes...)
		}
	}
	return publish.Aggregate(theirs)
}

// wants are the ranges of other clusters that a cluster needs pools for.
type wants struct {
	sites   []site
	at      int
	most    int            // manifests
	v4, v6  bool           // what is translated at all
	inPools []netip.Prefix // that are there, put together
	wanted  []want
}

type want struct {
	of int
	netip.Prefix
}

func (w want) compare(o want) int { return cmp.Or(w.Prefix.Compare(o.Prefix), cmp.Compare(w.of, o.of)) }

func (w *wants) want(p want) {
	if p.of != w.at && (p.Addr().Is4() && w.v4 || p.Addr().Is6() && w.v6) {
		w.wanted = append(w.wanted, p)
	}
}

// finding tells of what is wanted and not there, and from then on has it. Calico takes no two pools with the same
// addresses: what two clusters have is asked for once, and only what no pool has.
func (w *wants) finding(message string) *Finding {
	slices.SortFunc(w.wanted, want.compare)
	s := &w.sites[w.at]
	f := Finding{Check: CheckPools, Severity: Error, Repair: "hawser check addresses --manifests " + s.Name + " | " + kubectl(s) + " apply -f -"}
	if s.Calicoctl {
		f.Repair = "hawser check addresses --manifests " + s.Name + " | calicoctl apply -f -"
	}
	var of []int
	var missing []netip.Prefix
	last := netip.Prefix{}
	for _, p := range w.wanted {
		lacking := publish.Outside(nil, p.Prefix, w.inPools)
		if len(lacking) == 0 {
			continue
		}
		of = append(of, p.of)
		if last.IsValid() && publish.Holds(last, p.Prefix) {
			continue
		}
		last = p.Prefix
		for _, l := range lacking {
			if missing = append(missing, l); len(missing) <= w.most {
				f.Manifests = append(f.Manifests, manifest(w.sites[p.of].Cluster, l))
			}
		}
	}
	w.wanted = nil
	if len(of) == 0 {
		return nil
	}
	w.inPools = publish.Aggregate(append(w.inPools, missing...))
	slices.Sort(of)
	of = slices.Compact(of)
	f.Clusters = append([]string{s.Name}, pick(w.sites, of)...)
	f.Message = fmt.Sprintf(message, s.Name, named(w.sites, of), some(missing))
	return &f
}

// hostRange is where nodes of a cluster are: a range of its endpointCIDRs, or invalid, and the nodes in it.
type hostRange struct {
	of    int
	whole netip.Prefix
	nodes []netip.Prefix
}

// hostRanges are where a cluster's nodes are that are endpoints.
func hostRanges(sites []site, at int) (all []hostRange) {
	s := &sites[at]
	if s.Local && len(s.Within) == 0 {
		return []hostRange{{of: at, nodes: s.of[nodes]}}
	}
	for _, w := range s.of[within] {
		if in := publish.Within(nil, w, s.of[nodes]); len(in) > 0 {
			all = append(all, hostRange{at, w, in})
		}
	}
	return all
}

// ranges are those that a cluster needs pools for: the whole range, so that nodes may come and go, unless the cluster has
// addresses of its own, or pools, in it. All pods of others are in pools by then, or in those that are asked for.
func (h hostRange) ranges(own, inPools []netip.Prefix) []netip.Prefix {
	if !h.whole.IsValid() || slices.ContainsFunc(own, h.whole.Overlaps) {
		return h.nodes
	}
	if left := publish.Outside(nil, h.whole, inPools); len(left) == 1 && left[0] == h.whole {
		return []netip.Prefix{h.whole}
	}
	return h.nodes
}
