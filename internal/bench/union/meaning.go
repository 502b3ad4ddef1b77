package main

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
	*policy
	world *world
	peers []map[*thing][]netip.Addr // of each rule: the endpoints that it is about, with the addresses that it allows
	sets  []addresses               // of each rule: these, or those of a rule that is about no endpoints
	named map[namedPort]addresses   // of a rule: those whose port of a name has a number
}

type namedPort struct {
	rule     int
	protocol corev1.Protocol
	number   int32
}

func (w *world) means(p *policy) *meaning {
	m := &meaning{policy: p, world: w, named: map[namedPort]addresses{}}
	for i := range p.rules {
		peers, set := map[*thing][]netip.Addr{}, w.none()
		if s := &p.rules[i].peer; !s.selects() {
			for id, a := range w.all {
				if s.allows(a) {
					set.add(id)
				}
			}
		} else {
			for _, c := range w.clusters {
				if takes(p.object.Spec.Clusters, c) {
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
func (w *world) peers(to map[*thing][]netip.Addr, p *policy, s *side, c *cluster) {
	taken := map[netip.Addr]bool{}
	for _, t := range w.things[c] {
		if s.not != nil && s.not.holds(t.all) {
			for _, a := range t.addresses {
				taken[a] = true
			}
		}
	}
	for _, t := range w.things[c] {
		if !s.matches(t, p.object.Namespace) {
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
func (s *side) matches(t *thing, namespace string) bool {
	switch {
	case s.global:
		if t.namespace != "" {
			return false
		}
	case s.namespace != nil:
		if t.namespace == "" || !s.namespace.holds(t.ofNamespace) {
			return false
		}
	case t.namespace != namespace:
		return false
	}
	if len(s.accounts) > 0 && !slices.Contains(s.accounts, t.account) || s.account != nil && !s.account.holds(t.ofAccount) {
		return false
	}
	return s.selector == nil || s.selector.holds(t.all)
}

// allows says whether an address is within the side's ranges.
func (s *side) allows(a netip.Addr) bool {
	return (len(s.nets) == 0 || inOne(s.nets, a)) && !inOne(s.outsideOf, a)
}

// isFor says whether the policy is for a pod.
func (m *meaning) isFor(t *thing) bool {
	return t.cluster.local() && !t.node && t.namespace == m.object.Namespace && m.pods.holds(t.all)
}

// closes says whether the policy closes a direction.
func (m *meaning) closes(direction v1alpha1.PolicyType) bool {
	if types := m.object.Spec.Types; len(types) > 0 {
		return slices.Contains(types, direction)
	}
	return direction == v1alpha1.PolicyTypeIngress || len(m.object.Spec.Egress) > 0
}

// allowed are the addresses that a pod may talk with.
func (m *meaning) allowed(own *thing, f flow) addresses {
	all := m.world.none()
	for i := range m.rules {
		r := &m.rules[i]
		if r.direction != f.direction || r.protocol != "" && r.protocol != string(f.protocol) || r.own != nil && !r.own.holds(own.all) {
			continue
		}
		switch {
		case numbered(r.notPorts, f.port):
		case len(r.ports) == 0 || numbered(r.ports, f.port):
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
		if m.rules[i].names(t, f) {
			for _, a := range of {
				set.add(m.world.ids[a])
			}
		}
	}
	m.named[key] = set
	return set
}

// names says whether a number is that of a port of an endpoint whose name the rule has.
func (r *rule) names(t *thing, f flow) bool {
	return slices.ContainsFunc(t.ports, func(p corev1.ContainerPort) bool {
		return p.ContainerPort == f.port && p.Protocol == f.protocol && slices.Contains(r.ports, intstr.FromString(p.Name))
	})
}

// numbered says whether a number is among some ports.
func numbered(ports []intstr.IntOrString, number int32) bool {
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
