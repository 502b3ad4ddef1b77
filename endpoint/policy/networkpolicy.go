package policy

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// What the objects of a policy are, as it stands in their names: <policy>.closed-<hash>, <policy>.rules and
// <policy>.peers-<cluster>; and where there are several selections of pods, <policy>.rules-<hash> and
// <policy>.peers-<hash>-<cluster>. Neither a policy nor a cluster has a dot in its name, so that no two share one.
//
// The hash is that of the pods that are selected. What closes pods has it in any case, so that it never selects others than
// it did: a selector that is edited makes new ones, and only then takes away the old ones.
const (
	partClosed = "closed" // that close the pods
	partRules  = "rules"  // of what is allowed whatever clusters have
	partPeers  = "peers"  // of what is allowed because of what one cluster has
)

// Networks is a plan made for networking.k8s.io/v1.
type Networks struct {
	plan  *Plan
	rules []networkRule
	terms []podTerm
	own   former // of selectors of the policy's pods
	local former // of selectors of local peers
}

// networkRule is a rule that can be expressed.
type networkRule struct {
	*Rule
	native []networkingv1.NetworkPolicyPeer // pods of the local cluster that its peer stands for, by label: nil for none
}

// always says that all pods of native are let in, whatever there is in the local cluster: no notSelector takes one away by
// its address.
func (r *networkRule) always() bool { return r.NotMembers == None }

// podTerm is pods that one NetworkPolicy selects.
type podTerm struct {
	term   term
	closed bool  // it is one of those that the policy is for, and not only of those that a rule narrows it to
	rules  []int // that are for these pods
}

// NetworkPolicies makes a plan into NetworkPolicies. Its errors are Problems: a rule that cannot be expressed is left
// out of what comes with the error, which is nil where the policy's own pods cannot be selected.
func (p *Plan) NetworkPolicies() (*Networks, error) {
	n := &Networks{plan: p}
	var problems Problems
	left := maxEffort
	n.own, n.local = former{p.ownPods, &left}, former{p.localPods, &left}
	own, found := p.Pods.pods(n.own)
	if len(found) > 0 {
		return nil, found
	}
	for _, t := range own {
		n.terms = append(n.terms, podTerm{term: t, closed: true})
	}
	for i := range p.Rules {
		rule := networkRule{Rule: &p.Rules[i]}
		terms, found := n.narrowed(rule.Rule, own)
		found = append(found, rule.cannot()...)
		if p.Clusters.Local && p.LocalPeers == v1alpha1.LocalPeersSelectors && rule.Peer.Endpoints != nil && len(found) == 0 {
			rule.native, found = rule.peers(p, n.local)
		}
		if len(found) == 0 {
			found = n.add(rule, terms)
		}
		problems = append(problems, found...)
	}
	return n, problems.orNil()
}

// narrowed are the pods that a rule is for.
func (n *Networks) narrowed(r *Rule, own disjunction) (disjunction, Problems) {
	narrowed, problems := r.Pods.pods(n.own)
	if len(problems) > 0 {
		return nil, problems
	}
	all, err := n.own.conjoin([]disjunction{own, narrowed})
	if err != nil {
		problems.add(r.Pods.Field, err)
	}
	return all, problems
}

// cannot is what is said of ports and of the policy's own pods that a NetworkPolicy has no word for.
func (r *Rule) cannot() (problems Problems) {
	source, destination := r.Source(), r.Destination()
	if !source.Ports.All {
		problems.add(source.Field+".ports", errors.New("NetworkPolicy does not know the ports that traffic comes from"))
	}
	if r.Pods.Nets != nil {
		problems.add(r.Pods.Field+".nets", errors.New("NetworkPolicy does not select its own pods by address"))
	}
	if len(r.Pods.NotNets) > 0 {
		problems.add(r.Pods.Field+".notNets", errors.New("NetworkPolicy does not select its own pods by address"))
	}
	if r.Direction == v1alpha1.PolicyTypeEgress && r.Peer.Endpoints == nil && len(destination.Ports.Names) > 0 {
		problems.add(destination.Field+".ports", fmt.Errorf("the port %q has a number for endpoints alone: add a selector, or name the number", destination.Ports.Names[0]))
	}
	return problems
}

