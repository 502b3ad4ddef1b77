package fedtest

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// probes are the ports that verdicts are compared at: those that are named anywhere, and those beside them.
var probes = []int32{1, 21, 22, 23, 52, 53, 54, 79, 80, 81, 442, 443, 444, 5432, 5999, 6000, 6010, 6011, 7999, 8000, 8079, 8080, 8081, 8082, 8083, 10250, 65535}

// policy compares, for each kind of pod that a policy tells apart, with whom it may talk by the policy as it is written
// and by the NetworkPolicies that were made of it.
func (v *Verdict) policy(p *Policy) {
	var objects []*Written
	for _, o := range v.objects {
		if o.Labels[OfPolicy] == p.Object.Name && o.Labels[OfNamespace] == p.Object.Namespace {
			o.judged = true
			if o.policy == nil {
				v.differs("%s: a policy is not written as that", o)
				continue
			}
			objects = append(objects, o)
		}
	}
	name := p.Object.Namespace + "/" + p.Object.Name
	v.names(p, objects)
	n, err := v.world.enforce(objects, func(o *Written, a netip.Addr) {
		v.differs("policy %s: %s allows %s, which nothing has had", name, o, a)
	})
	if err != nil {
		v.differs("policy %s: %s", name, err)
		return
	}
	m, seen := v.world.means(p), map[string]bool{}
	for _, t := range n.pods {
		if t.namespace != p.Object.Namespace {
			continue
		}
		by, kind := m.tell(n, t)
		if seen[kind] {
			continue
		}
		seen[kind] = true
		v.flows(name, m, n, by, t)
	}
}

// tell finds the objects that select a pod. Pods of the same kind are the same to the policy and to these.
func (m *meaning) tell(n *network, t *thing) (by []*networkObject, kind string) {
	var text strings.Builder
	fmt.Fprint(&text, m.isFor(t), t.ports)
	for i := range m.Rules {
		fmt.Fprint(&text, m.Rules[i].Own == nil || m.Rules[i].Own.Holds(t.all))
	}
	for _, e := range n.objects {
		if e.selects(t) {
			by = append(by, e)
			text.WriteString(e.Name + " ")
		}
	}
	return by, text.String()
}

// told is what a difference is about. Each is told once.
type told struct {
	policy    string
	direction v1alpha1.PolicyType
	address   int
	want      bool
}

// flows compares the verdicts for a pod.
func (v *Verdict) flows(name string, m *meaning, n *network, by []*networkObject, t *thing) {
	for _, direction := range []v1alpha1.PolicyType{v1alpha1.PolicyTypeIngress, v1alpha1.PolicyTypeEgress} {
		want := m.isFor(t) && m.closes(direction)
		if have := isolated(by, direction); have != want {
			v.differs("policy %s: %s of %s is closed: %t, want %t", name, direction, t, have, want)
		}
		if !want {
			continue
		}
		for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
			for _, port := range probes {
				f := flow{direction, protocol, port}
				want, have := m.allowed(t, f), n.allowed(by, t, f)
				for id := range want.differences(have) {
					key := told{name, direction, id, want.has(id)}
					if v.told[key] { // of another kind of pod, or at another port
						continue
					}
					v.told[key] = true
					v.differs("policy %s: %s of %s with %s at %s %d is allowed: %t, want %t", name, direction, t, v.world.whose(v.world.all[id]), protocol, port, have.has(id), want.has(id))
				}
			}
		}
	}
}

// names judges that no object is of a cluster that is not asked for, and that no address is in two objects of one.
func (v *Verdict) names(p *Policy, objects []*Written) {
	type place struct {
		base    string
		address netip.Prefix
	}
	have := map[place]*Written{}
	for _, o := range objects {
		if of := o.Labels[OfCluster]; of != "" {
			asked := false
			for _, c := range v.world.clusters {
				asked = asked || c.Name == of && Takes(p.Object.Spec.Clusters, c)
			}
			if !asked || !strings.HasSuffix(o.Base(), "-"+of) {
				v.differs("%s: it is of cluster %s, which policy %s does not ask for", o, of, p.Object.Name)
			}
		}
		prefixes, err := o.Prefixes()
		if err != nil {
			continue // which was told
		}
		for _, prefix := range prefixes {
			at := place{o.Base(), prefix}
			if other := have[at]; other != nil {
				v.differs("policy %s: %s is in %s and in %s", p.Object.Name, prefix, other, o)
			}
			have[at] = o
		}
	}
}
