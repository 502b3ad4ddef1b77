package query

import "slices"

// Merge makes one answer of those of several replicas to the same question. Of a cluster that several know, as when
// one has just handed it to another, the answer of the one that knows it best counts, whole.
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
	return all
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
