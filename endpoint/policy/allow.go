package policy

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// allow adds a rule. No peers are any peer, and no ports any traffic: whoever has none to allow does not call it.
func allow(spec *networkingv1.NetworkPolicySpec, direction v1alpha1.PolicyType, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
	if direction == v1alpha1.PolicyTypeIngress {
		spec.Ingress = append(spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: peers, Ports: ports})
	} else {
		spec.Egress = append(spec.Egress, networkingv1.NetworkPolicyEgressRule{To: peers, Ports: ports})
	}
	if t := networkingv1.PolicyType(direction); !slices.Contains(spec.PolicyTypes, t) {
		spec.PolicyTypes = append(spec.PolicyTypes, t)
	}
}

// portsByName are the ports that a rule allows, where names are those of the destination: nil for all.
func (r *Rule) portsByName() (all []networkingv1.NetworkPolicyPort) {
	ports := r.Destination().Ports
	for _, name := range ports.Names {
		all = append(all, networkingv1.NetworkPolicyPort{Protocol: r.protocol(), Port: new(intstr.FromString(name))})
	}
	return append(r.portsByNumber(ports.Ranges), all...)
}

// portsByNumber writes ranges of ports; where nothing was said of ports, all of the protocol, nil if that is any.
func (r *Rule) portsByNumber(ranges []PortRange) (all []networkingv1.NetworkPolicyPort) {
	if r.Destination().Ports.All && r.Protocol != "" {
		return []networkingv1.NetworkPolicyPort{{Protocol: r.protocol()}}
	}
	for _, span := range ranges {
		port := networkingv1.NetworkPolicyPort{Protocol: r.protocol(), Port: new(intstr.FromInt32(int32(span.First)))}
		if span.Last > span.First {
			port.EndPort = new(int32(span.Last))
		}
		all = append(all, port)
	}
	return all
}

func (r *Rule) protocol() *corev1.Protocol { return new(corev1.Protocol(r.Protocol)) }

func peersOf(blocks []block) (all []networkingv1.NetworkPolicyPeer) {
	for _, b := range blocks {
		peer := &networkingv1.IPBlock{CIDR: b.net.String()}
		for _, x := range b.except {
			peer.Except = append(peer.Except, x.String())
		}
		all = append(all, networkingv1.NetworkPolicyPeer{IPBlock: peer})
	}
	return all
}

func peersAt(prefixes []netip.Prefix) []networkingv1.NetworkPolicyPeer {
	all := make([]networkingv1.NetworkPolicyPeer, 0, len(prefixes))
	for _, p := range prefixes {
		all = append(all, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: p.String()}})
	}
	return all
}

// labels are the conditions of a term on pods, or on their namespaces.
func (t term) labels(ofNamespace bool) (s metav1.LabelSelector) {
	for i := range t {
		c := &t[i]
		switch {
		case c.key.ofNamespace != ofNamespace:
		case c.there && c.only && len(c.values) == 1:
			if s.MatchLabels == nil {
				s.MatchLabels = map[string]string{}
			}
			s.MatchLabels[c.key.label] = c.values[0]
		default:
			s.MatchExpressions = append(s.MatchExpressions, c.requirements()...)
		}
	}
	return s
}

// peer are the pods that a term stands for, in a policy of the namespace.
func (t term) peer(namespace string) (peer networkingv1.NetworkPolicyPeer) {
	pods, namespaces := t.labels(false), t.labels(true)
	ofPods := len(pods.MatchLabels)+len(pods.MatchExpressions) > 0
	if len(namespaces.MatchExpressions) == 0 && len(namespaces.MatchLabels) == 1 && namespaces.MatchLabels[metadataName] == namespace {
		peer.PodSelector = &pods // which is in the namespace of the policy
		return peer
	}
	peer.NamespaceSelector = &namespaces
	if ofPods {
		peer.PodSelector = &pods
	}
	return peer
}
