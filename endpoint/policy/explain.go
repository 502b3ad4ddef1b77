package policy

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/selector"
)

// Match is one thing that a rule asks of endpoints.
type Match struct {
	// Field that it stands in, such as spec.ingress[2].source.
	Field string
	// Inbound is for rules of ingress; Number is the rule's in its direction, from 1.
	Inbound bool
	Number  int
	// Source, or destination. Not is for a notSelector, which takes away.
	Source, Not bool
	// Own is for the side of the policy's own pods: of the local cluster alone.
	Own bool
	// Selector is all that is asked, in terms of all labels that an endpoint has.
	Selector *selector.Selector
}

// String says it in the words of calicoq, without the selector.
func (m Match) String() string {
	direction, side, not := "outbound", "destination", ""
	if m.Inbound {
		direction = "inbound"
	}
	if m.Source {
		side = "source"
	}
	if m.Not {
		not = "not "
	}
	return fmt.Sprintf("%s rule %d %s %smatch", direction, m.Number, side, not)
}

// Asks are all that the rules ask of endpoints, rule by rule, source before destination. A side of which nothing is
// said asks nothing.
func (p *Plan) Asks() (all []Match) {
	for i := range p.Rules {
		r := &p.Rules[i]
		for _, side := range []*Side{r.Source(), r.Destination()} {
			m := Match{
				Field: side.Field, Inbound: r.Direction == v1alpha1.PolicyTypeIngress, Number: r.Number,
				Source: side == r.Source(), Own: side == &r.Pods, Selector: side.Endpoints,
			}
			if side.Endpoints == nil {
				continue
			}
			all = append(all, m)
			if m.Selector, m.Not = side.Not, true; side.Not != nil {
				all = append(all, m)
			}
		}
	}
	return all
}

// Found is an endpoint of a cluster, and what asks for it.
type Found struct {
	Cluster  string
	Endpoint index.Endpoint
	Matches  []Match
}

// Explanation is what a policy is for, and what its rules match, each in the order of clusters and endpoints.
type Explanation struct {
	AppliesTo []Found // without matches
	Matching  []Found
}

// Eval yields what a selector matches in a cluster, as index.Index does.
type Eval func(s *selector.Selector, cluster string) iter.Seq[index.Endpoint]

// Explain says which endpoints the policy is for, and which its rules match, of the clusters that it takes endpoints
// from. What nets, notNets, protocol and ports say is not part of it.
func (p *Plan) Explain(clusters []endpoint.ClusterState, eval Eval) Explanation {
	var x Explanation
	asks := p.Asks()
	for _, c := range clusters {
		found := map[index.ID]*Found{}
		if c.Local {
			for e := range eval(p.Pods.Endpoints, c.Name) {
				if e.Kind == index.Pod {
					x.AppliesTo = append(x.AppliesTo, Found{Cluster: c.Name, Endpoint: e})
				}
			}
		}
		taken := publish.Selects(p.Clusters, c.Name, c.Labels, c.Local)
		for _, m := range asks {
			if m.Own && !c.Local || !m.Own && !taken {
				continue
			}
			for e := range eval(m.Selector, c.Name) {
				if found[e.ID] == nil {
					found[e.ID] = &Found{Cluster: c.Name, Endpoint: e}
				}
				found[e.ID].Matches = append(found[e.ID].Matches, m)
			}
		}
		for _, f := range found {
			x.Matching = append(x.Matching, *f)
		}
	}
	slices.SortFunc(x.AppliesTo, compareFound)
	slices.SortFunc(x.Matching, compareFound)
	return x
}

func compareFound(a, b Found) int {
	return cmp.Or(
		cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Endpoint.Kind, b.Endpoint.Kind),
		cmp.Compare(a.Endpoint.Namespace, b.Endpoint.Namespace), cmp.Compare(a.Endpoint.Name, b.Endpoint.Name),
	)
}
