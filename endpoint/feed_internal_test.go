package endpoint

import (
	"net/netip"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint/index"
)

// TestBoundsThatAllowTheSameAskForNothing: as one of our nodes comes that the cluster could not claim anyway. A feed that
// does not run leaves what it was asked for where it is.
func TestBoundsThatAllowTheSameAskForNothing(t *testing.T) {
	part, err := index.New().Cluster("alpha", "id")
	if err != nil {
		t.Fatal(err)
	}
	bounds := func(never ...string) Bounds {
		b := Bounds{Within: []netip.Prefix{netip.MustParsePrefix("10.4.5.0/24")}}
		for _, a := range never {
			b.Never = append(b.Never, Prefixes(netip.MustParseAddr(a))...)
		}
		return b
	}
	told := 0
	f, err := NewFeed(Options{Config: &rest.Config{Host: "https://cluster.invalid"}, Part: part, Bounds: bounds("10.4.5.1", "192.0.2.1"), Changed: func() { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bounds Bounds
		asks   int
	}{
		"the same":                              {bounds("10.4.5.1", "192.0.2.1"), 0},
		"another node outside comes":            {bounds("10.4.5.1", "192.0.2.1", "192.0.2.2"), 0},
		"a node outside goes":                   {bounds("10.4.5.1"), 0},
		"they are told in another order, twice": {bounds("192.0.2.1", "10.4.5.1", "10.4.5.1"), 0},
		"a node inside comes":                   {bounds("10.4.5.1", "10.4.5.2"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			told = 0
			f.SetBounds(c.bounds)
			asked := len(f.rebound)
			for range asked {
				<-f.rebound
			}
			if asked != c.asks || told != c.asks {
				t.Errorf("it is to be listed anew %d times, and has told %d times, want %d", asked, told, c.asks)
			}
			f.SetBounds(bounds("10.4.5.1"))
			select {
			case <-f.rebound:
			default:
			}
		})
	}
}
