package netpol

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/internal/policytest"
)

// judge is Cyclonus with the pods of the local cluster, and policies.
type judge struct {
	policies *matcher.Policy
	pods     []*policytest.Thing
	peers    map[netip.Addr]*matcher.TrafficPeer
}

func judgeOf(w *policytest.World, policies []*networkingv1.NetworkPolicy) *judge {
	j := &judge{policies: matcher.BuildNetworkPolicies(false, spelledOut(policies)), peers: map[netip.Addr]*matcher.TrafficPeer{}}
	for i := range w.Things {
		if e := &w.Things[i]; e.Cluster == policytest.Home && e.Kind == index.Pod {
			j.pods = append(j.pods, e)
			of := &matcher.InternalPeer{Namespace: e.Namespace, PodLabels: e.Own, NamespaceLabels: w.Namespaces[[2]string{policytest.Home, e.Namespace}]}
			for _, a := range e.Addresses {
				j.peers[a.Addr()] = &matcher.TrafficPeer{IP: a.Addr().String(), Internal: of}
			}
		}
	}
	for _, a := range w.Addresses() {
		if j.peers[a] == nil {
			j.peers[a] = &matcher.TrafficPeer{IP: a.String()}
		}
	}
	return j
}

// allows says whether Cyclonus lets a flow pass, as far as the pod's side and this direction go. It asks for the name of
// the port at the destination, and takes one: where there are several, any will do.
func (j *judge) allows(f policytest.Flow) bool {
	own, other := j.peers[f.Pod.Addresses[0].Addr()], j.peers[f.Peer]
	traffic := matcher.Traffic{Source: own, Destination: other, ResolvedPort: int(f.Port), Protocol: corev1.Protocol(f.Protocol)}
	destination := j.podAt(f.Peer)
	if f.Ingress {
		traffic.Source, traffic.Destination = other, own
		destination = f.Pod
	}
	names := []string{""}
	if destination != nil {
		for _, p := range destination.Ports {
			if p.Number == f.Port && p.Protocol == f.Protocol {
				names = append(names, p.Name)
			}
		}
	}
	return slices.ContainsFunc(names, func(name string) bool {
		traffic.ResolvedPortName = name
		return j.policies.IsIngressOrEgressAllowed(&traffic, f.Ingress).IsAllowed()
	})
}

func (j *judge) podAt(a netip.Addr) *policytest.Thing {
	for _, p := range j.pods {
		if p.At(a) {
			return p
		}
	}
	return nil
}

// spelledOut writes policies so that Cyclonus reads their selectors as Kubernetes does.
func spelledOut(policies []*networkingv1.NetworkPolicy) (all []*networkingv1.NetworkPolicy) {
	for _, p := range policies {
		for _, s := range spelled(&p.Spec.PodSelector) {
			copied := p.DeepCopy()
			copied.Spec.PodSelector = s
			for i := range copied.Spec.Ingress {
				copied.Spec.Ingress[i].From = spelledPeers(copied.Spec.Ingress[i].From)
			}
			for i := range copied.Spec.Egress {
				copied.Spec.Egress[i].To = spelledPeers(copied.Spec.Egress[i].To)
			}
			all = append(all, copied)
		}
	}
	return all
}

func spelledPeers(peers []networkingv1.NetworkPolicyPeer) (all []networkingv1.NetworkPolicyPeer) {
	either := func(s *metav1.LabelSelector) (all []*metav1.LabelSelector) {
		if s == nil {
			return []*metav1.LabelSelector{nil}
		}
		for _, one := range spelled(s) {
			all = append(all, &one)
		}
		return all
	}
	for _, p := range peers {
		for _, pods := range either(p.PodSelector) {
			for _, namespaces := range either(p.NamespaceSelector) {
				all = append(all, networkingv1.NetworkPolicyPeer{IPBlock: p.IPBlock, PodSelector: pods, NamespaceSelector: namespaces})
			}
		}
	}
	return all
}

// spelled are selectors of which one or another matches where a given one does, to Kubernetes and to Cyclonus alike. To
// the latter, NotIn asks for the label to be there, and a label that is missing is one of matchLabels with the value "".
func spelled(s *metav1.LabelSelector) []metav1.LabelSelector {
	all := [][]metav1.LabelSelectorRequirement{nil}
	both := func(r ...metav1.LabelSelectorRequirement) {
		var more [][]metav1.LabelSelectorRequirement
		for _, before := range all {
			for _, one := range r {
				more = append(more, append(slices.Clone(before), one))
			}
		}
		all = more
	}
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		both(metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{s.MatchLabels[key]}})
	}
	for _, r := range s.MatchExpressions {
		if r.Operator == metav1.LabelSelectorOpNotIn {
			both(r, metav1.LabelSelectorRequirement{Key: r.Key, Operator: metav1.LabelSelectorOpDoesNotExist})
		} else {
			both(r)
		}
	}
	var selectors []metav1.LabelSelector
	for _, of := range all {
		selectors = append(selectors, metav1.LabelSelector{MatchExpressions: of})
	}
	return selectors
}
