package policy_test

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/index"
)

// This is what a FederatedNetworkPolicy means, said as plainly as can be, one endpoint after the other. It shares no
// code with the package, nor with package selector.

// flow is traffic between a pod of the local cluster and an address.
type flow struct {
	ingress  bool
	pod      *thing
	peer     netip.Addr
	protocol string
	port     uint16
}

// allows says whether a policy lets a flow pass, as far as the pod's side and this direction go. without are fields of
// rules that do not count.
func (d *drawn) allows(w *world, f flow, without func(field string) bool) bool {
	if f.pod.Namespace != d.object.Namespace || !d.selector.holds(w.labels(f.pod), true) {
		return true
	}
	types := d.object.Spec.Types
	if len(types) == 0 {
		types = []v1alpha1.PolicyType{"Ingress"}
		if len(d.egress) > 0 {
			types = append(types, "Egress")
		}
	}
	rules, direction, name := d.egress, v1alpha1.PolicyType("Egress"), "spec.egress["
	if f.ingress {
		rules, direction, name = d.ingress, "Ingress", "spec.ingress["
	}
	if !slices.Contains(types, direction) {
		return true
	}
	for i := range rules {
		if field := name + strconv.Itoa(i) + "]"; !without(field) && d.passes(w, &rules[i], f, !d.withheld[field]) {
			return true
		}
	}
	return false
}

// passes says whether a rule allows a flow. pods says whether local pods count as peers.
func (d *drawn) passes(w *world, r *rule, f flow, pods bool) bool {
	if r.said.Protocol != "" && r.said.Protocol != f.protocol {
		return false
	}
	own, peer := &r.source, &r.destination
	if f.ingress {
		own, peer = &r.destination, &r.source
	}
	if own.said != nil {
		if own.selects() && !own.matches(w, d.object.Namespace, f.pod) {
			return false
		}
		if own.notSelector != nil && own.notSelector.holds(w.labels(f.pod), true) {
			return false
		}
	}
	ports := r.destination.said
	if ports == nil {
		return peer.has(w, d, f.peer, pods, nil)
	}
	if len(ports.NotPorts) > 0 && numbered(ports.NotPorts, f.port) {
		return false
	}
	if len(ports.Ports) == 0 || numbered(ports.Ports, f.port) {
		return peer.has(w, d, f.peer, pods, nil)
	}
	named := func(e *thing) bool {
		return slices.ContainsFunc(e.Ports, func(p index.Port) bool {
			return p.Number == f.port && p.Protocol == f.protocol && slices.Contains(ports.Ports, intstr.FromString(p.Name))
		})
	}
	if f.ingress {
		return named(f.pod) && peer.has(w, d, f.peer, pods, nil)
	}
	return peer.has(w, d, f.peer, pods, named)
}

func numbered(ports []intstr.IntOrString, number uint16) bool {
	return slices.ContainsFunc(ports, func(p intstr.IntOrString) bool {
		first, last, isRange := strings.Cut(p.String(), ":")
		if !isRange {
			last = first
		}
		low, err1 := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		return err1 == nil && err2 == nil && low <= int(number) && int(number) <= high
	})
}

// selects says whether the side says anything of endpoints.
func (s *side) selects() bool {
	accounts := s.said.ServiceAccounts
	return s.selector != nil || s.notSelector != nil || s.namespace != nil || s.global || s.account != nil || accounts != nil && len(accounts.Names) > 0
}

// matches says whether an endpoint has all that the side asks for, apart from what it takes away.
func (s *side) matches(w *world, namespace string, e *thing) bool {
	switch {
	case s.global:
		if e.Namespace != "" {
			return false
		}
	case s.namespace != nil:
		if !s.namespace.holds(w.ofNamespace(e), e.Namespace != "") {
			return false
		}
	default:
		if e.Namespace != namespace {
			return false
		}
	}
	if accounts := s.said.ServiceAccounts; accounts != nil && len(accounts.Names) > 0 && !slices.Contains(accounts.Names, e.ServiceAccount) {
		return false
	}
	if s.account != nil && !s.account.holds(w.ofAccount(e), true) {
		return false
	}
	return s.selector == nil || s.selector.holds(w.labels(e), true)
}

// has says whether an address is one of the side's. meets is asked of the endpoint that it is, if it is not nil. Without
// pods those of the local cluster are none of the side's.
func (s *side) has(w *world, d *drawn, a netip.Addr, pods bool, meets func(e *thing) bool) bool {
	if s.said == nil {
		return meets == nil
	}
	in := func(nets []string) bool {
		return slices.ContainsFunc(nets, func(n string) bool { return netip.MustParsePrefix(n).Contains(a) })
	}
	if len(s.said.Nets) > 0 && !in(s.said.Nets) || in(s.said.NotNets) {
		return false
	}
	if !s.selects() {
		return meets == nil
	}
	for _, c := range w.clusters {
		scope := d.object.Spec.Clusters
		if c.Local && !scope.Local || !c.Local && !slices.Contains(scope.Names, c.Name) {
			continue
		}
		found, taken := false, false
		for i := range w.things {
			if e := &w.things[i]; e.cluster == c.Name && e.at(a) {
				counts := pods || !c.Local || e.Kind != index.Pod
				found = found || counts && s.matches(w, d.object.Namespace, e) && (meets == nil || meets(e))
				taken = taken || s.notSelector != nil && s.notSelector.holds(w.labels(e), true)
			}
		}
		if found && !taken {
			return true
		}
	}
	return false
}

// takenByAddress says whether the side's notSelector takes a local pod away that it does not match: by the address, which
// something else has that it matches.
func (s *side) takenByAddress(w *world, namespace string) bool {
	if s.said == nil || s.notSelector == nil {
		return false
	}
	for i := range w.things {
		pod := &w.things[i]
		if pod.cluster != home || pod.Kind != index.Pod || !s.matches(w, namespace, pod) || s.notSelector.holds(w.labels(pod), true) {
			continue
		}
		for j := range w.things {
			other := &w.things[j]
			if other.cluster == home && s.notSelector.holds(w.labels(other), true) && slices.ContainsFunc(pod.Addresses, func(p netip.Prefix) bool { return other.at(p.Addr()) }) {
				return true
			}
		}
	}
	return false
}
