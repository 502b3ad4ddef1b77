package main

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/fedtest"
)

// space is the namespace that EndpointSets write to.
const space = "outputs"

// marker is a label of the pods by which it is seen how far everything is.
const marker = "marker"

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
func sets(apps int) []fedtest.Set {
	app := func(i int) string { return fmt.Sprintf("app-%d", i%apps) }
	all := []fedtest.Set{
		fedtest.NewSet("everything", fedtest.Everything(), anywhere(), ingress),
		fedtest.NewSet("managed", fedtest.And(fedtest.Has("managed-by"), fedtest.Has("projectcalico.org/orchestrator")), named("alpha"), list),
		fedtest.NewSet("app", fedtest.Is("app", app(7)), anywhere(), list, both),
		fedtest.NewSet("releases", fedtest.Or(fedtest.In("release", "release-1", "release-20", "release-300"), fedtest.In("app", app(1), app(2))), named("alpha", "beta"), list),
		fedtest.NewSet("team", fedtest.And(fedtest.Is("pcns.team", "team-1"), fedtest.Is("tier", "tier-3")), anywhere(), list, ingress),
		fedtest.NewSet("stable", fedtest.And(fedtest.Not(fedtest.Has("canary")), fedtest.Is("component", "component-4"), fedtest.Has("projectcalico.org/namespace")), remote(), both),
		fedtest.NewSet("prefix", fedtest.Starts("uid", "u0f"), remote(), list),
		fedtest.NewSet("robots", fedtest.And(fedtest.Is("projectcalico.org/serviceaccount", "robot"), fedtest.Is("pcsa.trust", "high"), fedtest.IsNot("stage", "none"), fedtest.Is("side", "side-0")), anywhere(), ingress),
		fedtest.NewSet("one-cluster", fedtest.And(fedtest.Is("hawser.io/cluster", "gamma"), fedtest.Is("zone", "zone-2")), anywhere(), list),
		fedtest.NewSet("neither", fedtest.And(fedtest.NotIn("tier", "tier-0", "tier-1", "tier-2", "tier-3", "tier-4", "tier-5", "tier-6"), fedtest.IsNot("track", "track-1"), fedtest.Has("app")), inEurope(), both),
		fedtest.NewSet("local", fedtest.And(fedtest.Is("side", "side-1"), fedtest.Is("zone", "zone-0")), here(), list),
		fedtest.NewSet("odd", fedtest.And(fedtest.Ends("app", "3"), fedtest.Contains("release", "-1")), remote(), list),
		fedtest.NewSet("hosts", fedtest.Not(fedtest.Has("projectcalico.org/orchestrator")), anywhere(), list, ingress),
		fedtest.NewSet("nobody", fedtest.Is("app", "nobody"), anywhere(), list, ingress),
		fedtest.NewSet(expiring, fedtest.Is("tier", "tier-5"), remote(), list, ingress),
		fedtest.NewSet("markers", fedtest.Has(marker), anywhere(), list),
	}
	for _, s := range all {
		if s.Object.Name == expiring {
			s.Object.Spec.Staleness = &v1alpha1.Staleness{
				Policy: v1alpha1.StalenessExpire, ExpireAfter: &metav1.Duration{Duration: 20 * time.Second}, Settle: &metav1.Duration{Duration: 10 * time.Second},
			}
		}
	}
	return all
}
