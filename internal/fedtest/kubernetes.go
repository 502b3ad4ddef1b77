package fedtest

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// This is what NetworkPolicies mean, by the documentation of Kubernetes ("Network Policies", and the API reference of
// networking.k8s.io/v1), for the pods of the local cluster.

// flow is traffic of a pod in a direction, to a port of the one that it goes to.
type flow struct {
	direction v1alpha1.PolicyType
	protocol  corev1.Protocol
	port      int32
}

// network is some NetworkPolicies in a world.
type network struct {
	world   *World
	pods    []*thing // of the local cluster
	objects []*networkObject
	strange func(o *Written, a netip.Addr)
}

type networkObject struct {
	*Written
	pods  labels.Selector
	rules []networkRule
}

type networkRule struct {
	direction v1alpha1.PolicyType
	ports     []networkingv1.NetworkPolicyPort
	set       addresses // of ranges, and of pods that are selected
	native    []*thing  // these pods
	ranges    addresses
}

func (w *World) enforce(objects []*Written, strange func(o *Written, a netip.Addr)) (n *network, err error) {
	n = &network{world: w, strange: strange}
	for _, c := range w.clusters {
		for _, t := range w.things[c] {
			if c.Local && !t.node {
				n.pods = append(n.pods, t)
			}
		}
	}
	for _, o := range objects {
		e := &networkObject{Written: o}
		if e.pods, err = metav1.LabelSelectorAsSelector(&o.policy.Spec.PodSelector); err != nil {
			return nil, err
		}
		add := func(direction v1alpha1.PolicyType, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) error {
			r, err := n.rule(o, peers)
			r.direction, r.ports = direction, ports
			e.rules = append(e.rules, r)
			return err
		}
		for _, r := range o.policy.Spec.Ingress {
			if err := add(v1alpha1.PolicyTypeIngress, r.From, r.Ports); err != nil {
				return nil, err
			}
		}
		for _, r := range o.policy.Spec.Egress {
			if err := add(v1alpha1.PolicyTypeEgress, r.To, r.Ports); err != nil {
				return nil, err
			}
		}
		n.objects = append(n.objects, e)
	}
	return n, nil
}

// rule reads the peers of a rule. None are any peer.
func (n *network) rule(o *Written, peers []networkingv1.NetworkPolicyPeer) (r networkRule, err error) {
	r.ranges = n.world.none()
	if len(peers) == 0 {
		r.ranges = n.world.any()
	}
	for i := range peers {
		p := &peers[i]
		if p.IPBlock == nil {
			if err := n.selected(&r, o.Namespace, p); err != nil {
				return r, err
			}
			continue
		}
		block, err := netip.ParsePrefix(p.IPBlock.CIDR)
		if err != nil {
			return r, err
		}
		if len(p.IPBlock.Except) == 0 {
			n.world.within(r.ranges, block, func(a netip.Addr) { n.strange(o, a) })
			continue
		}
		set := n.world.none()
		n.world.within(set, block, nil)
		for id, a := range n.world.all {
			if set.has(id) && inOne(p.IPBlock.Except, a) {
				set.remove(id)
			}
		}
		r.ranges.join(set)
	}
	r.set = slices.Clone(r.ranges)
	for _, t := range r.native {
		for _, a := range t.addresses {
			r.set.add(n.world.ids[a])
		}
	}
	return r, nil
}

// selected finds the pods of a peer: those of the policy's namespace, or of the namespaces that are selected.
func (n *network) selected(r *networkRule, namespace string, p *networkingv1.NetworkPolicyPeer) error {
	pods, spaces := labels.Everything(), labels.Nothing()
	var err error
	if p.PodSelector != nil {
		if pods, err = metav1.LabelSelectorAsSelector(p.PodSelector); err != nil {
			return err
		}
	}
	if p.NamespaceSelector != nil {
		if spaces, err = metav1.LabelSelectorAsSelector(p.NamespaceSelector); err != nil {
			return err
		}
	}
	for _, t := range n.pods {
		in := p.NamespaceSelector == nil && t.namespace == namespace || p.NamespaceSelector != nil && spaces.Matches(labels.Set(t.space))
		if in && pods.Matches(labels.Set(t.own)) {
			r.native = append(r.native, t)
		}
	}
	return nil
}

func (e *networkObject) selects(t *thing) bool {
	return e.Namespace == t.namespace && e.pods.Matches(labels.Set(t.own))
}

// isolated says whether one of the objects closes a direction of the pods that it selects.
func isolated(by []*networkObject, direction v1alpha1.PolicyType) bool {
	return slices.ContainsFunc(by, func(e *networkObject) bool {
		return slices.Contains(e.policy.Spec.PolicyTypes, networkingv1.PolicyType(direction))
	})
}

// allowed are the addresses that a pod may talk with, by the objects that select it.
func (n *network) allowed(by []*networkObject, own *thing, f flow) addresses {
	all := n.world.none()
	for _, e := range by {
		if !isolated([]*networkObject{e}, f.direction) {
			continue
		}
		for i := range e.rules {
			r := &e.rules[i]
			switch {
			case r.direction != f.direction:
			case f.direction == v1alpha1.PolicyTypeIngress:
				if through(r.ports, f, own) {
					all.join(r.set)
				}
			case through(r.ports, f, nil):
				all.join(r.set)
			default:
				for _, t := range r.native {
					if through(r.ports, f, t) {
						for _, a := range t.addresses {
							all.add(n.world.ids[a])
						}
					}
				}
			}
		}
	}
	return all
}

// through says whether ports let a flow through that goes to a pod, or to an address that is known as none. No ports are
// any. A protocol that is not said is TCP, and the number of a port that has a name is the destination's.
func through(ports []networkingv1.NetworkPolicyPort, f flow, to *thing) bool {
	if len(ports) == 0 {
		return true
	}
	return slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		switch {
		case protocol != f.protocol:
			return false
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			return to != nil && slices.ContainsFunc(to.ports, func(c corev1.ContainerPort) bool {
				return c.Name == p.Port.StrVal && c.Protocol == protocol && c.ContainerPort == f.port
			})
		}
		last := p.Port.IntVal
		if p.EndPort != nil {
			last = *p.EndPort
		}
		return p.Port.IntVal <= f.port && f.port <= last
	})
}
