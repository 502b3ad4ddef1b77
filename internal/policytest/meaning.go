package policytest

import (
	"net/netip"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/internal/fedtest"
)

// This is what a FederatedNetworkPolicy means, said as plainly as can be, one endpoint after the other. It shares no
// code with package policy, nor with package selector.

// Flow is traffic between a pod of the local cluster and an address.
type Flow struct {
	Ingress  bool // to the pod
	Pod      *Thing
	Peer     netip.Addr
	Protocol string
	Port     uint16
}

// Allows says whether a policy lets a flow pass, as far as the pod's side and this direction go. without are fields of
// rules that do not count.
func (d *Policy) Allows(w *World, f Flow, without func(field string) bool) bool {
	if !d.IsFor(w, f.Pod) {
		return true
	}
	types := d.Object.Spec.Types
	if len(types) == 0 {
		types = []v1alpha1.PolicyType{"Ingress"}
		if len(d.Egress) > 0 {
			types = append(types, "Egress")
		}
	}
	rules, direction, name := d.Egress, v1alpha1.PolicyType("Egress"), "spec.egress["
	if f.Ingress {
		rules, direction, name = d.Ingress, "Ingress", "spec.ingress["
	}
	if !slices.Contains(types, direction) {
		return true
	}
	for i := range rules {
		if field := name + strconv.Itoa(i) + "]"; !without(field) && d.passes(w, &rules[i], f, !d.Withheld[field]) {
			return true
		}
	}
	return false
}

// IsFor says whether a pod of the local cluster is one of those that the policy is for.
func (d *Policy) IsFor(w *World, pod *Thing) bool {
	return pod.Namespace == d.Object.Namespace && d.own.Holds(w.Labels(pod))
}

// passes says whether a rule allows a flow. pods says whether local pods count as peers.
func (d *Policy) passes(w *World, r *Rule, f Flow, pods bool) bool {
	if r.Said.Protocol != "" && r.Said.Protocol != f.Protocol {
		return false
	}
	own, peer := &r.Source, &r.Destination
	if f.Ingress {
		own, peer = &r.Destination, &r.Source
	}
	if own.Said != nil {
		if own.Selects() && !own.Matches(w, d.Object.Namespace, f.Pod) {
			return false
		}
		if own.NotSelector != nil && own.NotSelector.Holds(w.Labels(f.Pod)) {
			return false
		}
	}
	ports := r.Destination.Said
	if ports == nil {
		return peer.has(w, d, f.Peer, pods, nil)
	}
	if len(ports.NotPorts) > 0 && fedtest.Numbered(ports.NotPorts, int32(f.Port)) {
		return false
	}
	if len(ports.Ports) == 0 || fedtest.Numbered(ports.Ports, int32(f.Port)) {
		return peer.has(w, d, f.Peer, pods, nil)
	}
	named := func(e *Thing) bool {
		return slices.ContainsFunc(e.Ports, func(p index.Port) bool {
			return p.Number == f.Port && p.Protocol == f.Protocol && slices.Contains(ports.Ports, intstr.FromString(p.Name))
		})
	}
	if f.Ingress {
		return named(f.Pod) && peer.has(w, d, f.Peer, pods, nil)
	}
	return peer.has(w, d, f.Peer, pods, named)
}

// Selects says whether the side says anything of endpoints.
func (s *Side) Selects() bool {
	accounts := s.Said.ServiceAccounts
	return s.Selector != nil || s.NotSelector != nil || s.Namespace != nil || s.Global || s.Account != nil || accounts != nil && len(accounts.Names) > 0
}

// Matches says whether an endpoint has all that the side asks for, apart from what it takes away.
func (s *Side) Matches(w *World, namespace string, e *Thing) bool {
	switch {
	case s.Global:
		if e.Namespace != "" {
			return false
		}
	case s.Namespace != nil:
		if !s.Namespace.Holds(w.ofNamespace(e)) {
			return false
		}
	default:
		if e.Namespace != namespace {
			return false
		}
	}
	if accounts := s.Said.ServiceAccounts; accounts != nil && len(accounts.Names) > 0 && !slices.Contains(accounts.Names, e.ServiceAccount) {
		return false
	}
	if s.Account != nil && !s.Account.Holds(w.ofAccount(e)) {
		return false
	}
	return s.Selector == nil || s.Selector.Holds(w.Labels(e))
}

// has says whether an address is one of the side's. meets is asked of the endpoint that it is, if it is not nil. Without
// pods those of the local cluster are none of the side's.
func (s *Side) has(w *World, d *Policy, a netip.Addr, pods bool, meets func(e *Thing) bool) bool {
	if s.Said == nil {
		return meets == nil
	}
	in := func(nets []string) bool {
		return slices.ContainsFunc(nets, func(n string) bool { return netip.MustParsePrefix(n).Contains(a) })
	}
	if len(s.Said.Nets) > 0 && !in(s.Said.Nets) || in(s.Said.NotNets) {
		return false
	}
	if !s.Selects() {
		return meets == nil
	}
	for _, c := range w.Clusters {
		scope := d.Object.Spec.Clusters
		if c.Local && !scope.Local || !c.Local && !slices.Contains(scope.Names, c.Name) {
			continue
		}
		found, taken := false, false
		for i := range w.Things {
			if e := &w.Things[i]; e.Cluster == c.Name && e.At(a) {
				counts := pods || !c.Local || e.Kind != index.Pod
				found = found || counts && s.Matches(w, d.Object.Namespace, e) && (meets == nil || meets(e))
				taken = taken || s.NotSelector != nil && s.NotSelector.Holds(w.Labels(e))
			}
		}
		if found && !taken {
			return true
		}
	}
	return false
}

// TakenByAddress says whether the side's notSelector takes a local pod away that it does not match: by the address, which
// something has that is no pod and that it matches.
func (s *Side) TakenByAddress(w *World, namespace string) bool {
	if s.Said == nil || s.NotSelector == nil {
		return false
	}
	for i := range w.Things {
		pod := &w.Things[i]
		if pod.Cluster != Home || pod.Kind != index.Pod || !s.Matches(w, namespace, pod) || s.NotSelector.Holds(w.Labels(pod)) {
			continue
		}
		for j := range w.Things {
			other := &w.Things[j]
			if other.Cluster == Home && other.Kind != index.Pod && s.NotSelector.Holds(w.Labels(other)) && slices.ContainsFunc(pod.Addresses, func(p netip.Prefix) bool { return other.At(p.Addr()) }) {
				return true
			}
		}
	}
	return false
}
