package netpol

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/internal/policytest"
)

// mutations are mistakes in what is rendered. Each says whether there was something to mistake. Those of peers and ports
// are made in every rule.
var mutations = map[string]func([]*networkingv1.NetworkPolicy) ([]*networkingv1.NetworkPolicy, bool){
	"what closes the pods is missing": func(all []*networkingv1.NetworkPolicy) ([]*networkingv1.NetworkPolicy, bool) {
		left := slices.DeleteFunc(slices.Clone(all), func(p *networkingv1.NetworkPolicy) bool { return strings.Contains(p.Name, ".closed") })
		return left, len(left) < len(all)
	},
	"what one cluster has is missing": func(all []*networkingv1.NetworkPolicy) ([]*networkingv1.NetworkPolicy, bool) {
		left := slices.DeleteFunc(slices.Clone(all), func(p *networkingv1.NetworkPolicy) bool {
			return strings.Contains(p.Name, ".peers-") && strings.HasSuffix(p.Name, "-a")
		})
		return left, len(left) < len(all)
	},
	"it is for all pods": inEach(func(p *networkingv1.NetworkPolicy) bool {
		had := len(p.Spec.PodSelector.MatchLabels)+len(p.Spec.PodSelector.MatchExpressions) > 0
		p.Spec.PodSelector = metav1.LabelSelector{}
		return had
	}),
	"a direction is not closed": inEach(func(p *networkingv1.NetworkPolicy) bool {
		had := len(p.Spec.PolicyTypes)
		p.Spec.PolicyTypes = p.Spec.PolicyTypes[:1]
		return had > 1
	}),
	"a peer is missing": ofPeers(func(p []networkingv1.NetworkPolicyPeer) ([]networkingv1.NetworkPolicyPeer, bool) {
		return p[1:], len(p) > 1
	}),
	"any peer is let in": ofPeers(func([]networkingv1.NetworkPolicyPeer) ([]networkingv1.NetworkPolicyPeer, bool) { return nil, true }),
	"an exception is missing": ofEachPeer(func(p *networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock == nil || len(p.IPBlock.Except) == 0 {
			return false
		}
		p.IPBlock.Except = p.IPBlock.Except[1:]
		return true
	}),
	"a range is twice as wide": ofEachPeer(func(p *networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock == nil {
			return false
		}
		at := netip.MustParsePrefix(p.IPBlock.CIDR)
		p.IPBlock.CIDR = netip.PrefixFrom(at.Addr(), max(0, at.Bits()-1)).Masked().String()
		return at.Bits() > 0
	}),
	"pods of all namespaces are let in": ofEachPeer(func(p *networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock != nil {
			return false
		}
		p.NamespaceSelector = &metav1.LabelSelector{}
		return true
	}),
	"all pods of a namespace are let in": ofEachPeer(func(p *networkingv1.NetworkPolicyPeer) bool {
		if p.PodSelector == nil {
			return false
		}
		p.PodSelector = &metav1.LabelSelector{}
		return true
	}),
	"any port is let through": ofPorts(func(p []networkingv1.NetworkPolicyPort) ([]networkingv1.NetworkPolicyPort, bool) {
		return nil, len(p) > 0
	}),
	"a port is missing": ofPorts(func(p []networkingv1.NetworkPolicyPort) ([]networkingv1.NetworkPolicyPort, bool) {
		return p[1:], len(p) > 1
	}),
	"a range of ports is one port": ofEachPort(func(p *networkingv1.NetworkPolicyPort) bool {
		had := p.EndPort != nil
		p.EndPort = nil
		return had
	}),
	"a name of a port is a number": ofEachPort(func(p *networkingv1.NetworkPolicyPort) bool {
		if p.Port == nil || p.Port.StrVal == "" {
			return false
		}
		p.Port = new(intstr.FromInt32(79))
		return true
	}),
	"the protocol is TCP": ofEachPort(func(p *networkingv1.NetworkPolicyPort) bool {
		other := p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP
		p.Protocol = nil
		return other
	}),
}

