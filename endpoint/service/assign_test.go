package service

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	discoveryv1 "k8s.io/api/discovery/v1"
	"pgregory.net/rapid"
)

var anyAddr = cmpopts.EquateComparable(netip.Addr{})

func numbered4(n int) Endpoint {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
	return Endpoint{Addr: addr, Conditions: Conditions{Ready: true, Serving: true}, Target: Target{Kind: "Pod", Name: fmt.Sprint("p", n)}}
}

var groups = []Group{
	{Family: discoveryv1.AddressTypeIPv4, Ports: []Port{{Name: "http", Protocol: "TCP", Number: 8080}}},
	{Family: discoveryv1.AddressTypeIPv4, Ports: []Port{{Name: "http", Protocol: "TCP", Number: 9090}}},
	{Family: discoveryv1.AddressTypeIPv6, Ports: []Port{{Name: "http", Protocol: "TCP", Number: 8080}}},
}

// holding is who is in which group.
type holding map[int]map[int]Endpoint

func (h holding) wanted() []Grouped {
	var all []Grouped
	for g, of := range h {
		if len(of) == 0 {
			continue
		}
		one := Grouped{Group: groups[g]}
		for _, e := range of {
			one.Endpoints = append(one.Endpoints, e)
		}
		slices.SortFunc(one.Endpoints, func(a, b Endpoint) int { return a.compare(&b) })
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Grouped) int { return compareGroups(a.Group, b.Group) })
	return all
}

func equal(a, b Piece) bool {
	return a.N == b.N && a.key() == b.key() && slices.Equal(a.Endpoints, b.Endpoints)
}

// difference is how many slices are written, and how many are deleted.
func difference(before, after []Piece) (written, deleted int) {
	old := map[int]Piece{}
	for _, p := range before {
		old[p.N] = p
	}
	for _, p := range after {
		was, had := old[p.N]
		delete(old, p.N)
		if !had || !equal(was, p) {
			written++
		}
	}
	return written, len(old)
}

func TestOneChangeIsOneSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSlice := rapid.SampledFrom([]int{1, 2, 4, 10, 25}).Draw(t, "perSlice")
		taken := map[int]bool{rapid.IntRange(0, 3).Draw(t, "taken"): true}
		world := holding{0: {}, 1: {}, 2: {}}
		var have []Piece
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			changes := rapid.SampledFrom([]int{1, 1, 1, 2, 7, 25}).Draw(t, "changes")
			happened := 0
			for range changes {
				g := rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "group")
				n := rapid.IntRange(0, 60).Draw(t, "n")
				e := numbered4(n)
				e.Ready = rapid.Bool().Draw(t, "ready")
				before, had := world[g][n]
				if rapid.IntRange(0, 9).Draw(t, "goes") < 4 {
					delete(world[g], n)
					if had {
						happened++
					}
				} else {
					world[g][n] = e
					if before != e {
						happened++
					}
				}
			}
			after := Assign(world.wanted(), have, perSlice, taken)
			written, deleted := difference(have, after)
			if written > happened || deleted > happened {
				t.Fatalf("%d changes write %d slices and delete %d", happened, written, deleted)
			}
			holds(t, world, after, perSlice, taken)
			if again := Assign(world.wanted(), after, perSlice, taken); !slices.EqualFunc(again, after, equal) {
				t.Fatalf("without a change: %s", cmp.Diff(after, again, anyAddr))
			}
			have = after
		}
	})
}

func holds(t *rapid.T, world holding, pieces []Piece, perSlice int, taken map[int]bool) {
	found, numbers, sizes := map[string]map[identity]Endpoint{}, map[int]bool{}, map[string][]int{}
	for _, p := range pieces {
		if len(p.Endpoints) == 0 || len(p.Endpoints) > perSlice {
			t.Fatalf("slice %d holds %d of at most %d", p.N, len(p.Endpoints), perSlice)
		}
		if numbers[p.N] || taken[p.N] || p.N < 0 {
			t.Fatalf("number %d is used twice, or not ours", p.N)
		}
		numbers[p.N] = true
		sizes[p.key()] = append(sizes[p.key()], len(p.Endpoints))
		if found[p.key()] == nil {
			found[p.key()] = map[identity]Endpoint{}
		}
		for _, e := range p.Endpoints {
			if _, twice := found[p.key()][e.identity()]; twice {
				t.Fatalf("%s is in two slices", e.Addr)
			}
			found[p.key()][e.identity()] = e
		}
	}
	for _, g := range world.wanted() {
		if len(found[g.key()]) != len(g.Endpoints) {
			t.Fatalf("%d of %d endpoints are in slices", len(found[g.key()]), len(g.Endpoints))
		}
		for _, e := range g.Endpoints {
			if found[g.key()][e.identity()] != e {
				t.Fatalf("it holds %v, not %v", found[g.key()][e.identity()], e)
			}
		}
		delete(found, g.key())
		of := sizes[g.key()]
		slices.Sort(of)
		if len(of) > 1 && of[0]+of[1] <= perSlice/2 {
			t.Fatalf("slices are left nearly empty: %v of %d", of, perSlice)
		}
	}
	if len(found) > 0 {
		t.Fatalf("there are slices of groups that nobody wants: %v", found)
	}
}

func TestASliceOfOtherPortsIsChangedAndNotReplaced(t *testing.T) {
	had := []Piece{{N: 3, Group: groups[0], Endpoints: []Endpoint{numbered4(1)}}}
	got := Assign([]Grouped{{groups[1], []Endpoint{numbered4(1)}}}, had, 100, nil)
	if want := []Piece{{N: 3, Group: groups[1], Endpoints: []Endpoint{numbered4(1)}}}; !cmp.Equal(want, got, anyAddr) {
		t.Error(cmp.Diff(want, got, anyAddr))
	}
	got = Assign([]Grouped{{groups[2], []Endpoint{numbered4(1)}}}, had, 100, nil)
	if len(got) != 1 || got[0].N == 3 {
		t.Errorf("the address family of a slice cannot change, and got %v", got)
	}
}

// many are endpoints with numbers from one on.
func many(from, n int) (all []Endpoint) {
	for i := range n {
		all = append(all, numbered4(from+i))
	}
	return all
}

func TestSlicesThatAreNearlyEmptyAreJoined(t *testing.T) {
	had := []Piece{{N: 0, Group: groups[0], Endpoints: many(0, 10)}, {N: 1, Group: groups[0], Endpoints: many(10, 10)}, {N: 2, Group: groups[0], Endpoints: many(20, 10)}}
	left := []Endpoint{numbered4(3), numbered4(13), numbered4(23)}
	got := Assign([]Grouped{{groups[0], left}}, had, 10, nil)
	if want := []Piece{{N: 0, Group: groups[0], Endpoints: left}}; !cmp.Equal(want, got, anyAddr) {
		t.Error(cmp.Diff(want, got, anyAddr))
	}
}

func TestWhatReplacesAnEndpointTakesItsPlace(t *testing.T) {
	had := []Piece{{N: 0, Group: groups[0], Endpoints: many(0, 6)}, {N: 1, Group: groups[0], Endpoints: many(10, 9)}}
	got := Assign([]Grouped{{groups[0], append(append(many(0, 5), many(10, 9)...), numbered4(99))}}, had, 10, nil)
	if written, deleted := difference(had, got); written != 1 || deleted != 0 {
		t.Errorf("%d slices are written and %d deleted: %v", written, deleted, got)
	}
}
