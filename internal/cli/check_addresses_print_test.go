package cli

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/ranges"
)

// Whoever asks for the IPPools that a cluster lacks is told what nobody could look at.
func TestPoolsThatNobodyCanTellOf(t *testing.T) {
	pods := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	pools := []ranges.Pool{{Name: "default", CIDR: netip.MustParsePrefix("10.4.0.0/16"), IPPoolSpec: calico.IPPoolSpec{CIDR: "10.4.0.0/16", NATOutgoing: true}}}
	alpha := ranges.Cluster{Name: "alpha", Pools: pools}
	nodes := ranges.Unread{What: ranges.NodesOf, Why: "forbidden\x1b[2J"}
	const pool = "---\napiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata:\n  name: remote-home-10-1-0-0-16\nspec:\n  cidr: 10.1.0.0/16\n  disabled: true\n"
	for _, test := range []struct {
		name  string
		home  ranges.Cluster
		alpha ranges.Cluster
		want  outcome
	}{
		{"all is known, and a pool is missing", ranges.Cluster{Pods: pods}, alpha, outcome{Out: pool}},
		{"all is known, and none is missing", ranges.Cluster{}, alpha, outcome{Err: "cluster alpha lacks no IPPool\n"}},
		{"the nodes of the other are not known", ranges.Cluster{Unread: []ranges.Unread{nodes}}, alpha,
			outcome{Err: "nodes of cluster home could not be read: forbidden?[2J\ncluster alpha lacks no IPPool for what could be read\n"}},
		{"the nodes of the other are not known, and a pool is missing", ranges.Cluster{Pods: pods, Unread: []ranges.Unread{nodes}}, alpha,
			outcome{Out: pool, Err: "nodes of cluster home could not be read: forbidden?[2J\n"}},
		{"words of the other are not known", ranges.Cluster{Unread: []ranges.Unread{{What: ranges.NamespacesOf, Why: "forbidden"}}}, alpha,
			outcome{Err: "cluster alpha lacks no IPPool\n"}},
		{"the other was not asked", ranges.Cluster{Unasked: true}, alpha, outcome{Err: "cluster alpha lacks no IPPool for what could be read\n"}},
		{"its own pools are not known", ranges.Cluster{Pods: pods}, ranges.Cluster{Name: "alpha", Unread: []ranges.Unread{{What: ranges.IPPoolsOf, Why: "forbidden"}}},
			outcome{Err: "the IPPools of cluster alpha could not be read: forbidden\n"}},
		{"it is without Calico", ranges.Cluster{Unread: []ranges.Unread{nodes}}, ranges.Cluster{Name: "alpha"},
			outcome{Err: "cluster alpha has no IPPools at all, as it is without Calico: it lacks none\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.home.Name, test.home.Local = "home", true
			var out, stderr bytes.Buffer
			d := &deps{out: &out, err: &stderr}
			if err := d.printManifests([]ranges.Cluster{test.alpha, test.home}, "alpha"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, outcome{Out: out.String(), Err: stderr.String()}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