// TestMistakesAreSeen makes one mistake after the other in what is rendered. Not each makes a difference in each fleet.
func TestMistakesAreSeen(t *testing.T) {
	seen, made := map[string]int{}, map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		for range 5 {
			if len(seen) < len(mutations) {
				mutateOne(t, w, policytest.DrawPolicy(t), made, seen)
			}
		}
	})
	for name := range mutations {
		if seen[name] == 0 {
			t.Errorf("%s: not seen in %d fleets", name, made[name])
		}
	}
}

// mutateOne makes each mistake that was not seen yet in what a policy becomes.
func mutateOne(t *rapid.T, w *policytest.World, d *policytest.Policy, made, seen map[string]int) {
	out, err := policytest.Render(t, w, d)
	if err != nil { // its own selector cannot be expressed
		return
	}
	for name, mutate := range mutations {
		if seen[name] > 0 {
			continue
		}
		var copied []*networkingv1.NetworkPolicy
		for _, p := range out.Policies {
			copied = append(copied, p.DeepCopy())
		}
		mutated, something := mutate(copied)
		if !something {
			continue
		}
		made[name]++
		if _, differs := difference(w, d, out, mutated, map[string]int{}); differs {
			seen[name]++
		}
	}
}

func inEach(change func(*networkingv1.NetworkPolicy) bool) func([]*networkingv1.NetworkPolicy) ([]*networkingv1.NetworkPolicy, bool) {
	return func(all []*networkingv1.NetworkPolicy) ([]*networkingv1.NetworkPolicy, bool) {
		something := false
		for _, p := range all {
			something = change(p) || something
		}
		return all, something
	}
}

func ofPeers(change func([]networkingv1.NetworkPolicyPeer) ([]networkingv1.NetworkPolicyPeer, bool)) func([]*networkingv1.NetworkPolicy) ([]*networkingv1.NetworkPolicy, bool) {
	return inEach(func(p *networkingv1.NetworkPolicy) (something bool) {
		to := func(peers *[]networkingv1.NetworkPolicyPeer) {
			if len(*peers) == 0 {
				return
			}
			if changed, is := change(*peers); is {
				*peers, something = changed, true
			}
		}
		for i := range p.Spec.Ingress {
			to(&p.Spec.Ingress[i].From)
		}
		for i := range p.Spec.Egress {
			to(&p.Spec.Egress[i].To)
		}
		return something
	})
}

func ofEachPeer(change func(*networkingv1.NetworkPolicyPeer) bool) func([]*networkingv1.NetworkPolicy) ([]*networkingv1.NetworkPolicy, bool) {
	return ofPeers(func(peers []networkingv1.NetworkPolicyPeer) ([]networkingv1.NetworkPolicyPeer, bool) {
		something := false
		for i := range peers {
			something = change(&peers[i]) || something
		}
		return peers, something
	})
}

func ofPorts(change func([]networkingv1.NetworkPolicyPort) ([]networkingv1.NetworkPolicyPort, bool)) func([]*networkingv1.NetworkPolicy) ([]*networkingv1.NetworkPolicy, bool) {
	return inEach(func(p *networkingv1.NetworkPolicy) (something bool) {
		to := func(ports *[]networkingv1.NetworkPolicyPort) {
			if len(*ports) == 0 {
				return
			}
			if changed, is := change(*ports); is {
				*ports, something = changed, true
			}
		}
		for i := range p.Spec.Ingress {
			to(&p.Spec.Ingress[i].Ports)
		}
		for i := range p.Spec.Egress {
			to(&p.Spec.Egress[i].Ports)
		}
		return something
	})
}

func ofEachPort(change func(*networkingv1.NetworkPolicyPort) bool) func([]*networkingv1.NetworkPolicy) ([]*networkingv1.NetworkPolicy, bool) {
	return ofPorts(func(ports []networkingv1.NetworkPolicyPort) ([]networkingv1.NetworkPolicyPort, bool) {
		something := false
		for i := range ports {
			something = change(&ports[i]) || something
		}
		return ports, something
	})
}
