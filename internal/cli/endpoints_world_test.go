package cli

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
)

// What a target refuses is no rule that matches: whoever asks is told.
func TestWhatATargetRefusesIsAGap(t *testing.T) {
	db, bad := "app == 'db'", "app = 'db'"
	p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: v1alpha1.FederatedNetworkPolicySpec{
		Clusters: v1alpha1.ClusterScope{All: true}, Target: v1alpha1.TargetClusterNetworkPolicy, ClusterNetworkPolicy: &v1alpha1.ClusterNetworkPolicyTarget{},
		Ingress: []v1alpha1.FederatedRule{
			{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: &db}},
			{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: &bad}},
		},
	}}
	plan, gaps := compilePolicy(p, policy.Local{Name: "primary"})
	if plan == nil || len(gaps) != 2 {
		t.Fatalf("there are %d gaps: %+v", len(gaps), gaps)
	}
	if !strings.HasPrefix(gaps[0].Message, "spec.ingress[1].source.selector: ") || gaps[0].Reason != v1alpha1.ReasonSpecInvalid {
		t.Errorf("of the rule that cannot be read it says %+v", gaps[0])
	}
	if !strings.HasPrefix(gaps[1].Message, "spec.ingress[0].source") || gaps[1].Reason != v1alpha1.ReasonNotExpressible {
		t.Errorf("of the rule that the target cannot express it says %+v", gaps[1])
	}
}
