package policy_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// rendered is what became of a policy.
type rendered struct {
	policies []*networkingv1.NetworkPolicy
	problems policy.Problems // of rules, which are left out
	refused  []string
}

// render makes NetworkPolicies of a policy, or says why none can be made.
func render(t *rapid.T, w *world, d *drawn) (r rendered, whole error) {
	plan, err := policy.Compile(d.object, policy.Local{Name: home, ID: "id-" + home})
	if plan == nil {
		return r, err
	}
	r.problems = append(r.problems, problemsOf(t, err)...)
	networks, err := plan.NetworkPolicies()
	if networks == nil {
		return r, err
	}
	r.problems = append(r.problems, problemsOf(t, err)...)
	for _, o := range networks.Base() {
		r.policies = append(r.policies, o.(*networkingv1.NetworkPolicy))
	}
	for _, c := range w.clusters {
		if !publish.Selects(plan.Clusters, c.Name, c.Labels, c.Local) {
			continue
		}
		out, err := networks.Render(w.request(c, plan.Selectors))
		if err != nil {
			t.Fatal(err)
		}
		r.refused = append(r.refused, out.Refused...)
		for _, o := range out.Objects {
			r.policies = append(r.policies, o.(*networkingv1.NetworkPolicy))
		}
	}
	return r, nil
}

func problemsOf(t *rapid.T, err error) (problems policy.Problems) {
	if err != nil && !errors.As(err, &problems) {
		t.Fatalf("%v is no list of problems", err)
	}
	return problems
}

var fieldOfRule = regexp.MustCompile(`^spec\.(?:ingress|egress)\[\d+\]`)

// TestNetworkPoliciesMeanWhatThePolicySays compares, for every flow between a local pod and any address, the verdict
// of the policy as it is written with that of the NetworkPolicies that it became.
func TestNetworkPoliciesMeanWhatThePolicySays(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range 5 { // what there is costs more to make than a policy
			compareVerdicts(t, w, drawPolicy(t), reached)
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
	out, whole := render(t, w, d)
	if whole != nil {
		if !strings.HasPrefix(whole.Error(), "spec.selector: ") {
			t.Fatalf("want the field spec.selector named: %v", whole)
		}
		reached["the policy's own selector cannot be expressed"]++
		return
	}
	left := map[string]bool{}
	for _, p := range out.problems {
		field := fieldOfRule.FindString(p.Field)
		if field == "" {
			t.Fatalf("want a field of a rule named: %v", p)
		}
		left[field] = true
	}
	d.withheld = withheldBy(t, w, d, out.refused)
	reached["a rule that allows no local pod, as notSelector takes one away by its address"] += len(d.withheld)
	count(reached, w, d, &out, left)
	k := &kubernetes{namespaces: map[string]map[string]string{}, policies: out.policies}
	for i := range w.things {
		if e := &w.things[i]; e.cluster == home && e.Kind == index.Pod {
			k.pods = append(k.pods, e)
			k.namespaces[e.Namespace] = w.namespaces[[2]string{home, e.Namespace}]
		}
	}
	without := func(field string) bool { return left[field] }
	compare := func(f flow) {
		want, got := d.allows(w, f, without), k.allows(f)
		if want {
			reached["allowed"]++
		} else {
			reached["denied"]++
		}
		if want == got {
			return
		}
		t.Fatalf("ingress %t, pod %s/%s, peer %s, %s %d: the policy says %t, the NetworkPolicies %t\n%s\n%s",
			f.ingress, f.pod.Namespace, f.pod.Name, f.peer, f.protocol, f.port, want, got, describePolicy(d), describeObjects(out.policies))
	}
	others := w.addresses()
	for _, pod := range k.pods {
		for _, peer := range others {
			for _, protocol := range []string{"TCP", "UDP", "SCTP", "ICMP"} {
				for _, port := range []uint16{1, 53, 79, 80, 81, 8080, 65535} {
					compare(flow{true, pod, peer, protocol, port})
					compare(flow{false, pod, peer, protocol, port})
					if protocol == "ICMP" {
						break
					}
				}
			}
		}
	}
}

// withheldBy are the rules that were told to allow no local pod, each of them with reason.
func withheldBy(t failer, w *world, d *drawn, refused []string) map[string]bool {
	t.Helper()
	withheld := map[string]bool{}
	for _, text := range refused {
		field, _, _ := strings.Cut(text, ": ")
		found := false
		for i := range d.ingress {
			found = found || field == fmt.Sprintf("spec.ingress[%d].source.notSelector", i) && d.ingress[i].source.takenByAddress(w, d.object.Namespace)
		}
		for i := range d.egress {
			found = found || field == fmt.Sprintf("spec.egress[%d].destination.notSelector", i) && d.egress[i].destination.takenByAddress(w, d.object.Namespace)
		}
		if !found {
			t.Fatalf("it is refused for no reason: %s\n%s", text, describePolicy(d))
		}
		withheld[fieldOfRule.FindString(field)] = true
	}
	return withheld
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
func count(reached map[string]int, w *world, d *drawn, out *rendered, left map[string]bool) {
	reach := func(is bool, what string) {
		if is {
			reached[what]++
		}
	}
	reach(len(left) > 0, "a rule is refused")
	reach(len(out.policies) == 0, "no object at all")
	closed := 0
	for _, p := range out.policies {
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
				reach(strings.HasPrefix(p.Name, "rules.peers") && port.Port != nil && slices.ContainsFunc(d.egress, func(r rule) bool {
					return r.said.Destination != nil && slices.ContainsFunc(r.said.Destination.Ports, func(p intstr.IntOrString) bool { return slices.Contains(portNames, p.StrVal) })
				}), "a port of a name, by its number elsewhere")
			}
		}
	}
	reach(closed > 1, "own pods in several disjuncts")
	for i, rules := range [][]rule{d.ingress, d.egress} {
		for j := range rules {
			field := fmt.Sprintf("spec.%s[%d]", []string{"ingress", "egress"}[i], j)
			if left[field] {
				continue
			}
			own, peer := &rules[j].destination, &rules[j].source
			if i == 1 {
				own, peer = peer, own
			}
			reach(own.selector != nil, "own pods narrowed by a rule")
			if rules[j].destination.said != nil {
				reach(len(rules[j].destination.said.NotPorts) > 0, "notPorts")
			}
			if peer.said == nil {
				continue
			}
			reach(peer.global, "global()")
			reach(peer.notSelector != nil, "notSelector")
			reach(d.object.Spec.Clusters.Local && peer.takenByAddress(w, "shop"), "a notSelector that takes a local pod away by its address")
			reach(peer.account != nil, "accounts")
			reach(peer.selects() && len(peer.said.Nets) > 0, "nets with endpoints")
			if peer.selects() {
				nothing := true
				for k := range w.things {
					nothing = nothing && !peer.matches(w, "shop", &w.things[k])
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

func describePolicy(d *drawn) string { return describe(d.object.Spec) }

func describeObjects(all []*networkingv1.NetworkPolicy) string {
	var texts []string
	for _, p := range all {
		texts = append(texts, "# "+p.Name+"\n"+describe(p.Spec))
	}
	return strings.Join(texts, "")
}

func describe(spec any) string {
	text, err := yaml.Marshal(spec)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
