package fedtest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// take returns the objects of a kind that were made for something of a cluster under a name, and counts them as judged.
func (v *Verdict) take(kind, namespace, base string, labels map[string]string) (all []*Written) {
	for _, o := range v.objects {
		if o.Kind != kind || o.Namespace != namespace || o.Base() != base {
			continue
		}
		o.judged = true
		all = append(all, o)
		for name, value := range labels {
			if o.Labels[name] != value {
				v.differs("%s: label %s is %q, want %q", o, name, o.Labels[name], value)
			}
		}
	}
	return all
}

// writtenAs is what an output is written as: the kind, the namespace, and the labels that are asked for besides ours.
func writtenAs(o *v1alpha1.EndpointOutput) (kind, namespace string, labels map[string]string) {
	switch {
	case o.NetworkPolicy != nil:
		return "NetworkPolicy", o.NetworkPolicy.Namespace, nil
	case o.CalicoNetworkSet != nil && o.CalicoNetworkSet.Namespace != "":
		return "NetworkSet", o.CalicoNetworkSet.Namespace, o.CalicoNetworkSet.Labels
	case o.CalicoNetworkSet != nil:
		return "GlobalNetworkSet", "", o.CalicoNetworkSet.Labels
	case o.CiliumCIDRGroup != nil:
		return "CiliumCIDRGroup", "", o.CiliumCIDRGroup.Labels
	}
	return "ConfigMap", o.ConfigMap.Namespace, nil
}

// set compares what is made of an EndpointSet, cluster by cluster.
func (v *Verdict) set(s *Set) {
	name := s.Object.Name
	for i := range s.Object.Spec.Outputs {
		output := &s.Object.Spec.Outputs[i]
		base := name + "-" + output.Name
		kind, namespace, labels := writtenAs(output)
		if output.NetworkPolicy != nil {
			v.closing(output, name, base)
		}
		for _, c := range v.world.clusters {
			if !Takes(s.Object.Spec.Clusters, c) {
				continue
			}
			ours := map[string]string{OfSet: name, OfCluster: c.Name}
			for label, value := range labels {
				ours[label] = value
			}
			objects := v.take(kind, namespace, base+"-"+c.Name, ours)
			for _, o := range objects {
				if output.NetworkPolicy != nil {
					v.output(o, output.NetworkPolicy)
				}
				if o.Annotations[Expired] != "" {
					v.differs("%s: it says that its addresses were taken away", o)
				}
			}
			v.addresses(fmt.Sprintf("%s %s/%s-%s", kind, namespace, base, c.Name), objects, v.world.members(c, s.Selector))
		}
	}
}

// closing judges the NetworkPolicy that closes the pods of an output.
func (v *Verdict) closing(output *v1alpha1.EndpointOutput, name, base string) {
	found := v.take("NetworkPolicy", output.NetworkPolicy.Namespace, base, map[string]string{OfSet: name, OfCluster: ""})
	if len(found) != 1 {
		v.differs("NetworkPolicy %s/%s, which closes the pods: there are %d", output.NetworkPolicy.Namespace, base, len(found))
	}
	for _, o := range found {
		v.output(o, output.NetworkPolicy)
	}
}

// members are the addresses of the endpoints of a cluster that match, each with one that has it.
func (w *World) members(c *Cluster, selector Term) map[netip.Addr]*thing {
	all := map[netip.Addr]*thing{}
	for _, t := range w.things[c] {
		if selector.Holds(t.all) {
			for _, a := range t.addresses {
				all[a] = t
			}
		}
	}
	return all
}

// addresses compares those of some objects together with those that there are to be.
func (v *Verdict) addresses(what string, objects []*Written, want map[netip.Addr]*thing) {
	if len(objects) == 0 {
		v.differs("%s: it is not there", what)
		return
	}
	have := map[netip.Addr]*Written{}
	for _, o := range objects {
		prefixes, err := o.Prefixes()
		if err != nil {
			continue // which was told
		}
		for _, p := range prefixes {
			ok := each(p, func(a netip.Addr) {
				if other := have[a]; other != nil {
					v.differs("%s: %s is in %s and in %s", what, a, other, o)
				}
				have[a] = o
				if want[a] == nil {
					v.differs("%s: %s has %s, and should not", what, o, a)
				}
			})
			if !ok {
				v.differs("%s: %s has %s", what, o, p)
			}
		}
	}
	for a, t := range want {
		if have[a] == nil {
			v.differs("%s: %s of %s is missing", what, a, t)
		}
	}
}

// output judges what a NetworkPolicy of an EndpointSet says besides addresses. One without addresses has no rules: these
// would be for everybody.
func (v *Verdict) output(o *Written, as *v1alpha1.NetworkPolicyOutput) {
	np := &o.policy.Spec
	var types, wantTypes, rules, wantRules []string
	for _, t := range np.PolicyTypes {
		types = append(types, string(t))
	}
	for _, r := range np.Ingress {
		rules = append(rules, fmt.Sprint("Ingress ", portTexts(r.Ports), len(r.From) > 0))
	}
	for _, r := range np.Egress {
		rules = append(rules, fmt.Sprint("Egress ", portTexts(r.Ports), len(r.To) > 0))
	}
	for _, t := range as.Types {
		wantTypes = append(wantTypes, string(t))
		if len(rules) > 0 {
			wantRules = append(wantRules, fmt.Sprint(t, " ", askedPorts(as.Ports), true))
		}
	}
	for _, all := range [][]string{types, wantTypes, rules, wantRules} {
		slices.Sort(all)
	}
	have := fmt.Sprint(metav1.FormatLabelSelector(&np.PodSelector), types, rules)
	want := fmt.Sprint(metav1.FormatLabelSelector(&as.PodSelector), wantTypes, wantRules)
	if have != want {
		v.differs("%s: it says %s, want %s", o, have, want)
	}
	if len(rules) > 0 && o.Labels[OfCluster] == "" {
		v.differs("%s: it is of no cluster and lets something through", o)
	}
	if len(np.Ingress) > 0 && len(np.Egress) > 0 && !sameBlocks(np.Ingress[0].From, np.Egress[0].To) {
		v.differs("%s: its directions are of other addresses", o)
	}
}

// askedPorts are those of an output, as portTexts says those of a rule.
func askedPorts(ports []v1alpha1.OutputPort) (all []string) {
	for _, p := range ports {
		protocol := p.Protocol
		if protocol == "" {
			protocol = "TCP"
		}
		text := []string{protocol}
		if p.Port != nil {
			number := fmt.Sprint(*p.Port)
			if p.EndPort != nil {
				number += fmt.Sprint("-", *p.EndPort)
			}
			text = append(text, number)
		}
		all = append(all, strings.Join(text, " "))
	}
	return all
}

func portTexts(ports []networkingv1.NetworkPolicyPort) (all []string) {
	for _, p := range ports {
		text := "TCP"
		if p.Protocol != nil {
			text = string(*p.Protocol)
		}
		if p.Port != nil {
			text += " " + p.Port.String()
		}
		if p.EndPort != nil {
			text += fmt.Sprint("-", *p.EndPort)
		}
		all = append(all, text)
	}
	return all
}

func sameBlocks(a, b []networkingv1.NetworkPolicyPeer) bool {
	return slices.EqualFunc(a, b, func(a, b networkingv1.NetworkPolicyPeer) bool {
		return a.IPBlock != nil && b.IPBlock != nil && a.IPBlock.CIDR == b.IPBlock.CIDR
	})
}
