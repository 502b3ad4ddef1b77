package federatednetworkpolicy_test

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestWhatWasMadeIsKeptInStepWhileNobodyKeepsAuthorsWithinTheirRights(t *testing.T) {
	s := newScene(t)
	web := s.pod("web", "web", "10.1.0.1")
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress:  []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}}},
	})
	s.has("shop.closed for <none>:", "shop.peers-alpha for <none>: from 10.1.0.1/32")
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	s.authors.unbounded.Store(true)
	s.writer.Stop()
	s.replica()
	s.move(web, "10.1.0.2")
	closed := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shop.closed"}}
	if err := s.admin.Delete(t.Context(), closed); err != nil {
		t.Fatal(err)
	}
	s.has("shop.closed for <none>:", "shop.peers-alpha for <none>: from 10.1.0.2/32")
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded, "nothing new is made")

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Selector = "a == 'b'" })
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded, "nothing new is made")
	s.has("shop.closed for <none>:", "shop.peers-alpha for <none>: from 10.1.0.2/32")
}
