package fedtest

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Set is an EndpointSet, with what its selector means.
type Set struct {
	Object   *v1alpha1.EndpointSet
	Selector Term
}

// NewSet makes the object of a set.
func NewSet(name string, selector Term, of v1alpha1.ClusterScope, outputs ...v1alpha1.EndpointOutput) Set {
	return Set{&v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.EndpointSetSpec{
		Selector: selector.Text, Clusters: of, Outputs: outputs,
	}}, selector}
}

// Policy is a FederatedNetworkPolicy, with what it means. Its target is NetworkPolicy, and ports that it names by number
// are compared at some numbers alone: see probes.
type Policy struct {
	Object *v1alpha1.FederatedNetworkPolicy
	// Pods are those that it is for.
	Pods  Term
	Rules []Rule
}

// Rule is one of a policy.
type Rule struct {
	Direction v1alpha1.PolicyType
	Protocol  string
	Own       *Term // which of the policy's pods it is for; nil: all
	Peer      Side
	Ports     []intstr.IntOrString
	NotPorts  []intstr.IntOrString
}

// Side is who the peers of a rule are. Without anything they are any address.
type Side struct {
	Selector, Not   *Term
	Namespace       *Term // in terms of the labels of namespaces; Everything is any
	Global          bool
	Accounts        []string
	Account         *Term // in terms of the labels of accounts
	Nets, OutsideOf []string
}

func (s *Side) selects() bool {
	return s.Selector != nil || s.Not != nil || s.Namespace != nil || s.Global || len(s.Accounts) > 0 || s.Account != nil
}

func (s *Side) peer() *v1alpha1.FederatedPeer {
	p := &v1alpha1.FederatedPeer{Nets: s.Nets, NotNets: s.OutsideOf}
	text := func(t *Term) *string {
		if t == nil {
			return nil
		}
		return &t.Text
	}
	p.Selector, p.NotSelector, p.NamespaceSelector = text(s.Selector), text(s.Not), text(s.Namespace)
	if s.Global {
		p.NamespaceSelector = new("global()")
	}
	if len(s.Accounts) > 0 || s.Account != nil {
		p.ServiceAccounts = &v1alpha1.ServiceAccountMatch{Names: s.Accounts, Selector: text(s.Account)}
	}
	return p
}

func (r *Rule) write() v1alpha1.FederatedRule {
	own := &v1alpha1.FederatedPeer{}
	if r.Own != nil {
		own.Selector = &r.Own.Text
	}
	written := v1alpha1.FederatedRule{Action: "Allow", Protocol: r.Protocol, Source: own, Destination: r.Peer.peer()}
	if r.Direction == v1alpha1.PolicyTypeIngress {
		written.Source, written.Destination = written.Destination, written.Source
	}
	written.Destination.Ports, written.Destination.NotPorts = r.Ports, r.NotPorts
	return written
}

// NewPolicy makes the object of a policy.
func NewPolicy(namespace, name string, pods Term, of v1alpha1.ClusterScope, local v1alpha1.LocalPeers, rules ...Rule) Policy {
	object := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.FederatedNetworkPolicySpec{
		Selector: pods.Text, Clusters: of, LocalPeers: local,
	}}
	for i := range rules {
		if w := rules[i].write(); rules[i].Direction == v1alpha1.PolicyTypeIngress {
			object.Spec.Ingress = append(object.Spec.Ingress, w)
		} else {
			object.Spec.Egress = append(object.Spec.Egress, w)
		}
	}
	return Policy{object, pods, rules}
}

// Ports are numbers, names, and ranges such as "8000:8080".
func Ports(all ...any) (of []intstr.IntOrString) {
	for _, p := range all {
		of = append(of, intstr.Parse(fmt.Sprint(p)))
	}
	return of
}
