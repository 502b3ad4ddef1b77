package policy_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/internal/policytest"
)

// What is drawn, and what it means by brute force.
type (
	world  = policytest.World
	thing  = policytest.Thing
	flow   = policytest.Flow
	drawn  = policytest.Policy
	failer = policytest.T
)

const home = policytest.Home

// TestNetworkPoliciesMeanWhatThePolicySays compares, for every flow between a local pod and any address, the verdict
// of the policy as it is written with that of the NetworkPolicies that it became.
func TestNetworkPoliciesMeanWhatThePolicySays(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		for range 5 { // what there is costs more to make than a policy
			compareVerdicts(t, w, policytest.DrawPolicy(t), reached)
		}
	})
	for _, what := range features {
		if reached[what] == 0 {
			t.Errorf("never reached: %s", what)
		}
	}
	if os.Getenv("HAWSER_SHOW_REACH") != "" {
		for _, what := range slices.Sorted(maps.Keys(reached)) {
			t.Logf("%6d %s", reached[what], what)
		}
	}
}

func compareVerdicts(t *rapid.T, w *world, d *drawn, reached map[string]int) {
	out, whole := policytest.Render(t, w, d)
	if whole != nil {
		if !strings.HasPrefix(whole.Error(), "spec.selector: ") {
			t.Fatalf("want the field spec.selector named: %v", whole)
		}
		reached["the policy's own selector cannot be expressed"]++
		return
	}
	reached["a rule that allows no local pod, as notSelector takes one away by its address"] += len(d.Withheld)
	count(reached, w, d, out)
	k := &kubernetes{namespaces: map[string]map[string]string{}, policies: out.Policies}
	for i := range w.Things {
		if e := &w.Things[i]; e.Cluster == home && e.Kind == index.Pod {
			k.pods = append(k.pods, e)
			k.namespaces[e.Namespace] = w.Namespaces[[2]string{home, e.Namespace}]
		}
	}
	without := func(field string) bool { return out.Left[field] }
	compare := func(f flow) {
		want, got := d.Allows(w, f, without), k.allows(f)
		if want {
			reached["allowed"]++
		} else {
			reached["denied"]++
		}
		if want == got {
			return
		}
		t.Fatalf("ingress %t, pod %s/%s, peer %s, %s %d: the policy says %t, the NetworkPolicies %t\n%s\n%s",
			f.Ingress, f.Pod.Namespace, f.Pod.Name, f.Peer, f.Protocol, f.Port, want, got, describePolicy(d), describeObjects(out.Policies))
	}
	others := w.Addresses()
	for _, pod := range k.pods {
		for _, peer := range others {
			for _, protocol := range []string{"TCP", "UDP", "SCTP", "ICMP"} {
				for _, port := range []uint16{1, 53, 79, 80, 81, 8080, 65535} {
					compare(flow{Ingress: true, Pod: pod, Peer: peer, Protocol: protocol, Port: port})
					compare(flow{Ingress: false, Pod: pod, Peer: peer, Protocol: protocol, Port: port})
					if protocol == "ICMP" {
						break
					}
				}
			}
		}
	}
}

// features are what the drawn policies have to reach, or the comparison says less than it seems to.
var features = []string{
	"the policy's own selector cannot be expressed", "a rule is refused", "allowed", "denied",
	"own pods in several disjuncts", "own pods narrowed by a rule",
	"peers by podSelector alone", "peers by namespaceSelector alone", "peers by both", "several peers of pods", "label conditions In",
	"label conditions NotIn", "label conditions Exists", "label conditions DoesNotExist", "any peer", "ipBlock", "except", "addresses put together",
	"addresses of IPv6", "any port", "a port of a number", "a range of ports", "a port of a name", "a protocol alone",
	"a port of a name, by its number elsewhere", "notPorts", "a rule that allows nothing in any cluster", "global()",
	"addresses of the local cluster", "accounts", "notSelector", "nets with endpoints", "no object at all",
	"a notSelector that takes a local pod away by its address", "a rule that allows no local pod, as notSelector takes one away by its address",
}