// pods are those of a side, in terms of labels that can be asked for.
func (s *Side) pods(by former) (disjunction, Problems) {
	var problems Problems
	var all []disjunction
	for _, part := range s.parts {
		d, err := by.normal(part.selector.Expr(), part.not)
		switch {
		case err != nil:
			problems.add(part.field, err)
		case len(d) == 0:
			return nil, nil // whatever the others say
		default:
			all = append(all, d)
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	d, err := by.conjoin(all)
	if err != nil {
		problems.add(s.Field, err)
	}
	return d, problems
}

// peers are the pods of the local cluster that the peer stands for, natively.
func (r *networkRule) peers(p *Plan, by former) (all []networkingv1.NetworkPolicyPeer, problems Problems) {
	d, problems := r.Peer.pods(by)
	for i := range problems {
		problems[i].Cause = fmt.Errorf("%w; spec.localPeers: Addresses can", problems[i].Cause)
	}
	if len(d) == 0 {
		return nil, problems
	}
	for _, said := range []struct {
		field string
		is    bool
	}{{".nets", r.Peer.Nets != nil}, {".notNets", len(r.Peer.NotNets) > 0}} {
		if said.is {
			problems.add(r.Peer.Field+said.field, errors.New("NetworkPolicy does not select pods by label and address together; spec.localPeers: Addresses can"))
		}
	}
	for _, t := range d {
		all = append(all, t.peer(p.Namespace))
	}
	return all, problems
}

// add files a rule under the pods that it is for.
func (n *Networks) add(r networkRule, terms disjunction) (problems Problems) {
	if r.Destination().Ports.Empty() {
		return nil
	}
	var more []podTerm
	for _, t := range terms {
		if n.find(t) < 0 {
			more = append(more, podTerm{term: t})
		}
	}
	if len(n.terms)+len(more) > maxTerms {
		problems.add(r.Pods.Field, fmt.Errorf("with it, the rules of the policy are for more than %d selections of pods", maxTerms))
		return problems
	}
	n.terms = append(n.terms, more...)
	for _, t := range terms {
		at := &n.terms[n.find(t)]
		at.rules = append(at.rules, len(n.rules))
	}
	n.rules = append(n.rules, r)
	return nil
}

func (n *Networks) find(t term) int {
	text := t.String()
	return slices.IndexFunc(n.terms, func(o podTerm) bool { return o.term.String() == text })
}

// Base returns the objects that belong to no cluster.
func (n *Networks) Base() (all []client.Object) {
	for i, t := range n.terms {
		if t.closed {
			var types []networkingv1.PolicyType
			for _, direction := range n.plan.Types {
				types = append(types, networkingv1.PolicyType(direction))
			}
			all = append(all, n.object("", partClosed, i, 1, 1, networkingv1.NetworkPolicySpec{PolicyTypes: types}))
		}
		var spec networkingv1.NetworkPolicySpec
		for _, at := range t.rules {
			r := &n.rules[at]
			ports := r.portsByName()
			switch {
			case r.Peer.Endpoints == nil:
				if blocks, bounded := r.Peer.blocks(); !bounded || len(blocks) > 0 {
					allow(&spec, r.Direction, peersOf(blocks), ports)
				}
			case len(r.native) > 0 && r.always():
				allow(&spec, r.Direction, r.native, ports)
			}
		}
		if len(spec.PolicyTypes) > 0 {
			all = append(all, n.object("", partRules, i, 1, 1, spec))
		}
	}
	return all
}

// key is the item that the objects are made for.
func (n *Networks) key() publish.Key {
	return publish.Key{Kind: publish.FederatedNetworkPolicy, Namespace: n.plan.Namespace, Name: n.plan.Name}
}

// base is the name of a part of the policy for one term, without that of a cluster.
func (n *Networks) base(part string, term int) string {
	name := n.plan.Name + "." + part
	if one := term == 0 && (len(n.terms) == 1 || !n.terms[1].closed); one && part != partClosed {
		return name
	}
	sum := sha256.Sum256([]byte(n.terms[term].term.String()))
	return name + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))
}

func (n *Networks) object(cluster, part string, term, piece, pieces int, spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
	spec.PodSelector = n.terms[term].term.labels(false)
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: publish.Meta(n.key(), cluster, n.plan.Namespace, n.base(part, term), piece, pieces, nil),
		Spec:       spec,
	}
}
