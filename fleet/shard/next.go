package shard

import (
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// peer is a replica as its Lease shows it.
type peer struct {
	replica string
	// acked is the generation that it has acknowledged; zero: none.
	acked int64
	// eligible says that it may be given clusters: it is there, and not leaving.
	eligible bool
}

// next is the assignment that follows: it moves each cluster one safe step towards where Plan wants it. peers are
// those that may still be at work, by the UID of their Leases; a shard of anybody else is given away. clusters are all that
// there are. fresh is a generation that no one can have acknowledged, for where there is no assignment yet.
//
// Nothing else decides who may own what, and it keeps this: of the shards of all peers, at most one has a cluster
// among Owns and Ends; and where there is no assignment, as in the beginning or when the ConfigMap was deleted, every peer may
// have anything until it has acknowledged the first one.
func next(now Assignment, peers map[types.UID]peer, clusters []string, fresh int64) (after Assignment, changed bool) {
	after = now.clone()
	after.Generation++
	if now.Generation == 0 {
		after.Generation = fresh
	}
	for uid := range after.Shards {
		if _, there := peers[uid]; !there {
			delete(after.Shards, uid)
		}
	}
	for uid, p := range peers {
		s, known := after.Shards[uid]
		if !known {
			if !p.eligible && now.Generation > 0 {
				continue // a newcomer, or one that never had anything
			}
			s = Shard{Replica: p.replica}
			if now.Generation == 0 { // it may obey one that was lost
				s.Ends = map[string]int64{everything: after.Generation}
			}
			after.Shards[uid] = s
		}
		for cluster, since := range s.Ends {
			if p.acked >= since {
				delete(s.Ends, cluster)
			}
		}
	}
	after.move(peers, clusters)
	return after, now.Generation == 0 || !sameShards(now, after)
}

// move gives and takes what can be given and taken now.
func (a Assignment) move(peers map[types.UID]peer, clusters []string) {
	uids, held, owner := map[string]types.UID{}, map[string]types.UID{}, map[string]string{}
	var eligible []string
	unknown := map[types.UID]bool{}
	for uid, s := range a.Shards {
		if peers[uid].eligible {
			uids[string(uid)] = uid
			eligible = append(eligible, string(uid))
		}
		for _, c := range s.Owns {
			held[c] = uid
			owner[c] = string(uid)
		}
		for c := range s.Ends {
			held[c] = uid
			if c == everything {
				unknown[uid] = true
			}
		}
	}
	if len(eligible) == 0 {
		return // what is owned stays so until there is somebody to give it to
	}
	target := a.plan(eligible, clusters, owner)
	owns := map[types.UID][]string{}
	for _, c := range clusters {
		to := types.UID(target[c])
		at, isHeld := held[c]
		delete(held, c)
		switch {
		case isHeld && at == to:
			delete(a.Shards[at].Ends, c)
		case isHeld:
			a.take(c, at)
			continue
		case len(unknown) > 1 || len(unknown) == 1 && !unknown[to]:
			continue
		}
		owns[to] = append(owns[to], c)
	}
	delete(held, everything)
	for c, at := range held { // of what there is no more
		a.take(c, at)
	}
	a.own(owns)
}

// own sets what each replica owns.
func (a Assignment) own(clusters map[types.UID][]string) {
	for uid, s := range a.Shards {
		s.Owns = clusters[uid]
		slices.Sort(s.Owns)
		a.Shards[uid] = s
	}
}

// take ends the ownership of a cluster. It stays with its owner until that has acknowledged.
func (a Assignment) take(cluster string, from types.UID) {
	s := a.Shards[from]
	if _, already := s.Ends[cluster]; already {
		return
	}
	if s.Ends == nil {
		s.Ends = map[string]int64{}
	}
	s.Ends[cluster] = a.Generation
	a.Shards[from] = s
}

// plan asks Plan, for which replicas are names: those of one Deployment's pods, so that a replica that comes back under
// its name is drawn to what it had.
func (a Assignment) plan(eligible, clusters []string, owner map[string]string) map[string]string {
	slices.Sort(eligible)
	names, uids := map[string]string{}, map[string]string{}
	for _, uid := range eligible {
		name := a.Shards[types.UID(uid)].Replica
		if _, twice := uids[name]; twice { // one that is being replaced by its namesake
			name += "." + uid
		}
		names[uid], uids[name] = name, uid
	}
	now := make(map[string]string, len(owner))
	for c, uid := range owner {
		if name, ok := names[uid]; ok {
			now[c] = name
		}
	}
	replicas := make([]string, 0, len(uids))
	for name := range uids {
		replicas = append(replicas, name)
	}
	target := Plan(clusters, replicas, now)
	for c, name := range target {
		target[c] = uids[name]
	}
	return target
}

func sameShards(a, b Assignment) bool {
	if len(a.Shards) != len(b.Shards) {
		return false
	}
	for uid, s := range a.Shards {
		t, ok := b.Shards[uid]
		if !ok || !slices.Equal(s.Owns, t.Owns) || len(s.Ends) != len(t.Ends) || len(s.Ends) > 0 && !reflect.DeepEqual(s.Ends, t.Ends) {
			return false
		}
	}
	return true
}
