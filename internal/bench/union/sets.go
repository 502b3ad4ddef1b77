package main

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// space is the namespace that EndpointSets write to.
const space = "outputs"

// marker is a label of the pods by which it is seen how far everything is.
const marker = "marker"

// endpointSet is one, with what its selector means.
type endpointSet struct {
	object   *v1alpha1.EndpointSet
	selector term
}

// set makes one, of outputs that are named after what they are.
func set(name string, selector term, of v1alpha1.ClusterScope, outputs ...v1alpha1.EndpointOutput) endpointSet {
	return endpointSet{&v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.EndpointSetSpec{
		Selector: selector.text, Clusters: of, Outputs: outputs,
	}}, selector}
}

func policyOutput(name string, ports []v1alpha1.OutputPort, types ...v1alpha1.PolicyType) v1alpha1.EndpointOutput {
	return v1alpha1.EndpointOutput{Name: name, NetworkPolicy: &v1alpha1.NetworkPolicyOutput{
		Namespace: space, PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"for": name}}, Types: types, Ports: ports,
	}}
}

var (
	list    = v1alpha1.EndpointOutput{Name: "list", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: space}}
	ingress = policyOutput("in", nil, v1alpha1.PolicyTypeIngress)
	both    = policyOutput("both", []v1alpha1.OutputPort{{Protocol: "TCP", Port: new(int32(5432))}, {Protocol: "UDP"}}, v1alpha1.PolicyTypeEgress, v1alpha1.PolicyTypeIngress)
)

// Where endpoints are taken from.
func anywhere() v1alpha1.ClusterScope { return v1alpha1.ClusterScope{Local: true, All: true} }
func remote() v1alpha1.ClusterScope   { return v1alpha1.ClusterScope{All: true} }
func here() v1alpha1.ClusterScope     { return v1alpha1.ClusterScope{Local: true} }
func named(names ...string) v1alpha1.ClusterScope {
	return v1alpha1.ClusterScope{Names: names}
}
func inEurope() v1alpha1.ClusterScope {
	return v1alpha1.ClusterScope{Local: true, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"region": europe}}}
}

// expiring is the set whose addresses are taken away from a cluster that is not heard of.
const expiring = "expiring"

// sets are those of the run: of every way to select, to write, and to choose clusters. The first two match so much that
// one object does not hold it.
func sets(apps int) []endpointSet {
	app := func(i int) string { return fmt.Sprintf("app-%d", i%apps) }
	all := []endpointSet{
		set("everything", everything(), anywhere(), ingress),
		set("managed", and(has("managed-by"), has("projectcalico.org/orchestrator")), named("alpha"), list),
		set("app", is("app", app(7)), anywhere(), list, both),
		set("releases", or(oneOf("release", "release-1", "release-20", "release-300"), oneOf("app", app(1), app(2))), named("alpha", "beta"), list),
		set("team", and(is("pcns.team", "team-1"), is("tier", "tier-3")), anywhere(), list, ingress),
		set("stable", and(not(has("canary")), is("component", "component-4"), has("projectcalico.org/namespace")), remote(), both),
		set("prefix", starts("uid", "u0f"), remote(), list),
		set("robots", and(is("projectcalico.org/serviceaccount", "robot"), is("pcsa.trust", "high"), isNot("stage", "none"), is("side", "side-0")), anywhere(), ingress),
		set("one-cluster", and(is("hawser.io/cluster", "gamma"), is("zone", "zone-2")), anywhere(), list),
		set("neither", and(notIn("tier", "tier-0", "tier-1", "tier-2", "tier-3", "tier-4", "tier-5", "tier-6"), isNot("track", "track-1"), has("app")), inEurope(), both),
		set("local", and(is("side", "side-1"), is("zone", "zone-0")), here(), list),
		set("odd", and(ends("app", "3"), contains("release", "-1")), remote(), list),
		set("hosts", not(has("projectcalico.org/orchestrator")), anywhere(), list, ingress),
		set("nobody", is("app", "nobody"), anywhere(), list, ingress),
		set(expiring, is("tier", "tier-5"), remote(), list, ingress),
		set("markers", has(marker), anywhere(), list),
	}
	for _, s := range all {
		if s.object.Name == expiring {
			s.object.Spec.Staleness = &v1alpha1.Staleness{
				Policy: v1alpha1.StalenessExpire, ExpireAfter: &metav1.Duration{Duration: 20 * time.Second}, Settle: &metav1.Duration{Duration: 10 * time.Second},
			}
		}
	}
	return all
}

// takes says whether endpoints of a cluster are asked for.
func takes(of v1alpha1.ClusterScope, c *cluster) bool {
	if c.local() {
		return of.Local
	}
	for _, name := range of.Names {
		if name == c.name {
			return true
		}
	}
	return of.All || of.Selector != nil && of.Selector.MatchLabels["region"] == c.region
}
