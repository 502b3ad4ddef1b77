package endpoint

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/endpoint/index"
)

// catalogOf is a catalog of clusters that do not answer, with pods by address.
func catalogOf(t *testing.T, clusters map[string]Bounds, pods map[string][]netip.Addr) *Catalog {
	t.Helper()
	c := NewCatalog(CatalogOptions{})
	t.Cleanup(c.Close)
	for name, b := range clusters {
		if err := c.Follow(context.Background(), Cluster{Name: name, ID: "id-" + name, Local: b.Local, Config: unanswered(), Bounds: b}); err != nil {
			t.Fatal(err)
		}
		for i, a := range pods[name] {
			c.clusters[name].part.Set(&index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: fmt.Sprint("web-", i)}, Addresses: Prefixes(a)})
		}
	}
	return c
}

func addrs(all ...string) (found []netip.Addr) {
	for _, a := range all {
		found = append(found, netip.MustParseAddr(a))
	}
	return found
}

func TestFindsAddressesThatClustersShareWithTheLocalOne(t *testing.T) {
	for _, tt := range []struct {
		name     string
		clusters map[string]Bounds
		want     []string
	}{
		{"where that has no bounds", map[string]Bounds{"here": {Local: true}, "alpha": bounds("10.4.0.0/16"), "beta": bounds("10.4.0.0/15")},
			[]string{"10.4.0.1 alpha here", "10.4.0.2 alpha beta", "10.4.0.9 alpha beta here"}},
		{"where it has some", map[string]Bounds{"here": {Local: true, Within: bounds("10.4.0.0/30").Within}, "alpha": bounds("10.4.0.0/16"), "beta": bounds("10.4.0.0/15")},
			[]string{"10.4.0.1 alpha here", "10.4.0.2 alpha beta", "10.4.0.9 alpha beta"}},
		{"where it lies apart", map[string]Bounds{"here": {Local: true, Within: bounds("10.1.0.0/16").Within}, "alpha": bounds("10.4.0.0/16")}, nil},
		{"where it has two names", map[string]Bounds{"here": {Local: true}, "alpha": {Local: true}},
			[]string{"10.4.0.1 alpha here", "10.4.0.9 alpha here"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := catalogOf(t, tt.clusters, map[string][]netip.Addr{
				"here":  addrs("10.4.0.1", "10.4.0.9", "10.1.0.1"),
				"alpha": addrs("10.4.0.1", "10.4.0.2", "10.4.0.9", "10.4.0.3", "10.4.0.3"),
				"beta":  addrs("10.4.0.2", "10.4.0.9", "10.5.0.1"),
			})
			for _, e := range c.clusters {
				e.feed.narrow()
			}
			found, total := c.Duplicates(100)
			var got []string
			for _, d := range found {
				says := d.Address.String()
				for _, o := range d.Of {
					says += " " + o.Cluster
				}
				got = append(got, says)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || total != len(tt.want) {
				t.Errorf("%d addresses (-want +got):\n%s", total, diff)
			}
		})
	}
}

// The addresses of the other clusters are looked at, and not kept.
func TestTheLocalClustersAddressesAreWhatIsLookedFor(t *testing.T) {
	many := make([]netip.Addr, 50_000)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{10, 4, byte(i >> 8), byte(i)})
	}
	c := catalogOf(t, map[string]Bounds{"here": {Local: true}, "alpha": bounds("10.4.0.0/16")}, map[string][]netip.Addr{"here": addrs("10.1.0.1", "10.4.0.7"), "alpha": many})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	found, _ := c.Duplicates(10)
	runtime.ReadMemStats(&after)
	if !slices.ContainsFunc(found, func(d Duplicate) bool { return d.Address == many[7] }) || len(found) != 1 {
		t.Errorf("it found %v", found)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("it took %d KiB to look for two addresses among %d", took>>10, len(many))
	}
}
