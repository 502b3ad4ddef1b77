package policy

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/selector"
)

// Compile reads a policy. Its errors are Problems. A plan that comes with an error holds the rules that could be read;
// it is nil where the policy's own selector could not.
func Compile(p *v1alpha1.FederatedNetworkPolicy, local Local) (*Plan, error) {
	r := &reader{positions: map[string]int{}, plan: &Plan{
		Namespace: p.Namespace, Name: p.Name, Local: local,
		Types: typesOf(&p.Spec), Clusters: p.Spec.Clusters, LocalPeers: p.Spec.LocalPeers,
	}}
	if r.plan.LocalPeers == "" {
		r.plan.LocalPeers = v1alpha1.LocalPeersSelectors
	}
	if p.Namespace == "" {
		r.problems.add("metadata.namespace", errors.New("the policy has no namespace"))
		return nil, r.problems
	}
	r.plan.Pods = r.side("spec", &v1alpha1.FederatedPeer{Selector: &p.Spec.Selector}, "")
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	for i := range p.Spec.Ingress {
		r.rule(v1alpha1.PolicyTypeIngress, i, &p.Spec.Ingress[i])
	}
	for i := range p.Spec.Egress {
		r.rule(v1alpha1.PolicyTypeEgress, i, &p.Spec.Egress[i])
	}
	return r.plan, r.problems.orNil()
}

func typesOf(spec *v1alpha1.FederatedNetworkPolicySpec) (types []v1alpha1.PolicyType) {
	said := func(t v1alpha1.PolicyType) bool { return slices.Contains(spec.Types, t) }
	if len(spec.Types) == 0 || said(v1alpha1.PolicyTypeIngress) {
		types = append(types, v1alpha1.PolicyTypeIngress)
	}
	if len(spec.Types) == 0 && len(spec.Egress) > 0 || said(v1alpha1.PolicyTypeEgress) {
		types = append(types, v1alpha1.PolicyTypeEgress)
	}
	return types
}

// reader collects what is read, and what is wrong.
type reader struct {
	plan      *Plan
	problems  Problems
	positions map[string]int // of selectors, by what they are in canonical form
}

// rule reads one. It is in the plan only if all of it was read.
func (r *reader) rule(direction v1alpha1.PolicyType, i int, said *v1alpha1.FederatedRule) {
	before := len(r.problems)
	rule := Rule{
		Field: fmt.Sprintf("spec.ingress[%d]", i), Direction: direction, Number: i + 1,
		Protocol: said.Protocol, Members: None, NotMembers: None,
	}
	if direction == v1alpha1.PolicyTypeEgress {
		rule.Field = fmt.Sprintf("spec.egress[%d]", i)
	}
	if !r.plan.Closes(direction) {
		r.problems.add("spec.types", fmt.Errorf("there are rules of %s, and types leaves it out", direction))
	}
	if said.Action != "Allow" {
		r.problems.add(rule.Field+".action", fmt.Errorf("the action is %q: only Allow can be expressed", said.Action))
	}
	switch said.Protocol {
	case "", "TCP", "UDP", "SCTP":
	default:
		r.problems.add(rule.Field+".protocol", fmt.Errorf("the protocol is %q: it is one of TCP, UDP and SCTP", said.Protocol))
	}
	*rule.Source() = r.side(rule.Field+".source", said.Source, said.Protocol)
	*rule.Destination() = r.side(rule.Field+".destination", said.Destination, said.Protocol)
	if len(r.problems) > before {
		return
	}
	if rule.Peer.Endpoints != nil {
		rule.Members = r.position(rule.Peer.Endpoints)
		if rule.Peer.Not != nil {
			rule.NotMembers = r.position(rule.Peer.Not)
		}
	}
	r.plan.Rules = append(r.plan.Rules, rule)
}

func (r *reader) position(s *selector.Selector) int {
	text := s.String()
	at, ok := r.positions[text]
	if !ok {
		at = len(r.plan.Selectors)
		r.positions[text] = at
		r.plan.Selectors = append(r.plan.Selectors, s)
	}
	return at
}

