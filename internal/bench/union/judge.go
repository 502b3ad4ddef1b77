package main

import (
	"fmt"
	"net/netip"
	"os"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// shown is how many differences are told one by one.
const shown = 60

// verdict collects in what the written objects differ from what they are to be.
type verdict struct {
	world   *world
	objects []*written
	told    map[told]bool
	count   int
	texts   []string
}

func (v *verdict) differs(format string, args ...any) {
	v.count++
	if len(v.texts) < shown {
		v.texts = append(v.texts, fmt.Sprintf(format, args...))
	}
}

// tell names the differences.
func (v *verdict) tell() {
	for _, text := range v.texts {
		fmt.Fprintln(os.Stderr, "  "+text)
	}
	if more := v.count - len(v.texts); more > 0 {
		fmt.Fprintf(os.Stderr, "  and %d more\n", more)
	}
}

// judge compares the union of what is written with what there is.
func (r *run) judge(w *world) (*verdict, error) {
	objects, err := r.found("")
	if err != nil {
		return nil, err
	}
	v := &verdict{world: w, objects: objects, told: map[told]bool{}}
	v.whole()
	for _, s := range r.sets {
		v.set(s)
	}
	for i := range r.policies {
		v.policy(&r.policies[i])
	}
	for _, o := range objects {
		if !o.judged {
			v.differs("%s: nobody asks for it (labels %v)", o, o.Labels)
		}
	}
	return v, nil
}

// whole judges each object by itself: it is of one set or policy and of one cluster at most, has no more than it may,
// and what it has belongs to that cluster alone.
func (v *verdict) whole() {
	for _, o := range v.objects {
		if o.Labels[managedBy] != "hawser" || (o.Labels[ofSet] == "") == (o.Labels[ofPolicy] == "") {
			v.differs("%s: its labels do not say whose it is: %v", o, o.Labels)
		}
		all, err := o.prefixes()
		if err != nil {
			v.differs("%s", err)
		}
		if len(all) > largest {
			v.differs("%s: it has %d ranges", o, len(all))
		}
		i := slices.IndexFunc(v.world.clusters, func(c *cluster) bool { return c.name == o.Labels[ofCluster] })
		if i < 0 {
			continue
		}
		for _, p := range all {
			if !v.world.clusters[i].may(p.Addr()) {
				v.differs("%s: %s is not of cluster %s", o, p, o.Labels[ofCluster])
			}
		}
	}
}

// take returns the objects of a kind that were made for something of a cluster under a name, and counts them as judged.
func (v *verdict) take(kind, namespace, base string, labels map[string]string) (all []*written) {
	for _, o := range v.objects {
		if o.kind != kind || o.Namespace != namespace || o.base() != base {
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

// set compares what is made of an EndpointSet, cluster by cluster.
func (v *verdict) set(s endpointSet) {
	name := s.object.Name
	for _, output := range s.object.Spec.Outputs {
		base := name + "-" + output.Name
		if output.NetworkPolicy != nil {
			closing := v.take("NetworkPolicy", space, base, map[string]string{ofSet: name, ofCluster: ""})
			if len(closing) != 1 {
				v.differs("NetworkPolicy %s/%s, which closes the pods: there are %d", space, base, len(closing))
			}
			for _, o := range closing {
				v.output(o, output.NetworkPolicy)
			}
		}
		for _, c := range v.world.clusters {
			if !takes(s.object.Spec.Clusters, c) {
				continue
			}
			kind := "ConfigMap"
			if output.NetworkPolicy != nil {
				kind = "NetworkPolicy"
			}
			objects := v.take(kind, space, base+"-"+c.name, map[string]string{ofSet: name, ofCluster: c.name})
			for _, o := range objects {
				if output.NetworkPolicy != nil {
					v.output(o, output.NetworkPolicy)
				}
				if o.Annotations[expired] != "" {
					v.differs("%s: it says that its addresses were taken away", o)
				}
			}
			v.addresses(fmt.Sprintf("%s %s/%s-%s", kind, space, base, c.name), objects, v.world.members(c, s.selector))
		}
	}
}

// members are the addresses of the endpoints of a cluster that match, each with one that has it.
func (w *world) members(c *cluster, selector term) map[netip.Addr]*thing {
	all := map[netip.Addr]*thing{}
	for _, t := range w.things[c] {
		if selector.holds(t.all) {
			for _, a := range t.addresses {
				all[a] = t
			}
		}
	}
	return all
}

// addresses compares those of some objects together with those that there are to be.
func (v *verdict) addresses(what string, objects []*written, want map[netip.Addr]*thing) {
	if len(objects) == 0 {
		v.differs("%s: it is not there", what)
		return
	}
	have := map[netip.Addr]*written{}
	for _, o := range objects {
		prefixes, err := o.prefixes()
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
func (v *verdict) output(o *written, as *v1alpha1.NetworkPolicyOutput) {
	np := &o.policy.Spec
	var types, wantTypes, rules, wantRules, ports []string
	for _, p := range as.Ports {
		text := p.Protocol
		if p.Port != nil {
			text += fmt.Sprint(" ", *p.Port)
		}
		ports = append(ports, text)
	}
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
			wantRules = append(wantRules, fmt.Sprint(t, " ", ports, true))
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
	if len(rules) > 0 && o.Labels[ofCluster] == "" {
		v.differs("%s: it is of no cluster and lets something through", o)
	}
	if len(np.Ingress) > 0 && len(np.Egress) > 0 && !sameBlocks(np.Ingress[0].From, np.Egress[0].To) {
		v.differs("%s: its directions are of other addresses", o)
	}
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
