package policy_test

import (
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hawser-io/hawser/endpoint/index"
)

// This is what NetworkPolicies mean, written from the documentation of Kubernetes ("Network Policies" and the API
// reference of networking.k8s.io/v1), for pods of one cluster.
type kubernetes struct {
	namespaces map[string]map[string]string
	pods       []*thing
	policies   []*networkingv1.NetworkPolicy
	selectors  map[*metav1.LabelSelector]labels.Selector
}

func (k *kubernetes) selects(s *metav1.LabelSelector, of map[string]string) bool {
	by := k.selectors[s]
	if by == nil {
		var err error
		if by, err = metav1.LabelSelectorAsSelector(s); err != nil {
			panic(err)
		}
		if k.selectors == nil {
			k.selectors = map[*metav1.LabelSelector]labels.Selector{}
		}
		k.selectors[s] = by
	}
	return by.Matches(labels.Set(of))
}

// allows: a pod is isolated in a direction if a policy selects it that has the direction among its policyTypes. Then
// what at least one rule of one of these policies allows is allowed.
func (k *kubernetes) allows(f flow) bool {
	direction := networkingv1.PolicyTypeEgress
	if f.Ingress {
		direction = networkingv1.PolicyTypeIngress
	}
	isolated := false
	for _, p := range k.policies {
		if p.Namespace != f.Pod.Namespace || !slices.Contains(p.Spec.PolicyTypes, direction) || !k.selects(&p.Spec.PodSelector, f.Pod.Own) {
			continue
		}
		isolated = true
		if f.Ingress {
			for _, r := range p.Spec.Ingress {
				if k.from(p.Namespace, r.From, f.Peer) && k.through(r.Ports, f, f.Pod) {
					return true
				}
			}
			continue
		}
		for _, r := range p.Spec.Egress {
			if k.from(p.Namespace, r.To, f.Peer) && k.through(r.Ports, f, k.podAt(f.Peer)) {
				return true
			}
		}
	}
	return !isolated
}

// from: an empty list is everything. An ipBlock is a range without its exceptions. A podSelector alone selects pods in
// the policy's namespace, a namespaceSelector alone all pods of the namespaces, both the pods in the namespaces.
func (k *kubernetes) from(namespace string, peers []networkingv1.NetworkPolicyPeer, a netip.Addr) bool {
	if len(peers) == 0 {
		return true
	}
	for i := range peers {
		if k.isPeer(namespace, &peers[i], a) {
			return true
		}
	}
	return false
}

func (k *kubernetes) isPeer(namespace string, p *networkingv1.NetworkPolicyPeer, a netip.Addr) bool {
	if b := p.IPBlock; b != nil {
		return netip.MustParsePrefix(b.CIDR).Contains(a) && !slices.ContainsFunc(b.Except, func(x string) bool { return netip.MustParsePrefix(x).Contains(a) })
	}
	pod := k.podAt(a)
	switch {
	case pod == nil:
		return false
	case p.NamespaceSelector == nil && pod.Namespace != namespace:
		return false
	case p.NamespaceSelector != nil && !k.selects(p.NamespaceSelector, k.namespaces[pod.Namespace]):
		return false
	}
	return p.PodSelector == nil || k.selects(p.PodSelector, pod.Own)
}

// through: an empty list is everything. A protocol that is not said is TCP. A named port is that of the pod that the
// traffic goes to.
func (k *kubernetes) through(ports []networkingv1.NetworkPolicyPort, f flow, destination *thing) bool {
	if len(ports) == 0 {
		return true
	}
	return slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		protocol := "TCP"
		if p.Protocol != nil {
			protocol = string(*p.Protocol)
		}
		switch {
		case protocol != f.Protocol:
			return false
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			return destination != nil && slices.Contains(destination.Ports, index.Port{Name: p.Port.StrVal, Protocol: protocol, Number: f.Port})
		}
		last := p.Port.IntVal
		if p.EndPort != nil {
			last = *p.EndPort
		}
		return p.Port.IntVal <= int32(f.Port) && int32(f.Port) <= last
	})
}

func (k *kubernetes) podAt(a netip.Addr) *thing {
	for _, p := range k.pods {
		if p.At(a) {
			return p
		}
	}
	return nil
}
