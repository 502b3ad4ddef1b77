package policy_test

import (
	"iter"
	"net/netip"
	"testing"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/internal/policytest"
)

// What a rule's selectors match is read one after the other. A pod that comes to match both in between, or ceases to, is let
// in at no moment.
func TestAPodThatChangesWhileItIsReadIsNotLetIn(t *testing.T) {
	for _, test := range []struct {
		name          string
		before, after map[string]string
	}{
		{"it comes to match selector and notSelector", map[string]string{"app": "other"}, map[string]string{"app": "x", "tier": "y"}},
		{"it ceases to match both", map[string]string{"app": "x", "tier": "y"}, map[string]string{"app": "other"}},
	} {
		for at := range 3 { // the first, the second or the third time that something is read
			w := fleetOf(t, 0)
			var remoteOne endpoint.ClusterState
			for _, c := range w.Clusters {
				if !c.Local {
					remoteOne = c
				}
			}
			part := w.Parts[remoteOne.Name]
			set := func(labels map[string]string) {
				part.SetNamespace("shop", nil)
				part.Set(&index.Endpoint{
					ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "web"}, Labels: policytest.LabelList(labels),
					Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")},
				})
			}
			set(test.before)
			plan, networks := compiled(t, spec{Clusters: remote, Ingress: from(peer{Selector: new("app == 'x'"), NotSelector: new("tier == 'y'"), NamespaceSelector: new("all()")})})
			req := w.Request(remoteOne, plan.Selectors)
			reads, members := 0, req.Members
			req.Members = func(i int) iter.Seq[index.Endpoint] {
				if reads == at {
					set(test.after)
				}
				reads++
				return members(i)
			}
			out, err := networks.Render(req)
			if err != nil {
				t.Fatal(err)
			}
			if out.Addresses != 0 {
				t.Errorf("%s, at read %d of %d: it is let in: %s", test.name, at+1, reads, describeObjects(objects(out.Objects)))
			}
		}
	}
}