// side reads one side of a rule.
func (r *reader) side(field string, said *v1alpha1.FederatedPeer, protocol string) Side {
	side := Side{Field: field, Ports: Ports{All: true}}
	if said == nil {
		return side
	}
	before := len(r.problems)
	side.Said.Selector = r.selector(field+".selector", said.Selector, forEndpoints)
	side.Said.NotSelector = r.selector(field+".notSelector", said.NotSelector, forEndpoints)
	side.Said.NamespaceSelector = r.selector(field+".namespaceSelector", said.NamespaceSelector, (*selector.Selector).ForNamespaces)
	if said.ServiceAccounts != nil {
		side.Said.ServiceAccounts = r.accounts(field+".serviceAccounts", said.ServiceAccounts)
	}
	side.Nets = r.nets(field+".nets", said.Nets)
	side.NotNets = r.nets(field+".notNets", said.NotNets)
	side.Ports = r.ports(field, said.Ports, said.NotPorts, protocol)
	if len(r.problems) > before {
		return side
	}
	var err error
	if side.Endpoints, err = side.Said.Endpoints(r.plan.Namespace); err != nil {
		r.problems.add(field, err)
	}
	side.Not = side.Said.NotSelector
	if side.parts, err = partsOf(field, &side.Said, r.plan.Namespace); err != nil {
		r.problems.add(field, err)
	}
	return side
}

// selector reads one that may be absent. That it cannot be rewritten is found here, where the field is known.
func (r *reader) selector(field string, text *string, rewrite func(*selector.Selector) (*selector.Selector, error)) *selector.Selector {
	if text == nil {
		return nil
	}
	s, err := selector.Parse(*text)
	if err != nil {
		r.problems.add(field, err)
		return nil
	}
	if _, err := rewrite(s); err != nil {
		r.problems.add(field, err)
		return nil
	}
	switch {
	case s.MatchesNothing():
		r.plan.Warnings.add(field, errNothing)
	case s.MatchesEverything() && s.String() != "all()" && !s.UsesGlobal():
		r.plan.Warnings.add(field, errEverything)
	}
	return s
}

var (
	errNothing    = errors.New("it matches nothing, whatever the labels are")
	errEverything = errors.New("it matches everything, whatever the labels are: if that is meant, write all()")
)

func forEndpoints(s *selector.Selector) (*selector.Selector, error) {
	if s.UsesGlobal() {
		return nil, errors.New("global() is allowed in a namespaceSelector only")
	}
	return s, nil
}

func forAccounts(s *selector.Selector) (*selector.Selector, error) {
	if _, err := forEndpoints(s); err != nil {
		return nil, err
	}
	return s.Prefix(selector.ServiceAccountPrefix)
}

// accounts reads which service accounts are meant. One that says nothing would be any address, and is what comes of a
// template whose list is empty.
func (r *reader) accounts(field string, said *v1alpha1.ServiceAccountMatch) selector.ServiceAccounts {
	if len(said.Names) == 0 && said.Selector == nil {
		r.problems.add(field, errors.New("it says neither names nor selector: leave it out if any service account is meant"))
	}
	r.accountNames(field+".names", said.Names)
	return selector.ServiceAccounts{
		Names: slices.Clone(said.Names), Selector: r.selector(field+".selector", said.Selector, forAccounts),
	}
}

// longAccount is the length from which the name of a service account is no label, as in Calico.
const longAccount = 63

// accountNames refuses names that no service account has: Calico writes them into a selector of its own, in single
// quotes, and drops the whole match where it cannot read that.
func (r *reader) accountNames(field string, names []string) {
	for _, name := range names {
		switch {
		case len(validation.IsDNS1123Subdomain(name)) > 0:
			r.problems.add(field, fmt.Errorf("%.253q is no name that a service account can have: these are lower case letters, digits, - and ., and begin and end with a letter or digit", name))
		case len(name) >= longAccount:
			r.problems.add(field, fmt.Errorf("the name %q has %d characters: from %d on it can be selected only by pcsa.projectcalico.org/name in a selector", name, len(name), longAccount))
		}
	}
}
