package set

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// AddressesKey is where a ConfigMap has the addresses: one CIDR on each line, sorted.
const AddressesKey = "addresses"

// render makes the objects of one cluster.
func render(es *v1alpha1.EndpointSet, selector string, r publish.Request) (publish.Rendered, error) {
	all := publish.Distinct(slices.Collect(r.Addresses(0)))
	rendered := publish.Rendered{Endpoints: r.Count(0)}
	if len(all) > publish.MaxAddresses { // the lowest stay, so that they are nearly the same each time
		rendered.Refused = append(rendered.Refused, fmt.Sprintf("more than %d addresses match in this cluster: the highest are left out", publish.MaxAddresses))
		all = all[:publish.MaxAddresses]
	}
	rendered.Addresses = len(all)
	divided := map[int][][]netip.Prefix{} // by how many pieces there were: nearly always the same for all outputs
	for i := range es.Spec.Outputs {
		o := &es.Spec.Outputs[i]
		base := es.Name + "-" + o.Name
		have := r.Pieces(base)
		if divided[have] == nil {
			divided[have] = publish.Split(slices.Clone(all), have)
		}
		pieces := divided[have]
		for n, piece := range pieces {
			if n > 0 && len(piece) == 0 { // the first is there in any case, and tells that the cluster has none
				continue
			}
			meta := publish.Meta(r.Key, r.Cluster.Name, namespaceOf(o), base, n+1, len(pieces), chosen(o))
			if n == 0 && selector != "" {
				if meta.Annotations == nil {
					meta.Annotations = map[string]string{}
				}
				meta.Annotations[publish.SelectorAnnotation] = selector
			}
			object, err := output(o, meta, piece)
			if err != nil {
				return publish.Rendered{}, err
			}
			rendered.Objects = append(rendered.Objects, object)
		}
	}
	return rendered, nil
}

// renderNothing makes the objects of one cluster for a set of which nobody knows what it selects.
func renderNothing(es *v1alpha1.EndpointSet, r publish.Request) (publish.Rendered, error) {
	r.Addresses, r.Count = func(int) iter.Seq[netip.Prefix] { return func(func(netip.Prefix) bool) {} }, func(int) int { return 0 }
	return render(es, "", r)
}

// base are the objects that close the pods of NetworkPolicies, whichever clusters there are.
func base(es *v1alpha1.EndpointSet) (all []client.Object) {
	for i := range es.Spec.Outputs {
		if o := &es.Spec.Outputs[i]; o.NetworkPolicy != nil {
			all = append(all, networkPolicy(o.NetworkPolicy, publish.Meta(KeyOf(es.Name), "", o.NetworkPolicy.Namespace, es.Name+"-"+o.Name, 1, 1, nil), nil))
		}
	}
	return all
}

// KindOf is what an output is written as: the kind, and the namespace, "" where it has none.
func KindOf(o *v1alpha1.EndpointOutput) (kind schema.GroupKind, namespace string) {
	switch {
	case o.NetworkPolicy != nil:
		kind = networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy").GroupKind()
	case o.CalicoNetworkSet != nil:
		kind = calicoSet(o).GVK().GroupKind()
	case o.CiliumCIDRGroup != nil:
		kind = calico.CIDRGroups.GVK().GroupKind()
	default:
		kind = corev1.SchemeGroupVersion.WithKind("ConfigMap").GroupKind()
	}
	return kind, namespaceOf(o)
}

// Places are where a set has objects.
func Places(es *v1alpha1.EndpointSet) (all []publish.Place) {
	for i := range es.Spec.Outputs {
		kind, namespace := KindOf(&es.Spec.Outputs[i])
		all = append(all, publish.Place{Kind: kind, Namespace: namespace})
	}
	return all
}

// calicoSet is the kind of an output calicoNetworkSet.
func calicoSet(o *v1alpha1.EndpointOutput) calico.Kind {
	if o.CalicoNetworkSet.Namespace == "" {
		return calico.GlobalNetworkSets
	}
	return calico.NetworkSets
}

func namespaceOf(o *v1alpha1.EndpointOutput) string {
	switch {
	case o.NetworkPolicy != nil:
		return o.NetworkPolicy.Namespace
	case o.CalicoNetworkSet != nil:
		return o.CalicoNetworkSet.Namespace
	case o.ConfigMap != nil:
		return o.ConfigMap.Namespace
	}
	return ""
}

func labelsOf(o v1alpha1.EndpointOutput) map[string]string {
	switch {
	case o.CalicoNetworkSet != nil:
		return o.CalicoNetworkSet.Labels
	case o.CiliumCIDRGroup != nil:
		return o.CiliumCIDRGroup.Labels
	}
	return nil
}

// chosen are the labels that an output may ask for.
func chosen(o *v1alpha1.EndpointOutput) map[string]string {
	labels := maps.Clone(labelsOf(*o))
	maps.DeleteFunc(labels, func(name, _ string) bool { return reserved(name) })
	return labels
}

func output(o *v1alpha1.EndpointOutput, meta metav1.ObjectMeta, piece []netip.Prefix) (client.Object, error) {
	switch {
	case o.NetworkPolicy != nil:
		return networkPolicy(o.NetworkPolicy, meta, piece), nil
	case o.CalicoNetworkSet != nil:
		return calico.Write(calicoSet(o), meta, calico.NetworkSetSpec{Nets: publish.Texts(piece)})
	case o.CiliumCIDRGroup != nil:
		return calico.Write(calico.CIDRGroups, meta, calico.CIDRGroupSpec{ExternalCIDRs: publish.Texts(piece)})
	}
	text := strings.Join(publish.Texts(piece), "\n")
	if text != "" {
		text += "\n"
	}
	return &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{AddressesKey: text}}, nil
}

// networkPolicy lets pods talk with addresses. Where there are none it has no rule: one without peers would be for all.
func networkPolicy(o *v1alpha1.NetworkPolicyOutput, meta metav1.ObjectMeta, piece []netip.Prefix) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{ObjectMeta: meta, Spec: networkingv1.NetworkPolicySpec{PodSelector: *o.PodSelector.DeepCopy()}}
	peers := make([]networkingv1.NetworkPolicyPeer, 0, len(piece))
	for _, p := range piece {
		peers = append(peers, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: p.String()}})
	}
	for _, t := range []v1alpha1.PolicyType{v1alpha1.PolicyTypeIngress, v1alpha1.PolicyTypeEgress} {
		if !slices.Contains(o.Types, t) {
			continue
		}
		np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyType(t))
		switch {
		case len(peers) == 0:
		case t == v1alpha1.PolicyTypeIngress:
			np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers, Ports: portsOf(o)}}
		default:
			np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peers, Ports: portsOf(o)}}
		}
	}
	return np
}

func portsOf(o *v1alpha1.NetworkPolicyOutput) (ports []networkingv1.NetworkPolicyPort) {
	for _, p := range o.Ports {
		protocol := corev1.Protocol(p.Protocol)
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		port := networkingv1.NetworkPolicyPort{Protocol: &protocol, EndPort: p.EndPort}
		if p.Port != nil {
			port.Port = new(intstr.FromInt32(*p.Port))
		}
		ports = append(ports, port)
	}
	return ports
}
