package netpol

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/kube"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/internal/policytest"
)

// TestCyclonusReadsWhatThePolicySays compares, for every flow between a local pod and any address, the verdict of a
// federated policy by brute force with that of Cyclonus on the NetworkPolicies that it became.
func TestCyclonusReadsWhatThePolicySays(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		for range 5 { // what there is costs more to make than a policy
			d := policytest.DrawPolicy(t)
			out, err := policytest.Render(t, w, d)
			if err != nil { // its own selector cannot be expressed
				continue
			}
			count(reached, out.Policies)
			if f, differs := difference(w, d, out, out.Policies, reached); differs {
				t.Fatalf("ingress %t, pod %s/%s, peer %s, %s %d: the policy says %t, Cyclonus %t\n%s\n%s", f.Ingress, f.Pod.Namespace, f.Pod.Name, f.Peer, f.Protocol, f.Port,
					d.Allows(w, f, left(out)), !d.Allows(w, f, left(out)), policytest.Describe(d.Object.Spec), policytest.DescribeAll(out.Policies))
			}
		}
	})
	for _, what := range []string{
		"allowed", "denied", "ipBlock", "except", "podSelector", "namespaceSelector", "both", "any peer", "a name of a port", "a range of ports", "a protocol alone", "any port", "NotIn",
	} {
		if reached[what] == 0 {
			t.Errorf("never reached: %s (%v)", what, reached)
		}
	}
}

func left(out *policytest.Rendered) func(string) bool {
	return func(field string) bool { return out.Left[field] }
}

// difference is a flow of which the policy says something else than Cyclonus does on some NetworkPolicies.
func difference(w *policytest.World, d *policytest.Policy, out *policytest.Rendered, policies []*networkingv1.NetworkPolicy, reached map[string]int) (policytest.Flow, bool) {
	j, without := judgeOf(w, policies), left(out)
	for _, pod := range j.pods {
		for _, peer := range w.Addresses() {
			for _, protocol := range []string{"TCP", "UDP", "SCTP", "ICMP"} {
				for _, port := range []uint16{53, 79, 80, 81, 8080} {
					for _, ingress := range []bool{true, false} {
						f := policytest.Flow{Ingress: ingress, Pod: pod, Peer: peer, Protocol: protocol, Port: port}
						want := d.Allows(w, f, without)
						reached[map[bool]string{true: "allowed", false: "denied"}[want]]++
						if j.allows(f) != want {
							return f, true
						}
					}
					if protocol == "ICMP" || protocol == "SCTP" { // one port will do
						break
					}
				}
			}
		}
	}
	return policytest.Flow{}, false
}

// count notes what Cyclonus had to read.
func count(reached map[string]int, policies []*networkingv1.NetworkPolicy) {
	note := func(what string, is bool) {
		if is {
			reached[what]++
		}
	}
	rule := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
		note("any peer", len(peers) == 0)
		note("any port", len(ports) == 0)
		for _, p := range peers {
			note("ipBlock", p.IPBlock != nil)
			note("except", p.IPBlock != nil && len(p.IPBlock.Except) > 0)
			note("podSelector", p.PodSelector != nil)
			note("namespaceSelector", p.NamespaceSelector != nil)
			note("both", p.PodSelector != nil && p.NamespaceSelector != nil)
		}
		for _, p := range ports {
			note("a name of a port", p.Port != nil && p.Port.StrVal != "")
			note("a range of ports", p.EndPort != nil)
			note("a protocol alone", p.Port == nil)
		}
	}
	for _, p := range policies {
		for _, r := range p.Spec.PodSelector.MatchExpressions {
			note(string(r.Operator), true)
		}
		for _, r := range p.Spec.Ingress {
			rule(r.From, r.Ports)
		}
		for _, r := range p.Spec.Egress {
			rule(r.To, r.Ports)
		}
	}
}

// TestSelectorsAreSpelledForCyclonus holds what is spelled out for it to what the API machinery of Kubernetes matches.
func TestSelectorsAreSpelledForCyclonus(t *testing.T) {
	keys, values := []string{"a", "b", "c"}, []string{"", "x", "y"}
	rapid.Check(t, func(t *rapid.T) {
		s := metav1.LabelSelector{MatchLabels: rapid.MapOfN(rapid.SampledFrom(keys), rapid.SampledFrom(values), 0, 2).Draw(t, "matchLabels")}
		for range rapid.IntRange(0, 3).Draw(t, "expressions") {
			r := metav1.LabelSelectorRequirement{Key: rapid.SampledFrom(keys).Draw(t, "key"), Operator: rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator")}
			if strings.HasSuffix(string(r.Operator), "In") {
				r.Values = rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, 2, rapid.ID).Draw(t, "values")
			}
			s.MatchExpressions = append(s.MatchExpressions, r)
		}
		of := rapid.MapOfN(rapid.SampledFrom(keys), rapid.SampledFrom(values), 0, 3).Draw(t, "labels")
		parsed, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(spelled(&s), func(s metav1.LabelSelector) bool { return kube.IsLabelsMatchLabelSelector(of, s) })
		if want := parsed.Matches(labels.Set(of)); got != want {
			t.Fatalf("%s of %v: Kubernetes says %t, Cyclonus %t", metav1.FormatLabelSelector(&s), slices.Sorted(maps.Keys(of)), want, got)
		}
	})
}

// TestCyclonusStillNeedsSelectorsSpelled fails once it does not: then spelled can go.
func TestCyclonusStillNeedsSelectorsSpelled(t *testing.T) {
	for name, s := range map[string]metav1.LabelSelector{
		"NotIn":           {MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"x"}}}},
		"the empty value": {MatchLabels: map[string]string{"a": ""}},
	} {
		parsed, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			t.Fatal(err)
		}
		if kube.IsLabelsMatchLabelSelector(nil, s) == parsed.Matches(labels.Set{}) {
			t.Errorf("%s: Cyclonus reads it as Kubernetes does", name)
		}
	}
}
