package query

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/selector"
)

// Policy is one that was read, with what is refused of it.
type Policy struct {
	*policy.Plan
	Refused []Refused
	// Withheld is what was not made of the policy for other reasons than that it is refused.
	Withheld []Gap
	// Sought are the selectors that are meant to match something; none where the target can express nothing of the policy.
	Sought []publish.Sought
}

// Refused is a rule of a policy that allows nothing, and why.
type Refused struct {
	// Direction is Ingress or Egress, Rule the number of the rule in it, from 1.
	Direction v1alpha1.PolicyType `json:"direction"`
	Rule      int                 `json:"rule"`
	// Field that is wrong, such as spec.ingress[2].source.selector.
	Field   string `json:"field"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Match is one part of a policy's rule that an endpoint, or any address, matches.
type Match struct {
	// Policy is its NAMESPACE/NAME.
	Policy string `json:"policy"`
	// Direction is Ingress or Egress, Rule the number of the rule in it, from 1.
	Direction v1alpha1.PolicyType `json:"direction"`
	Rule      int                 `json:"rule"`
	// Side is source or destination.
	Side string `json:"side"`
	// Not says that it is the notSelector that matches: what it matches is taken away.
	Not bool `json:"not,omitempty"`
	// Selector, on all labels that endpoints have, and the ranges that addresses have to be in and must not be in.
	Selector string   `json:"selector,omitempty"`
	Nets     []string `json:"nets,omitempty"`
	NotNets  []string `json:"notNets,omitempty"`
	// Refused says that the rule allows nothing, whatever it matches.
	Refused bool `json:"refused,omitempty"`
	// Because are the labels that the selector looks at.
	Because []Label `json:"because,omitempty"`
}

// Label is a label that a selector looks at, as an endpoint has it.
type Label struct {
	Name    string `json:"name"`
	Value   string `json:"value,omitempty"`
	Missing bool   `json:"missing,omitempty"`
}

// because are the labels that a selector looks at, in order.
func because(s *selector.Selector, e Endpoint) []Label {
	var seen []Label
	for _, name := range s.Expr().Labels() {
		value, ok := e.Labels[name]
		seen = append(seen, Label{Name: name, Value: value, Missing: !ok})
	}
	return seen
}

// InScope says whether endpoints of a cluster are asked for.
func InScope(scope v1alpha1.ClusterScope, c Cluster) bool {
	return publish.Selects(scope, c.Name, c.Labels, c.Local)
}

// Within is the part of an answer that is about the clusters of a scope, with the gaps that are of no cluster that is
// known not to be in it.
func (a Answer) Within(scope v1alpha1.ClusterScope) Answer {
	out := map[string]bool{}
	for _, c := range a.Clusters {
		out[c.Name] = !InScope(scope, c)
	}
	return Answer{
		Clusters:  keep(a.Clusters, func(c Cluster) bool { return !out[c.Name] }),
		Endpoints: keep(a.Endpoints, func(e Endpoint) bool { return !out[e.Cluster] }),
		Gaps:      keep(a.Gaps, func(g Gap) bool { return !out[g.Cluster] }),
	}
}

// Applies says whether a policy is for an endpoint: only pods of its namespace in the local cluster can be.
func Applies(p *policy.Plan, e Endpoint) bool {
	return e.Local && e.Kind == "Pod" && e.Namespace == p.Namespace && stands(p.Pods, e)
}

// stands says whether a side of a rule means an endpoint, as far as selectors say.
func stands(s policy.Side, e Endpoint) bool {
	return (s.Endpoints == nil || s.Endpoints.MatchMap(e.Labels)) && (s.Not == nil || !s.Not.MatchMap(e.Labels))
}

// Matches are the parts of a policy's rules that an endpoint matches, in the order of the rules: each selector by
// itself, as calicoq tells of them.
func Matches(p Policy, e Endpoint, c Cluster) []Match {
	var all []Match
	inScope := InScope(p.Clusters, c)
	for i := range p.Rules {
		r := &p.Rules[i]
		if Applies(p.Plan, e) && said(r.Pods) {
			all = append(all, matches(p, r, r.Pods, e)...)
		}
		switch {
		case r.Peer.Endpoints == nil:
			if within(r.Peer, e) && e.Kind != "NetworkSet" {
				all = append(all, newMatch(p, r, r.Peer, nil, e))
			}
		case inScope:
			all = append(all, matches(p, r, r.Peer, e)...)
		}
	}
	return all
}

// said says that a side has a selector of its own.
func said(s policy.Side) bool {
	return s.Said.Selector != nil || s.Said.NotSelector != nil || s.Said.NamespaceSelector != nil || s.Said.ServiceAccounts.Selector != nil || len(s.Said.ServiceAccounts.Names) > 0
}

func matches(p Policy, r *policy.Rule, s policy.Side, e Endpoint) (found []Match) {
	if !within(s, e) {
		return nil
	}
	if s.Endpoints != nil && s.Endpoints.MatchMap(e.Labels) {
		found = append(found, newMatch(p, r, s, s.Endpoints, e))
	}
	if s.Not != nil && s.Not.MatchMap(e.Labels) {
		m := newMatch(p, r, s, s.Not, e)
		m.Not = true
		found = append(found, m)
	}
	return found
}

func newMatch(p Policy, r *policy.Rule, s policy.Side, by *selector.Selector, e Endpoint) Match {
	m := Match{Policy: p.Namespace + "/" + p.Name, Direction: r.Direction, Rule: r.Number, Side: "destination", Nets: texts(s.Nets), NotNets: texts(s.NotNets)}
	m.Refused = slices.ContainsFunc(p.Refused, func(x Refused) bool { return x.Direction == r.Direction && x.Rule == r.Number })
	if s.Field == r.Source().Field {
		m.Side = "source"
	}
	if by != nil {
		m.Selector, m.Because = by.String(), because(by, e)
	}
	return m
}

// within says whether an endpoint has an address that nets and notNets leave.
func within(s policy.Side, e Endpoint) bool {
	if s.Nets == nil && len(s.NotNets) == 0 {
		return true
	}
	for _, text := range e.Addresses {
		a, err := prefix(text)
		if err == nil && (s.Nets == nil || slices.ContainsFunc(s.Nets, a.Overlaps)) && !slices.ContainsFunc(s.NotNets, func(n netip.Prefix) bool { return publish.Holds(n, a) }) {
			return true
		}
	}
	return false
}

func prefix(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return netip.ParsePrefix(text)
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func texts(nets []netip.Prefix) []string {
	var all []string
	for _, n := range nets {
		all = append(all, n.String())
	}
	return all
}

// Anywhere are the rules of a policy with a peer that says nothing of endpoints, and means any address within nets.
func Anywhere(p Policy) []Match {
	var all []Match
	for i := range p.Rules {
		if r := &p.Rules[i]; r.Peer.Endpoints == nil {
			all = append(all, newMatch(p, r, r.Peer, nil, Endpoint{}))
		}
	}
	return all
}

// Selectors are all that a policy says of endpoints.
func Selectors(p *policy.Plan) []string {
	var all []string
	add := func(side policy.Side) {
		for _, s := range []*selector.Selector{side.Endpoints, side.Not} {
			if s != nil {
				all = append(all, s.String())
			}
		}
	}
	add(p.Pods)
	for i := range p.Rules {
		add(p.Rules[i].Pods)
		add(p.Rules[i].Peer)
	}
	return all
}
