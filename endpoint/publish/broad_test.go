package publish

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// known is what a test says that is followed.
type known struct {
	index  *index.Index
	states map[string]endpoint.ClusterState
}

func (k known) Index() *index.Index { return k.index }

func (k known) State(name string) (endpoint.ClusterState, bool) {
	s, ok := k.states[name]
	return s, ok
}

func TestASelectorThatMatchesAllThatThereIs(t *testing.T) {
	entries := func(names ...string) (all []v1alpha1.FederatedCluster) {
		for _, name := range names {
			all = append(all, v1alpha1.FederatedCluster{Name: name})
		}
		return all
	}
	tests := []struct {
		name, selector string
		pods           []string // cluster/namespace/app
		unsynced       bool     // cluster b
		entries        []v1alpha1.FederatedCluster
		want           bool
	}{
		{"all of two namespaces", "app != 'x'", []string{"a/shop/web", "a/data/db"}, false, entries("a", "b"), true},
		{"all of two namespaces, each in one cluster", "app != 'x'", []string{"a/shop/web", "b/data/db"}, false, entries("a", "b"), true},
		{"all of one namespace", "app != 'x'", []string{"a/shop/web", "b/shop/db"}, false, entries("a", "b"), false},
		{"all but one", "app != 'db'", []string{"a/shop/web", "a/data/web", "b/data/db"}, false, entries("a", "b"), false},
		{"all but one that is in no namespace", "has(app)", []string{"a/shop/web", "a/data/web", "a//"}, false, entries("a", "b"), false},
		{"all of the clusters that are selected", "app != 'x'", []string{"a/shop/web", "a/data/db", "other/data/x"}, false, entries("a", "b"), true},
		{"nothing at all", "app != 'x'", nil, false, entries("a", "b"), false},
		{"of a cluster that somebody else follows", "app != 'x'", []string{"a/shop/web", "a/data/db"}, true, entries("a", "b"), false},
		{"of a cluster that nobody follows", "app != 'x'", []string{"a/shop/web", "a/data/db"}, true, entries("a"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			by := known{index.New(), map[string]endpoint.ClusterState{}}
			parts := map[string]*index.Cluster{}
			for _, name := range []string{"a", "b", "other"} {
				by.states[name] = endpoint.ClusterState{Name: name, Synced: name != "b" || !tt.unsynced}
				parts[name], _ = by.index.Cluster(name, "")
			}
			for i, text := range tt.pods {
				said := strings.Split(text, "/")
				e := index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: said[1], Name: text}, Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)}}
				if said[1] == "" {
					e.Kind = index.Node
				}
				if said[2] != "" {
					e.Labels = []index.Label{{Name: "app", Value: said[2]}}
				}
				parts[said[0]].Set(&e)
			}
			a := Asked{Scope: v1alpha1.ClusterScope{Names: []string{"a", "b"}}, Clusters: []Cluster{{Name: "a"}, {Name: "b"}, {Name: "other"}}, Status: v1alpha1.FederationStatus{Clusters: tt.entries}}
			got := a.Broad(by, Narrow{"spec.selector", selector.MustParse(tt.selector)})
			if len(got) > 0 != tt.want || tt.want && (got[0].Reason != v1alpha1.ReasonSelectsEverything || !strings.HasPrefix(got[0].Message, "spec.selector: ")) {
				t.Errorf("it says %v", got)
			}
			if tt.want && len(a.Broad(nil, Narrow{"spec.selector", selector.MustParse(tt.selector)})) > 0 {
				t.Error("it says so without knowing anything")
			}
		})
	}
}
