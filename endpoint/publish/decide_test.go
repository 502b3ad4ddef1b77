package publish

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestWhatIsSaidOfAnItem(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	since := metav1.NewTime(now.Add(-time.Hour))
	remote := func(name string) Cluster { return Cluster{Name: name, Answering: true} }
	written := func(name string) v1alpha1.FederatedCluster {
		return v1alpha1.FederatedCluster{Name: name, ObservedGeneration: 2, Endpoints: 3, Addresses: 4, Objects: 1}
	}
	all := v1alpha1.ClusterScope{All: true}
	cases := map[string]struct {
		asked                Asked
		refused              []string
		ready, readyReason   string
		readySays            string
		complete, completely string
		completeSays         string
	}{
		"everything is written": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a"), remote("b")}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{written("a"), written("b")}}},
			ready: "True", readyReason: v1alpha1.ReasonWritten, readySays: "2 objects of 2 clusters", complete: "True", completely: v1alpha1.ReasonAllClusters,
		},
		"nobody has told of a cluster": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a"), remote("b")}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{written("a")}}},
			ready: "Unknown", readyReason: v1alpha1.ReasonPending, readySays: "waiting for b", complete: "False", completely: v1alpha1.ReasonClustersMissing, completeSays: "b: nobody has told of it yet",
		},
		"nobody can be heard of": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a"), {Name: "b"}}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{written("a")}}},
			ready: "True", readyReason: v1alpha1.ReasonWritten, complete: "False", completely: v1alpha1.ReasonClustersMissing, completeSays: "b: nobody has told of it yet",
		},
		"a cluster is stale": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a")}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 2, Endpoints: 3, StaleSince: &since}}}},
			ready: "True", readyReason: v1alpha1.ReasonWritten, complete: "False", completely: v1alpha1.ReasonClustersMissing, completeSays: "a: not heard of since 2026-11-21T11:00:00Z",
		},
		"a cluster is stale, and an earlier generation was the last that something was made of it by": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a"), {Name: "b"}}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{
				{Name: "a", ObservedGeneration: 1, Endpoints: 3, StaleSince: &since}, {Name: "b", ObservedGeneration: 1, Expired: true, StaleSince: &since}}}},
			ready: "Unknown", readyReason: v1alpha1.ReasonPending, readySays: "waiting for a (it is not heard of, and generation 1 was the last that something was made of it by), b (it",
			complete: "False", completely: v1alpha1.ReasonClustersMissing,
		},
		"a cluster is stale of which nothing was ever made": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a")}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{{Name: "a", StaleSince: &since}}}},
			ready: "True", readyReason: v1alpha1.ReasonSelectsNothing, complete: "False", completely: v1alpha1.ReasonClustersMissing,
		},
		"a cluster has expired": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a")}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 2, Expired: true, StaleSince: &since}}}},
			ready: "True", readyReason: v1alpha1.ReasonSelectsNothing, complete: "False", completely: v1alpha1.ReasonClustersMissing, completeSays: "its addresses were taken away",
		},
		"a cluster has gaps": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a")}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 2, Endpoints: 1, Gaps: []string{"OutsideCIDRs: 10.9.0.1"}}}}},
			ready: "True", readyReason: v1alpha1.ReasonWritten, complete: "False", completely: v1alpha1.ReasonClustersMissing, completeSays: "a: OutsideCIDRs: 10.9.0.1",
		},
		"a named cluster is not there, another is being deleted, a third is local": {
			asked: Asked{Scope: v1alpha1.ClusterScope{Names: []string{"a", "b", "here"}}, Clusters: []Cluster{{Name: "b", Gone: true}, {Name: "here", Local: true}}, Local: "here"},
			ready: "True", readyReason: v1alpha1.ReasonWritten, complete: "False", completely: v1alpha1.ReasonClustersMissing,
			completeSays: "a: there is no RemoteCluster of this name; b: it is being deleted; here: it is the local cluster, which is taken by clusters.local: true alone",
		},
		"the local cluster is asked for and nobody follows it": {
			asked: Asked{Scope: v1alpha1.ClusterScope{Local: true}, Local: "here"},
			ready: "True", readyReason: v1alpha1.ReasonWritten, complete: "False", completely: v1alpha1.ReasonClustersMissing, completeSays: "here: the local cluster is not in the fleet",
		},
		"a selector of clusters selects one that is being deleted": {
			asked: Asked{Scope: v1alpha1.ClusterScope{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}}, Clusters: []Cluster{
				{Name: "a", Labels: map[string]string{"env": "prod"}, Gone: true}, {Name: "b", Labels: map[string]string{"env": "test"}}}},
			ready: "True", readyReason: v1alpha1.ReasonWritten, complete: "False", completely: v1alpha1.ReasonClustersMissing, completeSays: "a: it is being deleted",
		},
		"no cluster is selected": {
			asked: Asked{Scope: all},
			ready: "True", readyReason: v1alpha1.ReasonWritten, complete: "False", completely: v1alpha1.ReasonNoClusters,
		},
		"an object is refused": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a")}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 2, Refused: []string{"ConfigMap x/y is there"}}}}},
			ready: "False", readyReason: v1alpha1.ReasonOutputsRefused, readySays: "a: ConfigMap x/y is there", complete: "True", completely: v1alpha1.ReasonAllClusters,
		},
		"the leader's own object is refused": {
			asked:   Asked{Scope: all, Clusters: []Cluster{remote("a")}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{written("a")}}},
			refused: []string{"NetworkPolicy x/y was edited"},
			ready:   "False", readyReason: v1alpha1.ReasonOutputsRefused, readySays: "NetworkPolicy x/y was edited", complete: "True", completely: v1alpha1.ReasonAllClusters,
		},
		"the spec is refused": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a")}, Refused: []Statement{{v1alpha1.ReasonSelectorInvalid, "spec.selector: …"}}},
			ready: "False", readyReason: v1alpha1.ReasonSelectorInvalid, readySays: "spec.selector: …", complete: "False", completely: v1alpha1.ReasonClustersMissing,
		},
		"the spec is doubtful": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a")}, Warned: []Statement{{v1alpha1.ReasonSelectsEverything, "everything"}}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{written("a")}}},
			ready: "True", readyReason: v1alpha1.ReasonSelectsEverything, readySays: "everything", complete: "True", completely: v1alpha1.ReasonAllClusters,
		},
		"nothing matches": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a")}, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 2, Objects: 1}}}},
			ready: "True", readyReason: v1alpha1.ReasonSelectsNothing, readySays: "nothing matches", complete: "True", completely: v1alpha1.ReasonAllClusters,
		},
		"nothing matches, and nothing was asked for": {
			asked: Asked{Scope: all, Clusters: []Cluster{remote("a")}, Looked: true, Status: v1alpha1.FederationStatus{Clusters: []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 2}}}},
			ready: "True", readyReason: v1alpha1.ReasonWritten, complete: "True", completely: v1alpha1.ReasonAllClusters,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.asked.Generation = 2
			s := summarize(&c.asked, c.refused, now)
			for _, want := range []struct{ kind, status, reason, says string }{
				{v1alpha1.Ready, c.ready, c.readyReason, c.readySays}, {v1alpha1.Complete, c.complete, c.completely, c.completeSays},
			} {
				got := meta.FindStatusCondition(s.conditions, want.kind)
				if got == nil || string(got.Status) != want.status || got.Reason != want.reason || !strings.Contains(got.Message, want.says) || got.ObservedGeneration != 2 {
					t.Errorf("%s is %+v, want %s %s %q", want.kind, got, want.status, want.reason, want.says)
				}
			}
		})
	}
}

