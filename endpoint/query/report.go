package query

import (
	"cmp"
	"slices"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/selector"
)

// Set is an EndpointSet whose selector was read.
type Set struct {
	Name     string
	Selector *selector.Selector
	Clusters v1alpha1.ClusterScope
}

// World is what an endpoint is explained by.
type World struct {
	Policies []Policy
	Sets     []Set
}

// Explanation says which policies and sets an endpoint is in, and why.
type Explanation struct {
	Endpoint Endpoint `json:"endpoint"`
	// Policies that are for it, by namespace and name.
	Policies []Applied `json:"policies"`
	// Profiles that Calico would have for it: what it inherits labels from.
	Profiles []string `json:"profiles"`
	// RuleMatches are the parts of rules that it matches.
	RuleMatches []Match `json:"ruleMatches"`
	// EndpointSets that it is in, by name.
	EndpointSets []InSet `json:"endpointSets"`
}

// Applied is a policy that is for an endpoint.
type Applied struct {
	Namespace string                `json:"namespace"`
	Name      string                `json:"name"`
	Selector  string                `json:"selector"`
	Types     []v1alpha1.PolicyType `json:"types"`
	Because   []Label               `json:"because,omitempty"`
}

// InSet is an EndpointSet that an endpoint is in.
type InSet struct {
	Name     string  `json:"name"`
	Selector string  `json:"selector"`
	Because  []Label `json:"because,omitempty"`
}

// Explain explains the endpoints of an answer, in their order.
func (w World) Explain(a Answer) []Explanation {
	clusters := a.byName()
	explained := make([]Explanation, 0, len(a.Endpoints))
	for _, e := range a.Endpoints {
		explained = append(explained, w.explain(e, clusters[e.Cluster]))
	}
	return explained
}

// Withheld is what was not made of the policies that explanations tell of.
func (w World) Withheld(explained []Explanation) (gaps []Gap) {
	for _, p := range w.Policies {
		if slices.ContainsFunc(explained, func(x Explanation) bool { return x.tellsOf(p) }) {
			gaps = append(gaps, p.Withheld...)
		}
	}
	return gaps
}

func (x Explanation) tellsOf(p Policy) bool {
	return slices.ContainsFunc(x.Policies, func(to Applied) bool { return to.Namespace == p.Namespace && to.Name == p.Name }) ||
		slices.ContainsFunc(x.RuleMatches, func(m Match) bool { return m.Policy == p.Namespace+"/"+p.Name })
}

func (a Answer) byName() map[string]Cluster {
	clusters := map[string]Cluster{}
	for _, c := range a.Clusters {
		clusters[c.Name] = c
	}
	return clusters
}

func (w World) explain(e Endpoint, c Cluster) Explanation {
	x := Explanation{Endpoint: e, Policies: []Applied{}, Profiles: profiles(e), RuleMatches: []Match{}, EndpointSets: []InSet{}}
	for _, p := range w.Policies {
		if Applies(p.Plan, e) {
			applied := Applied{Namespace: p.Namespace, Name: p.Name, Types: p.Types}
			if s := p.Pods.Endpoints; s != nil {
				applied.Selector, applied.Because = s.String(), because(s, e)
			}
			x.Policies = append(x.Policies, applied)
		}
		x.RuleMatches = append(x.RuleMatches, Matches(p, e, c)...)
	}
	for _, s := range w.Sets {
		if InScope(s.Clusters, c) && s.Selector.MatchMap(e.Labels) {
			x.EndpointSets = append(x.EndpointSets, InSet{s.Name, s.Selector.String(), because(s.Selector, e)})
		}
	}
	return x
}

// profiles are the names of Calico's Profiles of an endpoint.
func profiles(e Endpoint) []string {
	names := []string{}
	before := ""
	if !e.Local {
		before = e.Cluster + "/"
	}
	if e.Kind == "Pod" {
		names = append(names, before+"kns."+e.Namespace)
		if e.ServiceAccount != "" {
			names = append(names, before+"ksa."+e.Namespace+"."+e.ServiceAccount)
		}
	}
	return names
}

// PolicyExplanation says which endpoints a policy is for, and which ones its rules match.
type PolicyExplanation struct {
	Namespace string                `json:"namespace"`
	Name      string                `json:"name"`
	Selector  string                `json:"selector"`
	Types     []v1alpha1.PolicyType `json:"types"`
	// AppliesTo are the pods that it is for.
	AppliesTo []AppliesTo `json:"appliesTo"`
	// Matches are the endpoints that its rules match.
	Matches []EndpointMatches `json:"matches"`
	// AnyAddress are the rules with a peer that says nothing of endpoints: it is any address, within nets if there are any.
	AnyAddress []Match `json:"anyAddress"`
	// Refused are the rules that allow nothing, whatever they match.
	Refused []Refused `json:"refused"`
}

// AppliesTo is a pod that a policy is for.
type AppliesTo struct {
	Endpoint
	Because []Label `json:"because,omitempty"`
}

// EndpointMatches are the parts of rules that an endpoint matches.
type EndpointMatches struct {
	Endpoint
	Rules []Match `json:"rules"`
}

// ExplainPolicy explains a policy by the answer to the question for its Selectors.
func ExplainPolicy(p Policy, a Answer) PolicyExplanation {
	x := PolicyExplanation{
		Namespace: p.Namespace, Name: p.Name, Types: p.Types,
		AppliesTo: []AppliesTo{}, Matches: []EndpointMatches{}, AnyAddress: append([]Match{}, Anywhere(p)...), Refused: append([]Refused{}, p.Refused...),
	}
	if p.Pods.Endpoints != nil {
		x.Selector = p.Pods.Endpoints.String()
	}
	clusters := a.byName()
	for _, e := range a.Endpoints {
		if Applies(p.Plan, e) {
			to := AppliesTo{Endpoint: e}
			if p.Pods.Endpoints != nil {
				to.Because = because(p.Pods.Endpoints, e)
			}
			x.AppliesTo = append(x.AppliesTo, to)
		}
		rules := slices.DeleteFunc(Matches(p, e, clusters[e.Cluster]), func(m Match) bool { return m.Selector == "" }) // those are for any
		if len(rules) > 0 {
			x.Matches = append(x.Matches, EndpointMatches{e, rules})
		}
	}
	return x
}

// SortPolicies puts policies in the order that they are told in.
func SortPolicies(policies []Policy) {
	slices.SortFunc(policies, func(a, b Policy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
