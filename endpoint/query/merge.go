package query

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
)

// Merge makes one answer of those of several replicas to the same question. Of a cluster that several know, as when
// one has just handed it to another, the answer of the one that knows it best counts, whole. Where endpoints in the
// answers of several have the same address, that is a gap of their clusters: each replica knows of its own alone.
func Merge(answers ...Answer) Answer {
	best := map[string]int{} // answers by cluster
	known := map[string]Cluster{}
	for i, a := range answers {
		for _, c := range a.Clusters {
			if old, there := known[c.Name]; !there || better(c, old) {
				known[c.Name], best[c.Name] = c, i
			}
		}
	}
	all := Answer{Clusters: []Cluster{}, Endpoints: []Endpoint{}, Gaps: []Gap{}}
	for i, a := range answers {
		all.Clusters = append(all.Clusters, keep(a.Clusters, func(c Cluster) bool { return best[c.Name] == i })...)
		all.Endpoints = append(all.Endpoints, keep(a.Endpoints, func(e Endpoint) bool { return best[e.Cluster] == i })...)
		all.Gaps = append(all.Gaps, keep(a.Gaps, func(g Gap) bool {
			_, there := known[g.Cluster]
			return !there || best[g.Cluster] == i
		})...)
	}
	all.sort()
	var shared []Gap
	for cluster, g := range endpoint.DuplicateGaps(duplicates(all.Endpoints, best)) {
		shared = append(shared, Gap{Cluster: cluster, Reason: g.Reason, Message: g.Message, Count: g.Count})
	}
	all.AddGaps(shared...)
	return all
}

// duplicates are the addresses that endpoints have whose clusters are from different answers, the lowest first.
func duplicates(all []Endpoint, answers map[string]int) (found []endpoint.Duplicate) {
	owners, shared := map[netip.Addr]int{}, map[netip.Addr]*endpoint.Duplicate{}
	for i := range all {
		for _, text := range all[i].Addresses {
			p, err := prefix(text)
			if err != nil || !p.IsSingleIP() {
				continue
			}
			first, there := owners[p.Addr()]
			switch {
			case !there:
				owners[p.Addr()] = i
				continue
			case answers[all[first].Cluster] == answers[all[i].Cluster]: // whoever answered looks for these
				continue
			case shared[p.Addr()] == nil:
				shared[p.Addr()] = &endpoint.Duplicate{Address: p.Addr(), Of: []endpoint.Owner{owner(all[first])}}
			}
			shared[p.Addr()].Of = append(shared[p.Addr()].Of, owner(all[i]))
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(shared), netip.Addr.Compare) {
		d := *shared[a]
		slices.SortStableFunc(d.Of, endpoint.Owner.Compare)
		found = append(found, d)
	}
	return found
}

func owner(e Endpoint) endpoint.Owner {
	o := endpoint.Owner{Cluster: e.Cluster, ID: index.ID{Namespace: e.Namespace, Name: e.Name}}
	for kind, text := range kinds {
		if text == e.Kind {
			o.Kind = kind
		}
	}
	return o
}

// better says that an answer about a cluster is newer than another.
func better(a, b Cluster) bool {
	switch {
	case a.Synced != b.Synced:
		return a.Synced
	case (a.StaleSince == nil) != (b.StaleSince == nil):
		return a.StaleSince == nil
	}
	return a.StaleSince != nil && b.StaleSince.Before(a.StaleSince)
}

func keep[T any](all []T, wanted func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(all), func(t T) bool { return !wanted(t) })
}
