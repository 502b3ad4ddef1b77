package policytest

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/fedtest"
)

// Side is what one side of a rule says, with what its selectors mean.
type Side struct {
	Said                                      *v1alpha1.FederatedPeer
	Selector, NotSelector, Namespace, Account *fedtest.Term
	Global                                    bool
}

// Rule is one with its sides, said as it stands in the object.
type Rule struct {
	Said                v1alpha1.FederatedRule
	Source, Destination Side
}

var (
	ownVocabulary = []string{"app", "app", "app", "tier", "tier", "-x", "projectcalico.org/namespace", "hawser.io/cluster", "hawser.io/cluster-id", "projectcalico.org/orchestrator", "pcns.projectcalico.org/name"}
	allVocabulary = append(slices.Clone(ownVocabulary), "pcns.env", "pcns.team", "pcns.kubernetes.io/metadata.name")
	ofAccounts    = []string{"pcsa.env", "projectcalico.org/serviceaccount"}
	ofNamespaces  = []string{"env", "team", "projectcalico.org/name", "kubernetes.io/metadata.name"}
	someNets      = []string{"10.0.0.0/8", "10.1.0.0/29", "10.1.0.4/30", "10.2.0.0/16", "10.0.0.2/32", "192.0.2.0/24", "fd00::/8", "fd00:1::2/128", "0.0.0.0/0", "10.1.0.3/31"}
)

// drawPeer draws the other side of a rule.
func drawPeer(t *rapid.T) (s Side) {
	if oneIn(t, 6, "nothing said") {
		return s
	}
	s.Said = &v1alpha1.FederatedPeer{}
	vocabulary := allVocabulary
	if oneIn(t, 6, "by labels of accounts") {
		vocabulary = append(slices.Clone(vocabulary), ofAccounts...)
	}
	if !oneIn(t, 3, "without selector") {
		e := drawExpression(t, vocabulary, 2)
		s.Selector, s.Said.Selector = &e, &e.Text
	}
	if oneIn(t, 3, "not") {
		e := drawExpression(t, vocabulary, 1)
		if oneIn(t, 2, "what is no pod") { // and may have the address of one
			e = fedtest.Term{Text: "!has(projectcalico.org/orchestrator)", Holds: fedtest.Not(fedtest.Has("projectcalico.org/orchestrator")).Holds}
		}
		s.NotSelector, s.Said.NotSelector = &e, &e.Text
	}
	switch {
	case oneIn(t, 10, "global"):
		s.Global, s.Said.NamespaceSelector = true, new("global()")
	case oneIn(t, 2, "namespaces"):
		e := drawExpression(t, ofNamespaces, 1)
		s.Namespace, s.Said.NamespaceSelector = &e, &e.Text
	}
	if oneIn(t, 8, "accounts") {
		s.Said.ServiceAccounts = &v1alpha1.ServiceAccountMatch{Names: someOf(t, "names", 0, 2, accountNames[1:])}
		if oneIn(t, 2, "labels of accounts") {
			e := drawExpression(t, namespaceKeys, 0)
			s.Account, s.Said.ServiceAccounts.Selector = &e, &e.Text
		}
	}
	rare := 2
	if s.Selects() {
		rare = 6
	}
	if oneIn(t, rare, "nets") {
		s.Said.Nets = someOf(t, "nets", 1, 3, someNets)
	}
	if oneIn(t, rare, "not nets") {
		s.Said.NotNets = someOf(t, "not nets", 1, 3, someNets)
	}
	return s
}

// drawOwn draws the side of the policy's own pods.
func drawOwn(t *rapid.T) (s Side) {
	if !oneIn(t, 3, "narrowed") {
		return s
	}
	s.Said = &v1alpha1.FederatedPeer{}
	if !oneIn(t, 4, "without selector") {
		e := drawExpression(t, ownVocabulary, 1)
		s.Selector, s.Said.Selector = &e, &e.Text
	}
	if oneIn(t, 4, "not") {
		e := drawExpression(t, ownVocabulary, 1)
		s.NotSelector, s.Said.NotSelector = &e, &e.Text
	}
	if oneIn(t, 5, "namespaces") {
		e := drawExpression(t, []string{"projectcalico.org/name", "kubernetes.io/metadata.name"}, 1)
		s.Namespace, s.Said.NamespaceSelector = &e, &e.Text
	}
	switch number(t, 16, "what cannot be") {
	case 0:
		s.Said.Nets = []string{"10.0.0.0/24"}
	case 1:
		s.Said.ServiceAccounts = &v1alpha1.ServiceAccountMatch{Names: []string{"robot"}}
	}
	return s
}

