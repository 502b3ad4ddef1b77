package shard

import (
	"cmp"
	"slices"
)

// tolerance is by how many percent a replica may exceed its even share before clusters are taken from it: who comes
// and goes must not push others about.
const tolerance = 5

// Plan says which replica each cluster belongs to. It is a pure function, and whoever calls it with the same
// arguments gets the same answer, in whatever order they are.
//
// Where now says that a cluster is at one of the replicas, it stays there, unless that replica has more than five
// percent above the even share: then it gives away what is above that, so that what moves is what must. Everything else
// goes to the replica that it is drawn to most among those with less than the even share, rounded up.
// Without replicas the answer is empty.
func Plan(clusters, replicas []string, now map[string]string) map[string]string {
	p := &planning{replicas: slices.Compact(slices.Sorted(slices.Values(replicas))), owner: map[string]string{}, owned: map[string][]string{}}
	clusters = slices.Compact(slices.Sorted(slices.Values(clusters)))
	if len(p.replicas) == 0 {
		return p.owner
	}
	p.share = (len(clusters) + len(p.replicas) - 1) / len(p.replicas)
	var homeless []string
	for _, c := range clusters {
		if r, ok := now[c]; ok && slices.Contains(p.replicas, r) {
			p.give(c, r)
		} else {
			homeless = append(homeless, c)
		}
	}
	most := max(p.share, len(clusters)*(100+tolerance)/(100*len(p.replicas)))
	for _, r := range p.replicas {
		if len(p.owned[r]) > most {
			homeless = append(homeless, p.shed(r)...)
		}
	}
	// In an order that has nothing to do with names: otherwise the last of the alphabet get what is left over.
	slices.SortFunc(homeless, func(a, b string) int { return cmp.Or(cmp.Compare(sum(a), sum(b)), cmp.Compare(a, b)) })
	for _, c := range homeless {
		p.give(c, p.best(c))
	}
	return p.owner
}

type planning struct {
	replicas []string
	share    int // even, rounded up
	owner    map[string]string
	owned    map[string][]string
}

func (p *planning) give(cluster, replica string) {
	p.owner[cluster] = replica
	p.owned[replica] = append(p.owned[replica], cluster)
}

// best is where a cluster is drawn to most. There is always room: the shares together hold every cluster.
func (p *planning) best(cluster string) string {
	var best string
	var most uint64
	for _, r := range p.replicas {
		if len(p.owned[r]) >= p.share {
			continue
		}
		if a := affinity(cluster, r); best == "" || a > most {
			best, most = r, a
		}
	}
	return best
}

// shed takes from a replica what is above the even share: those that it draws least in comparison.
func (p *planning) shed(replica string) []string {
	all := p.owned[replica]
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(-cmp.Compare(affinity(a, replica), affinity(b, replica)), cmp.Compare(a, b))
	})
	away := slices.Clone(all[p.share:])
	p.owned[replica] = all[:p.share]
	for _, c := range away {
		delete(p.owner, c)
	}
	return away
}