// count notes which features a policy has reached.
func count(reached map[string]int, w *world, d *drawn, out *policytest.Rendered) {
	reach := func(is bool, what string) {
		if is {
			reached[what]++
		}
	}
	reach(len(out.Left) > 0, "a rule is refused")
	reach(len(out.Policies) == 0, "no object at all")
	closed := 0
	for _, p := range out.Policies {
		allows := len(p.Spec.Ingress)+len(p.Spec.Egress) > 0
		if !allows {
			closed++
		}
		reach(strings.HasPrefix(p.Name, "rules.peers-"+home), "addresses of the local cluster")
		for _, r := range p.Spec.PodSelector.MatchExpressions {
			reached["label conditions "+string(r.Operator)]++
		}
		for _, r := range p.Spec.Ingress {
			countPeers(reached, r.From, r.Ports, p.Name)
		}
		for _, r := range p.Spec.Egress {
			countPeers(reached, r.To, r.Ports, p.Name)
			for _, port := range r.Ports {
				reach(strings.HasPrefix(p.Name, "rules.peers") && port.Port != nil && slices.ContainsFunc(d.Egress, func(r policytest.Rule) bool {
					return r.Said.Destination != nil && slices.ContainsFunc(r.Said.Destination.Ports, func(p intstr.IntOrString) bool { return slices.Contains(policytest.PortNames, p.StrVal) })
				}), "a port of a name, by its number elsewhere")
			}
		}
	}
	reach(closed > 1, "own pods in several disjuncts")
	for i, rules := range [][]policytest.Rule{d.Ingress, d.Egress} {
		for j := range rules {
			field := fmt.Sprintf("spec.%s[%d]", []string{"ingress", "egress"}[i], j)
			if out.Left[field] {
				continue
			}
			own, peer := &rules[j].Destination, &rules[j].Source
			if i == 1 {
				own, peer = peer, own
			}
			reach(own.Selector != nil, "own pods narrowed by a rule")
			if rules[j].Destination.Said != nil {
				reach(len(rules[j].Destination.Said.NotPorts) > 0, "notPorts")
			}
			if peer.Said == nil {
				continue
			}
			reach(peer.Global, "global()")
			reach(peer.NotSelector != nil, "notSelector")
			reach(d.Object.Spec.Clusters.Local && peer.TakenByAddress(w, "shop"), "a notSelector that takes a local pod away by its address")
			reach(peer.Account != nil, "accounts")
			reach(peer.Selects() && len(peer.Said.Nets) > 0, "nets with endpoints")
			if peer.Selects() {
				nothing := true
				for k := range w.Things {
					nothing = nothing && !peer.Matches(w, "shop", &w.Things[k])
				}
				reach(nothing, "a rule that allows nothing in any cluster")
			}
		}
	}
}

func countPeers(reached map[string]int, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, name string) {
	reach := func(is bool, what string) {
		if is {
			reached[what]++
		}
	}
	reach(len(peers) == 0, "any peer")
	reach(len(ports) == 0, "any port")
	byPods := 0
	for _, p := range peers {
		if b := p.IPBlock; b != nil {
			net := netip.MustParsePrefix(b.CIDR)
			reach(true, "ipBlock")
			reach(len(b.Except) > 0, "except")
			reach(net.Addr().Is6(), "addresses of IPv6")
			reach(strings.Contains(name, ".peers") && !net.IsSingleIP() && net.Bits() > 29, "addresses put together")
			continue
		}
		byPods++
		reach(p.NamespaceSelector == nil, "peers by podSelector alone")
		reach(p.PodSelector == nil, "peers by namespaceSelector alone")
		reach(p.PodSelector != nil && p.NamespaceSelector != nil, "peers by both")
	}
	reach(byPods > 1, "several peers of pods")
	for _, p := range ports {
		reach(p.Port == nil, "a protocol alone")
		reach(p.Port != nil && p.Port.StrVal != "", "a port of a name")
		reach(p.Port != nil && p.Port.StrVal == "" && p.EndPort == nil, "a port of a number")
		reach(p.EndPort != nil, "a range of ports")
	}
}

func describePolicy(d *drawn) string { return describe(d.Object.Spec) }

func describeObjects(all []*networkingv1.NetworkPolicy) string { return policytest.DescribeAll(all) }

func describe(spec any) string { return policytest.Describe(spec) }
