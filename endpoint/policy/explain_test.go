package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/internal/policytest"
)

func TestExplainSaysWhomAPolicyIsForAndWhatItsRulesMatch(t *testing.T) {
	w := policytest.NewWorld()
	for i, cluster := range []string{home, "a", "other"} {
		part := w.Cluster(t, cluster)
		for j, app := range []string{"x", "y"} {
			a := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, byte(j)}), 32)
			w.Add(part, cluster, index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: app}, Addresses: []netip.Prefix{a}}, map[string]string{"app": app})
		}
	}
	plan, err := policy.Compile(policyOf(spec{
		Selector: "app == 'x'", Clusters: v1alpha1.ClusterScope{Names: []string{"a"}},
		Ingress: rules{
			{Action: "Allow"},
			{Action: "Allow", Source: &peer{Selector: new("has(app)"), NotSelector: new("app == 'x'")}, Destination: &peer{Selector: new("app == 'y'")}},
		},
		Egress: to(peer{NamespaceSelector: new("all()")}),
	}), local)
	if err != nil {
		t.Fatal(err)
	}
	x := plan.Explain(w.Clusters, w.Index.Eval)
	var got []string
	for _, f := range x.AppliesTo {
		got = append(got, "applies to "+f.Cluster+"/"+f.Endpoint.Name)
	}
	for _, f := range x.Matching {
		for _, m := range f.Matches {
			got = append(got, fmt.Sprintf("%s/%s %s; selector %q (%s)", f.Cluster, f.Endpoint.Name, m, strings.ReplaceAll(m.Selector.String(), `"`, "'"), m.Field))
		}
	}
	want := []string{
		"applies to home/x",
		`a/x inbound rule 2 source match; selector "(projectcalico.org/namespace == 'shop' && has(app))" (spec.ingress[1].source)`,
		`a/x inbound rule 2 source not match; selector "app == 'x'" (spec.ingress[1].source)`,
		`a/x outbound rule 1 destination match; selector "has(projectcalico.org/namespace)" (spec.egress[0].destination)`,
		`a/y inbound rule 2 source match; selector "(projectcalico.org/namespace == 'shop' && has(app))" (spec.ingress[1].source)`,
		`a/y outbound rule 1 destination match; selector "has(projectcalico.org/namespace)" (spec.egress[0].destination)`,
		`home/y inbound rule 2 destination match; selector "(projectcalico.org/namespace == 'shop' && app == 'y')" (spec.ingress[1].destination)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
