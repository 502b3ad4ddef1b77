package fedtest

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// This is what a FederatedNetworkPolicy means, by docs/endpoints.md, said as plainly as can be: one endpoint after the other.

// meaning is a policy in a world.
type meaning struct {
	*Policy
	world *World
	peers []map[*thing][]netip.Addr // of each rule: the endpoints that it is about, with the addresses that it allows
	sets  []addresses               // of each rule: these, or those of a rule that is about no endpoints
	named map[namedPort]addresses   // of a rule: those whose port of a name has a number
}

type namedPort struct {
	rule     int
	protocol corev1.Protocol
	number   int32
}

func (w *World) means(p *Policy) *meaning {
	m := &meaning{Policy: p, world: w, named: map[namedPort]addresses{}}
	for i := range p.Rules {
		peers, set := map[*thing][]netip.Addr{}, w.none()
		if s := &p.Rules[i].Peer; !s.selects() {
			for id, a := range w.all {
				if s.allows(a) {
					set.add(id)
				}
			}
		} else {
			for _, c := range w.clusters {
				if Takes(p.Object.Spec.Clusters, c) {
					w.peers(peers, p, s, c)
				}
			}
			for _, of := range peers {
				for _, a := range of {
					set.add(w.ids[a])
				}
			}
		}
		m.peers, m.sets = append(m.peers, peers), append(m.sets, set)
	}
	return m
}

// peers finds the endpoints of a cluster that a side is about. What notSelector matches is taken away by address.
func (w *World) peers(to map[*thing][]netip.Addr, p *Policy, s *Side, c *Cluster) {
	taken := map[netip.Addr]bool{}
	for _, t := range w.things[c] {
		if s.Not != nil && s.Not.Holds(t.all) {
			for _, a := range t.addresses {
				taken[a] = true
			}
		}
	}
	for _, t := range w.things[c] {
		if !s.matches(t, p.Object.Namespace) {
			continue
		}
		for _, a := range t.addresses {
			if !taken[a] && s.allows(a) {
				to[t] = append(to[t], a)
			}
		}
	}
}

// matches says whether an endpoint is what a side asks for, apart from what it takes away.
func (s *Side) matches(t *thing, namespace string) bool {
	switch {
	case s.Global:
		if t.namespace != "" {
			return false
		}
	case s.Namespace != nil:
		if !s.Namespace.Holds(t.ofNamespace) {
			return false
		}
	case t.namespace != namespace:
		return false
	}
	if len(s.Accounts) > 0 && !slices.Contains(s.Accounts, t.account) || s.Account != nil && !s.Account.Holds(t.ofAccount) {
		return false
	}
	return s.Selector == nil || s.Selector.Holds(t.all)
}

// allows says whether an address is within the side's ranges.
func (s *Side) allows(a netip.Addr) bool {
	return (len(s.Nets) == 0 || inOne(s.Nets, a)) && !inOne(s.OutsideOf, a)
}

// isFor says whether the policy is for a pod.
func (m *meaning) isFor(t *thing) bool {
	return t.cluster.Local && !t.node && t.namespace == m.Object.Namespace && m.Pods.Holds(t.all)
}

// closes says whether the policy closes a direction.
func (m *meaning) closes(direction v1alpha1.PolicyType) bool {
	if types := m.Object.Spec.Types; len(types) > 0 {
		return slices.Contains(types, direction)
	}
	return direction == v1alpha1.PolicyTypeIngress || len(m.Object.Spec.Egress) > 0
}

// allowed are the addresses that a pod may talk with.
func (m *meaning) allowed(own *thing, f flow) addresses {
	all := m.world.none()
	for i := range m.Rules {
		r := &m.Rules[i]
		if r.Direction != f.direction || r.Protocol != "" && r.Protocol != string(f.protocol) || r.Own != nil && !r.Own.Holds(own.all) {
			continue
		}
		switch {
		case Numbered(r.NotPorts, f.port):
		case len(r.Ports) == 0 || Numbered(r.Ports, f.port):
			all.join(m.sets[i])
		case f.direction == v1alpha1.PolicyTypeIngress:
			if r.names(own, f) {
				all.join(m.sets[i])
			}
		default:
			all.join(m.ofName(i, f))
		}
	}
	return all
}

// ofName are the addresses of the peers that have a port of a name that the rule asks for.
func (m *meaning) ofName(i int, f flow) addresses {
	key := namedPort{i, f.protocol, f.port}
	if set, ok := m.named[key]; ok {
		return set
	}
	set := m.world.none()
	for t, of := range m.peers[i] {
		if m.Rules[i].names(t, f) {
			for _, a := range of {
				set.add(m.world.ids[a])
			}
		}
	}
	m.named[key] = set
	return set
}

// names says whether a number is that of a port of an endpoint whose name the rule has.
func (r *Rule) names(t *thing, f flow) bool {
	return slices.ContainsFunc(t.ports, func(p corev1.ContainerPort) bool {
		return p.ContainerPort == f.port && p.Protocol == f.protocol && slices.Contains(r.Ports, intstr.FromString(p.Name))
	})
}

// Numbered says whether a number is among some ports.
func Numbered(ports []intstr.IntOrString, number int32) bool {
	return slices.ContainsFunc(ports, func(p intstr.IntOrString) bool {
		first, last, isRange := strings.Cut(p.String(), ":")
		if !isRange {
			last = first
		}
		low, err := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		return err == nil && err2 == nil && low <= int(number) && int(number) <= high
	})
}