func drawPorts(t *rapid.T) (all []intstr.IntOrString) {
	for range 1 + number(t, 3, "ports") {
		all = append(all, oneOf(t, "port", []intstr.IntOrString{
			intstr.FromInt32(80), intstr.FromInt32(53), intstr.FromString("80:81"), intstr.FromString("8000:9000"), intstr.FromString("1:65535"),
		}))
	}
	return all
}

func drawNames(t *rapid.T) (all []intstr.IntOrString) {
	for _, name := range someOf(t, "names of ports", 1, 2, PortNames) {
		all = append(all, intstr.FromString(name))
	}
	return all
}

func drawRule(t *rapid.T, ingress bool) (r Rule) {
	r.Said.Action = "Allow"
	r.Source, r.Destination = drawOwn(t), drawPeer(t)
	if ingress {
		r.Source, r.Destination = drawPeer(t), drawOwn(t)
	}
	r.Said.Protocol = oneOf(t, "protocol", []string{"", "TCP", "TCP", "TCP", "UDP", "SCTP"})
	if r.Said.Protocol != "" && oneIn(t, 2, "with ports") {
		if r.Destination.Said == nil {
			r.Destination.Said = &v1alpha1.FederatedPeer{}
		}
		d := r.Destination.Said
		switch number(t, 8, "kind of ports") {
		case 0, 1:
			d.Ports = drawPorts(t)
		case 2, 3:
			d.Ports = drawNames(t)
		case 4:
			d.Ports = append(drawPorts(t), drawNames(t)...)
		case 5:
			d.NotPorts = drawPorts(t)
		case 6:
			d.Ports, d.NotPorts = drawPorts(t), drawPorts(t)
		default:
			d.Ports = drawPorts(t)
			if r.Source.Said == nil {
				r.Source.Said = &v1alpha1.FederatedPeer{}
			}
			r.Source.Said.NotPorts = drawNames(t)
		}
	}
	r.Said.Source, r.Said.Destination = r.Source.Said, r.Destination.Said
	return r
}

// Policy is one of namespace shop, with what its selectors mean.
type Policy struct {
	Object          *v1alpha1.FederatedNetworkPolicy
	Ingress, Egress []Rule
	Withheld        map[string]bool // fields of rules that were told to allow no local pod

	own fedtest.Term // its selector
}

// DrawPolicy draws one, of which a part may be refused.
func DrawPolicy(t *rapid.T) *Policy {
	d := &Policy{Object: &v1alpha1.FederatedNetworkPolicy{}, own: drawExpression(t, ownVocabulary, 2)}
	switch number(t, 5, "shape of the selector") {
	case 0: // several disjuncts
		one, two := drawExpression(t, []string{"app"}, 0), drawExpression(t, []string{"tier"}, 0)
		d.own = fedtest.Term{Text: one.Text + " || " + two.Text, Holds: fedtest.Or(one, two).Holds}
	case 1, 2:
		d.own = fedtest.Term{Holds: fedtest.Everything().Holds}
	}
	if oneIn(t, 20, "a part of a value") {
		d.own = fedtest.Ends("app", "x")
	}
	d.Object.Namespace, d.Object.Name = "shop", "rules"
	spec := &d.Object.Spec
	spec.Selector = d.own.Text
	spec.Types = oneOf(t, "types", [][]v1alpha1.PolicyType{nil, {"Ingress"}, {"Egress"}, {"Egress", "Ingress"}})
	if len(spec.Types) != 1 || spec.Types[0] == "Ingress" {
		for range number(t, 5, "ingress rules") {
			d.Ingress = append(d.Ingress, drawRule(t, true))
			spec.Ingress = append(spec.Ingress, d.Ingress[len(d.Ingress)-1].Said)
		}
	}
	if len(spec.Types) != 1 || spec.Types[0] == "Egress" {
		for range number(t, 5, "egress rules") {
			d.Egress = append(d.Egress, drawRule(t, false))
			spec.Egress = append(spec.Egress, d.Egress[len(d.Egress)-1].Said)
		}
	}
	spec.Clusters = v1alpha1.ClusterScope{Local: !oneIn(t, 4, "local"), Names: []string{"a", "b"}}
	spec.LocalPeers = oneOf(t, "local peers", []v1alpha1.LocalPeers{"", "Selectors", "Selectors", "Addresses"})
	return d
}
