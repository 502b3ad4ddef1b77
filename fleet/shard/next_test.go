package shard

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// model is the protocol without clocks and API servers: a store with compare-and-swap, leaders with views of any age,
// and replicas that see assignments late, end things late, and die.
type model struct {
	stored   *Assignment // nil: the ConfigMap is not there
	version  int
	leases   map[types.UID]*modelLease // as the API server has them
	replicas map[types.UID]*modelReplica
	clusters []string
	now      int64
	uids     int
}

type modelLease struct {
	replica string
	acked   int64
}

type modelReplica struct {
	seen   int64
	owned  map[string]bool
	ending map[string]int64
	dead   bool // it does nothing any more, as its fence is closed
}

func (m *model) join(name string) {
	m.uids++
	uid := types.UID(fmt.Sprintf("uid-%d", m.uids))
	m.leases[uid] = &modelLease{replica: name}
	m.replicas[uid] = &modelReplica{owned: map[string]bool{}, ending: map[string]int64{}}
}

// see lets a replica take in the stored assignment.
func (m *model) see(uid types.UID) {
	r := m.replicas[uid]
	if m.stored == nil || r.dead || m.stored.Generation <= r.seen {
		return
	}
	before := r.seen
	r.seen = m.stored.Generation
	wanted := m.stored.Shards[uid].Owns
	for c := range r.owned {
		if !slices.Contains(wanted, c) {
			delete(r.owned, c)
			r.ending[c] = before
		}
	}
	for _, c := range wanted {
		if _, ending := r.ending[c]; !ending {
			r.owned[c] = true
		}
	}
}

// finish lets a replica end one cluster.
func (m *model) finish(uid types.UID, c string) {
	r := m.replicas[uid]
	if _, ending := r.ending[c]; !ending {
		return
	}
	delete(r.ending, c)
	if m.stored != nil && m.stored.Generation == r.seen && slices.Contains(m.stored.Shards[uid].Owns, c) {
		r.owned[c] = true // it was given back meanwhile
	}
}

func (m *model) ack(uid types.UID) {
	r := m.replicas[uid]
	if l := m.leases[uid]; l != nil && !r.dead {
		ack := r.seen
		for _, before := range r.ending {
			ack = min(ack, before)
		}
		l.acked = max(l.acked, ack)
	}
}

// view is what a leader has read.
type view struct {
	assignment Assignment
	version    int
	peers      map[types.UID]peer
	clusters   []string
	fresh      int64
}

func (m *model) read() view {
	v := view{version: m.version, peers: map[types.UID]peer{}, clusters: slices.Clone(m.clusters), fresh: m.now}
	if m.stored != nil {
		v.assignment = m.stored.clone()
	}
	for uid, l := range m.leases {
		v.peers[uid] = peer{replica: l.replica, acked: l.acked, eligible: true}
	}
	return v
}

// write stores what follows from a view, unless somebody else was faster.
func (m *model) write(v view) {
	after, changed := next(v.assignment, v.peers, v.clusters, v.fresh)
	if changed && v.version == m.version {
		m.version++
		m.stored = &after
	}
}

func (m *model) check(t *rapid.T) {
	for _, c := range []string{"a", "b", "c", "d", "e", "f"} {
		var at []types.UID
		for uid, r := range m.replicas {
			if _, ending := r.ending[c]; !r.dead && (r.owned[c] || ending) {
				at = append(at, uid)
			}
		}
		if len(at) > 1 {
			t.Fatalf("cluster %q is worked on by %v; assigned is %+v", c, at, m.stored)
		}
	}
}

func TestNoClusterIsEverInTwoReplicas(t *testing.T) {
	for range 5 { // what it has to find takes a few hundred attempts
		rapid.Check(t, protocol)
	}
}

func protocol(t *rapid.T) {
	m := &model{leases: map[types.UID]*modelLease{}, replicas: map[types.UID]*modelReplica{}, now: 1000}
	names := []string{"hawser-0", "hawser-1", "hawser-2"}
	var views []view
	one := func(t *rapid.T) types.UID {
		if m.uids == 0 {
			m.join(names[0])
		}
		return types.UID(fmt.Sprintf("uid-%d", rapid.IntRange(max(1, m.uids-3), m.uids).Draw(t, "replica")))
	}
	cluster := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
	t.Repeat(map[string]func(*rapid.T){
		"":       m.check,
		"join":   func(t *rapid.T) { m.join(rapid.SampledFrom(names).Draw(t, "name")) },
		"see":    func(t *rapid.T) { m.see(one(t)) },
		"finish": func(t *rapid.T) { m.finish(one(t), cluster.Draw(t, "cluster")) },
		"ack":    func(t *rapid.T) { m.ack(one(t)) },
		"read":   func(*rapid.T) { m.now += 1000; views = append(views, m.read()) },
		"write":  func(*rapid.T) { m.now += 1000; m.write(m.read()) },
		"late": func(*rapid.T) { // a leader that was stopped goes on
			if len(views) > 0 {
				m.write(views[0])
				views = views[1:]
			}
		},
		"obey": func(t *rapid.T) {
			m.now += 1000
			m.write(m.read())
			uid := one(t)
			m.see(uid)
			m.ack(uid)
		},
		"declare": func(t *rapid.T) {
			if c := cluster.Draw(t, "cluster"); !slices.Contains(m.clusters, c) {
				m.clusters = append(m.clusters, c)
			}
		},
		"delete": func(t *rapid.T) {
			c := cluster.Draw(t, "cluster")
			m.clusters = slices.DeleteFunc(m.clusters, func(o string) bool { return o == c })
		},
		"die": func(t *rapid.T) { // its Lease is deleted, when its fence has closed
			if rapid.Bool().Draw(t, "luck") {
				return
			}
			uid := one(t)
			m.replicas[uid].dead = true
			delete(m.leases, uid)
		},
		"lose the ConfigMap": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "luck") == 0 {
				m.version++
				m.stored = nil
			}
		},
	})
	// Left alone, everything finds its place.
	for range 10 {
		m.now += 1000
		m.write(m.read())
		for uid := range m.replicas {
			m.see(uid)
			for _, c := range []string{"a", "b", "c", "d", "e", "f"} {
				m.finish(uid, c)
			}
			m.ack(uid)
		}
		m.check(t)
	}
	if len(m.leases) == 0 {
		return
	}
	for _, c := range m.clusters {
		if m.stored.Owner(c) == "" {
			t.Fatalf("nobody owns %q: %+v", c, m.stored)
		}
	}
}
