package query_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/selector"
)

func TestWhatMatchesNothingOfWhatIsKnown(t *testing.T) {
	f := newFleet(t)
	f.cluster(endpoint.ClusterState{Name: "young", ID: "y"}) // which was never listed
	sought := func(text, local string) publish.Sought {
		return publish.Sought{Field: text, Selector: selector.MustParse(text), Local: local}
	}
	port := func(of publish.Sought, name string) publish.Sought {
		of.Port = index.Port{Name: name, Protocol: "TCP"}
		return of
	}
	all := v1alpha1.ClusterScope{All: true}
	for name, test := range map[string]struct {
		scope   v1alpha1.ClusterScope
		sought  publish.Sought
		cluster string // that alone is asked
		want    []string
	}{
		"something matches":                            {all, sought(`app == "web"`, ""), "", nil},
		"nothing matches":                              {all, sought(`app == "ghost"`, ""), "", []string{"any of 2 clusters"}},
		"something elsewhere":                          {v1alpha1.ClusterScope{Names: []string{"beta"}}, sought(`has(v)`, ""), "", []string{"the one cluster"}},
		"something in the local cluster alone":         {all, sought(`app == "front"`, ""), "", []string{"any of 2 clusters"}},
		"nothing in a cluster that was never listed":   {v1alpha1.ClusterScope{Names: []string{"young"}}, sought(`app == "web"`, ""), "", nil},
		"the policy's own pods":                        {all, sought(`app == "front"`, "primary"), "", nil},
		"none of the policy's own":                     {all, sought(`app == "web"`, "primary"), "", []string{"the local cluster, where the policy's pods are,"}},
		"a node where pods are asked for":              {all, sought(`!has(app)`, "primary"), "", []string{"the local cluster, where the policy's pods are,"}},
		"a port that a pod has":                        {all, port(sought(`app == "web"`, ""), "http"), "", nil},
		"a port that none has":                         {all, port(sought(`app == "web"`, ""), "sql"), "", []string{"any of 2 clusters"}},
		"a port of nobody":                             {all, port(sought(`app == "ghost"`, ""), "sql"), "", nil},
		"a port of the policy's own":                   {all, port(sought(`app == "front"`, "primary"), "sql"), "", []string{"the local cluster, where the policy's pods are,"}},
		"the policy's own, and the local is not asked": {all, sought(`app == "ghost"`, "primary"), "alpha", nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, f, query.Question{Selectors: []string{test.sought.Selector.String(), `app == "front"`}, Cluster: test.cluster})
			var got []string
			for _, u := range a.Unmatched(test.scope, []publish.Sought{test.sought}) {
				got = append(got, u.Where)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestASelectorThatNarrowsNothing(t *testing.T) {
	f := newFleet(t)
	pod(f.parts["alpha"], "other", "web", "10.4.0.7", "app=web")
	for name, test := range map[string]struct {
		cluster   string
		selectors []string
		want      bool
	}{
		"all of a cluster with two namespaces": {"alpha", []string{`app == "web"`}, true},
		"all of a cluster with one namespace":  {"beta", []string{`app == "web"`}, false},
		"not all":                              {"alpha", []string{`has(v)`}, false},
		"not all of one cluster of several":    {"", []string{`app == "web"`}, false},
		"several selectors":                    {"alpha", []string{`app == "web"`, `has(v)`}, false},
	} {
		a := ask(t, f, query.Question{Selectors: test.selectors, Cluster: test.cluster})
		if got := a.Everything(); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// What a target refuses is marked in what it matches.
func TestARuleThatIsRefusedIsMarked(t *testing.T) {
	f := newFleet(t)
	p := plan(t, func(s *v1alpha1.FederatedNetworkPolicySpec) {
		s.Ingress = []v1alpha1.FederatedRule{rule(&v1alpha1.FederatedPeer{Selector: new(`app == "web"`)}), rule(&v1alpha1.FederatedPeer{Selector: new(`has(app)`)}), rule(nil)}
	})
	p.Refused = []query.Refused{{Direction: v1alpha1.PolicyTypeIngress, Rule: 2}, {Direction: v1alpha1.PolicyTypeEgress, Rule: 1}, {Direction: v1alpha1.PolicyTypeIngress, Rule: 3}}
	x := query.ExplainPolicy(p, ask(t, f, query.Question{Selectors: query.Selectors(p.Plan), Cluster: "beta"}))
	got := map[string]bool{}
	for _, m := range append(x.Matches[0].Rules, x.AnyAddress...) {
		got[fmt.Sprint(m.Direction, m.Rule)] = m.Refused
	}
	if diff := cmp.Diff(map[string]bool{"Ingress1": false, "Ingress2": true, "Ingress3": true}, got); diff != "" || len(x.Refused) != 3 {
		t.Errorf("%d are said to be refused: %s", len(x.Refused), diff)
	}
}
