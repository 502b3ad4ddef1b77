package ranges

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// What meetings finds is what comparing each cluster with each other finds.
func TestMeetingsAreThoseOfAllPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	for round := range 400 {
		var clusters []Cluster
		draw := func() (all []netip.Prefix) {
			for range random.IntN(3) {
				bits := 22 + random.IntN(6)
				all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(4)), byte(random.IntN(256))}), bits).Masked())
			}
			return all
		}
		for i := range 2 + random.IntN(4) {
			c := Cluster{Name: fmt.Sprint("c", i), Local: i == 0 && round%2 == 0, Pods: draw(), Services: draw(), Nodes: draw(), Within: draw()}
			if i > 0 && random.IntN(3) == 0 {
				c.Pods, c.Within = clusters[0].Pods, clusters[i-1].Within
			}
			clusters = append(clusters, c)
		}
		sites := sitesOf(clusters)
		wanted := func(x, y class) bool {
			return (x.kind != within || !x.local) && (y.kind != within || !y.local)
		}
		type pair struct {
			a int
			x kind
			b int
			y kind
		}
		one := func(a int, x kind, b int, y kind) pair {
			if b < a || a == b && y < x {
				return pair{b, y, a, x}
			}
			return pair{a, x, b, y}
		}
		want, got := map[pair][]netip.Prefix{}, map[pair]bool{}
		for a := range sites {
			for b := range sites {
				for x := range kinds {
					for y := range kinds {
						shared := intersect(sites[a].of[x], sites[b].of[y])
						if a != b && len(shared) > 0 && wanted(class{x, sites[a].Local}, class{y, sites[b].Local}) {
							want[one(a, x, b, y)] = shared
						}
					}
				}
			}
		}
		for _, m := range meetings(sites, wanted) {
			if !slices.IsSorted(m.as) || !slices.IsSorted(m.bs) || len(m.shared) == 0 {
				t.Fatalf("%+v", m)
			}
			as := m.as
			if m.x == m.y { // of several with one range, the first is set against the others
				as = append(slices.Clone(as), m.bs...)
			}
			for _, a := range as {
				for _, b := range m.bs {
					if a != b && len(intersect(intersect(sites[a].of[m.x], sites[b].of[m.y]), m.shared)) > 0 {
						got[one(a, m.x, b, m.y)] = true
					}
				}
			}
			if len(m.as) == 1 && len(m.bs) == 1 {
				if shared := want[one(m.as[0], m.x, m.bs[0], m.y)]; len(shared) == 0 || len(outside(m.shared, sitesOf([]Cluster{{Pods: shared}})[0].of[pods])) > 0 {
					t.Fatalf("round %d: %+v is not shared: %v", round, m, shared)
				}
			}
		}
		for p, shared := range want {
			if !got[p] {
				t.Fatalf("round %d: nothing tells of %+v: %v", round, p, shared)
			}
		}
	}
}

// intersect are the addresses that both have.
func intersect(a, b []netip.Prefix) (both []netip.Prefix) {
	for _, x := range a {
		for _, y := range b {
			if x.Overlaps(y) {
				if x.Bits() < y.Bits() {
					both = append(both, y)
				} else {
					both = append(both, x)
				}
			}
		}
	}
	return both
}
