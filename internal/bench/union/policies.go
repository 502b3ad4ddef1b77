package main

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// policy is a FederatedNetworkPolicy, with what it means.
type policy struct {
	object *v1alpha1.FederatedNetworkPolicy
	pods   term
	rules  []rule
}

type rule struct {
	direction v1alpha1.PolicyType
	protocol  string
	own       *term // of the policy's pods, those that it is for
	peer      side
	ports     []intstr.IntOrString
	notPorts  []intstr.IntOrString
}

// side is who the peers of a rule are. Without anything they are any address.
type side struct {
	selector, not   *term
	namespace       *term // in terms of the labels of namespaces; everything() is any
	global          bool
	accounts        []string
	account         *term // in terms of the labels of accounts
	nets, outsideOf []string
}

func (s *side) selects() bool {
	return s.selector != nil || s.not != nil || s.namespace != nil || s.global || len(s.accounts) > 0 || s.account != nil
}

func (s *side) peer() *v1alpha1.FederatedPeer {
	p := &v1alpha1.FederatedPeer{Nets: s.nets, NotNets: s.outsideOf}
	text := func(t *term) *string {
		if t == nil {
			return nil
		}
		return &t.text
	}
	p.Selector, p.NotSelector, p.NamespaceSelector = text(s.selector), text(s.not), text(s.namespace)
	if s.global {
		p.NamespaceSelector = new("global()")
	}
	if len(s.accounts) > 0 || s.account != nil {
		p.ServiceAccounts = &v1alpha1.ServiceAccountMatch{Names: s.accounts, Selector: text(s.account)}
	}
	return p
}

func (r *rule) write() v1alpha1.FederatedRule {
	own := &v1alpha1.FederatedPeer{}
	if r.own != nil {
		own.Selector = &r.own.text
	}
	written := v1alpha1.FederatedRule{Action: "Allow", Protocol: r.protocol, Source: own, Destination: r.peer.peer()}
	if r.direction == v1alpha1.PolicyTypeIngress {
		written.Source, written.Destination = written.Destination, written.Source
	}
	written.Destination.Ports, written.Destination.NotPorts = r.ports, r.notPorts
	return written
}

// write makes the object of a policy.
func write(ns int, name string, pods term, of v1alpha1.ClusterScope, local v1alpha1.LocalPeers, rules ...rule) policy {
	object := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace(ns), Name: name}, Spec: v1alpha1.FederatedNetworkPolicySpec{
		Selector: pods.text, Clusters: of, LocalPeers: local,
	}}
	for i := range rules {
		if w := rules[i].write(); rules[i].direction == v1alpha1.PolicyTypeIngress {
			object.Spec.Ingress = append(object.Spec.Ingress, w)
		} else {
			object.Spec.Egress = append(object.Spec.Egress, w)
		}
	}
	return policy{object, pods, rules}
}

func ports(all ...any) (of []intstr.IntOrString) {
	for _, p := range all {
		of = append(of, intstr.Parse(fmt.Sprint(p)))
	}
	return of
}

// policies are those of the run: of everything that a rule can say and that NetworkPolicies can express.
func policies(apps int) []policy {
	const (
		in, out   = v1alpha1.PolicyTypeIngress, v1alpha1.PolicyTypeEgress
		byLabel   = v1alpha1.LocalPeersSelectors
		byAddress = v1alpha1.LocalPeersAddresses
	)
	app := func(i int) *term { return new(is("app", fmt.Sprintf("app-%d", i%apps))) }
	label := func(name, value string) *term { return new(is(name, name+"-"+value)) }
	anySpace := new(everything())
	return []policy{
		write(0, "front", is("tier", "tier-1"), anywhere(), byLabel,
			rule{direction: in, protocol: "TCP", peer: side{selector: label("tier", "2")}, ports: ports(80, "8000:8080")}),
		write(0, "named", has("canary"), anywhere(), byLabel,
			rule{direction: in, protocol: "TCP", peer: side{selector: label("zone", "1"), namespace: new(is("team", "team-2"))}, ports: ports("http")}),
		write(1, "out", everything(), remote(), byLabel,
			rule{direction: out, protocol: "TCP", peer: side{namespace: new(is("team", "team-1")), selector: label("tier", "3")}, ports: ports("http", 443)},
			rule{direction: out, protocol: "UDP", ports: ports(53)}),
		write(1, "ports-here", is("side", "side-1"), anywhere(), byLabel,
			rule{direction: out, protocol: "UDP", peer: side{namespace: anySpace, selector: label("component", "7")}, ports: ports("dns")}),
		write(2, "minus", is("zone", "zone-3"), anywhere(), byLabel,
			rule{direction: in, peer: side{namespace: anySpace, selector: label("track", "1"), not: label("zone", "1")}},
			rule{direction: in, own: label("tier", "4"), peer: side{selector: app(3)}}),
		write(2, "accounts", is("tier", "tier-5"), anywhere(), byAddress,
			rule{direction: in, protocol: "TCP", peer: side{accounts: []string{"robot", "person"}, account: new(is("trust", "high")), namespace: anySpace, selector: label("component", "9")}, ports: ports(8080)}),
		write(3, "hosts", or(is("tier", "tier-1"), has("canary")), anywhere(), byLabel,
			rule{direction: out, protocol: "TCP", peer: side{global: true}, ports: ports(10250)},
			rule{direction: in, peer: side{global: true, selector: new(is("region", "north"))}}),
		write(3, "nets", everything(), named("alpha"), byLabel,
			rule{direction: out, peer: side{namespace: anySpace, selector: label("release", "3"), nets: []string{"10.32.0.0/23", "10.32.4.0/22", "10.32.32.0/19"}, outsideOf: []string{"10.32.1.0/25", "10.32.40.0/22"}}},
			rule{direction: out, protocol: "TCP", peer: side{nets: []string{"192.0.2.0/24"}, outsideOf: []string{"192.0.2.128/25"}}, ports: ports(443)}),
		write(4, "everybody", is("track", "track-0"), named("gamma"), byLabel,
			rule{direction: in, peer: side{namespace: anySpace}}),
		write(4, "both-ways", is("side", "side-0"), inEurope(), byAddress,
			rule{direction: in, protocol: "TCP", peer: side{namespace: new(oneOf("team", "team-0", "team-3")), selector: new(starts("uid", "u1"))}, ports: ports(80, 443)},
			rule{direction: in, protocol: "SCTP", peer: side{selector: app(5), namespace: anySpace}},
			rule{direction: out, own: label("zone", "0"), protocol: "TCP", peer: side{selector: app(6), namespace: anySpace}, notPorts: ports(22, "6000:6010")}),
		write(5, "own-space", and(has("app"), notIn("tier", "tier-0", "tier-9")), remote(), byLabel,
			rule{direction: in, protocol: "TCP", peer: side{not: label("side", "1")}, ports: ports(5432)}),
		write(5, "closed", is("tier", "tier-9"), anywhere(), byLabel),
		write(6, "rare", is("app", "nobody"), anywhere(), byLabel,
			rule{direction: in, protocol: "TCP", peer: side{selector: app(1)}, ports: ports(80)}),
	}
}