func TestOnlyWhatIsSelectedIsCounted(t *testing.T) {
	a := Asked{Scope: v1alpha1.ClusterScope{Names: []string{"a"}}, Clusters: []Cluster{{Name: "a"}, {Name: "b"}}, Status: v1alpha1.FederationStatus{
		Clusters: []v1alpha1.FederatedCluster{{Name: "a", Endpoints: 1, Addresses: 2}, {Name: "b", Endpoints: 10, Addresses: 20}}}}
	if s := summarize(&a, nil, time.Now()); s.endpoints != 1 || s.addresses != 2 {
		t.Errorf("there are %d endpoints with %d addresses", s.endpoints, s.addresses)
	}
}

func TestSelects(t *testing.T) {
	labels := map[string]string{"env": "prod"}
	prod := &metav1.LabelSelector{MatchLabels: labels}
	cases := map[string]struct {
		scope v1alpha1.ClusterScope
		local bool
		want  bool
	}{
		"all takes a remote one":                        {v1alpha1.ClusterScope{All: true}, false, true},
		"all does not take the local one":               {v1alpha1.ClusterScope{All: true}, true, false},
		"local takes the local one":                     {v1alpha1.ClusterScope{Local: true}, true, true},
		"local alone takes no remote one":               {v1alpha1.ClusterScope{Local: true}, false, false},
		"a name takes it":                               {v1alpha1.ClusterScope{Names: []string{"a"}}, false, true},
		"another name does not":                         {v1alpha1.ClusterScope{Names: []string{"b"}}, false, false},
		"its name does not take the local one":          {v1alpha1.ClusterScope{Names: []string{"a"}}, true, false},
		"its labels take it":                            {v1alpha1.ClusterScope{Selector: prod}, false, true},
		"its labels do not take the local one":          {v1alpha1.ClusterScope{Selector: prod}, true, false},
		"an empty selector takes nothing":               {v1alpha1.ClusterScope{Selector: &metav1.LabelSelector{}}, false, false},
		"a selector that cannot be read, takes nothing": {v1alpha1.ClusterScope{Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "env", Operator: "Like", Values: []string{"p"}}}}}, false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Selects(c.scope, "a", labels, c.local); got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
