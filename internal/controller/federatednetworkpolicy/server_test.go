package federatednetworkpolicy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
)

func TestAPolicyFollowsThePodsOfARemoteCluster(t *testing.T) {
	s := newScene(t)
	web := s.pod("web", "web", "10.1.0.1")
	s.pod("db", "db", "10.1.0.9")
	s.pod("stranger", "web", "10.2.0.1") // outside of what its cluster may contribute
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Selector: "role == 'shop'", Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress: []v1alpha1.FederatedRule{
			{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}},
			{Action: "Allow", Source: &v1alpha1.FederatedPeer{Nets: []string{"192.0.2.0/24"}}},
		},
		Egress: []v1alpha1.FederatedRule{{Action: "Allow", Protocol: "TCP", Destination: &v1alpha1.FederatedPeer{
			NotSelector: new("app == 'web'"), Ports: []intstr.IntOrString{intstr.FromString("web")},
		}}},
	})
	closed, rules := "shop.closed for role=shop:", "shop.rules for role=shop: from 192.0.2.0/24"
	s.has(closed, rules, "shop.peers-alpha for role=shop: from 10.1.0.1/32 to 10.1.0.9/32 :8080")
	now := s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	if now.Status.Endpoints != 2 || now.Status.Addresses != 2 || len(now.Status.Clusters) != 1 || now.Status.Clusters[0].Objects != 1 {
		t.Errorf("the status is %+v", now.Status)
	}

	s.move(web, "10.1.0.2")
	s.has(closed, rules, "shop.peers-alpha for role=shop: from 10.1.0.2/32 to 10.1.0.9/32 :8080")

	before := web.DeepCopy()
	web.Labels["app"] = "api"
	if err := s.remote.Patch(t.Context(), web, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	s.has(closed, rules, "shop.peers-alpha for role=shop: to 10.1.0.2/32 10.1.0.9/32 :8080")

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Ingress[1].Source.Selector = new("app =") })
	s.has(closed, "shop.peers-alpha for role=shop: to 10.1.0.2/32 10.1.0.9/32 :8080")
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonSelectorInvalid, "spec.ingress[1].source.selector", "app =\n    ^")

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Selector = "role contains 'shop'" })
	s.has(closed)
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonSelectorInvalid, "spec.selector: role contains", "stay closed")

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) {
		spec.Selector, spec.Ingress, spec.Egress = "", nil, []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{ServiceAccounts: &v1alpha1.ServiceAccountMatch{Names: []string{"a"}}}}}
	})
	s.has("shop.closed for <none>:")
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonNotExpressible, "spec.egress[0].source.serviceAccounts.names")

	if err := s.admin.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s.has()
}

func TestAnEntryOfTheStatusThatIsTakenAwayComesBack(t *testing.T) {
	s := newScene(t)
	s.pod("web", "web", "10.1.0.1")
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress:  []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}}},
	})
	now := s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	before := now.DeepCopy()
	now.Status.Clusters = nil
	if err := s.admin.Status().Patch(t.Context(), now, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(p), now); err != nil {
			return err
		}
		if len(now.Status.Clusters) != 1 || now.Status.Clusters[0].Endpoints != 1 {
			return fmt.Errorf("the status has %+v", now.Status.Clusters)
		}
		return nil
	})
}

func TestAnObjectThatIsNotOursIsRefusedAndLeft(t *testing.T) {
	s := newScene(t)
	s.pod("web", "web", "10.1.0.1")
	theirs := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shop.peers-alpha"}}
	if err := s.admin.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress:  []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}}},
	})
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, "shop.peers-alpha")
	s.has("shop.closed for <none>:", "shop.peers-alpha for <none>:")
	if err := s.admin.Delete(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	s.has("shop.closed for <none>:", "shop.peers-alpha for <none>: from 10.1.0.1/32")
}

func TestNothingIsMadeWhileNobodyKeepsAuthorsWithinTheirRights(t *testing.T) {
	s := newScene(t)
	s.authors.unbounded.Store(true)
	s.pod("web", "web", "10.1.0.1")
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress:  []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}}},
	})
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonAuthorUnasked, "nothing new is made")
	s.has()
	s.authors.unbounded.Store(false)
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Selector = "a == 'b'" }) // it would be looked at within 30 s
	s.has("shop.closed for a=b:", "shop.peers-alpha for a=b: from 10.1.0.1/32")
}

func TestThePolicysOwnClusterCanBeAskedForOnceItIsKnown(t *testing.T) {
	s := newScene(t)
	s.pod("web", "web", "10.1.0.1")
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Selector: "hawser.io/cluster == 'here' && hawser.io/cluster-id == 'its-id'", Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress: []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}}},
	})
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonNotExpressible, "spec.selector", "RemoteCluster")
	s.has()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "here"}}
	rc.Spec.Auth.Type = v1alpha1.AuthInCluster
	if err := s.admin.Create(t.Context(), rc); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.admin.Delete(context.Background(), rc) })
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonNotExpressible, "spec.selector", "the id of the local cluster is not known")
	before := rc.DeepCopy()
	rc.Status.ClusterID = "its-id"
	if err := s.admin.Status().Patch(t.Context(), rc, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	s.has("shop.closed for <none>:", "shop.peers-alpha for <none>: from 10.1.0.1/32")
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}

func TestAPeerThatMatchesAllThatThereIsIsWarnedOf(t *testing.T) {
	s := newScene(t)
	s.pod("web", "web", "10.1.0.1")
	other := s.podIn(metav1.NamespaceDefault, "db-of-"+s.namespace, "db", "10.1.0.2")
	t.Cleanup(func() { _ = s.remote.Delete(context.Background(), other, client.GracePeriodSeconds(0)) })
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress:  []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{NamespaceSelector: new("all()"), Selector: new("app != 'wbe'")}}},
	})
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonSelectsEverything, "spec.ingress[0].source.selector: ", "matches every endpoint")
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Ingress[0].Source.Selector = new("app != 'db'") })
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}

func TestWhatMatchesNothingIsToldOf(t *testing.T) {
	s := newScene(t)
	web := s.pod("web", "web", "10.1.0.1")
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Selector: "role == 'shop'", Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress: []v1alpha1.FederatedRule{
			{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}},
			{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'wbe'")}},
		},
	})
	now := s.says(p, metav1.ConditionTrue, v1alpha1.ReasonSelectsNothing, "spec.ingress[1].source.selector: ", `app == "wbe"`, "in the one cluster")
	if text := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.Ready).Message; strings.Contains(text, "spec.selector") || strings.Contains(text, "ingress[0]") {
		t.Errorf("it says %s", text)
	}

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) {
		spec.Egress = []v1alpha1.FederatedRule{{Action: "Allow", Protocol: "TCP", Destination: &v1alpha1.FederatedPeer{Selector: new("app == 'web'"), Ports: []intstr.IntOrString{intstr.FromString("sql")}}}}
	})
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonSelectsNothing, "spec.egress[0].destination.ports: ", `app == "web"`, "in the one cluster", `a TCP port called "sql"`)
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Egress = nil })

	// A pod that is away for a moment is nothing to be told of.
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Ingress = spec.Ingress[:1] })
	now = s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	if err := s.remote.Delete(t.Context(), web, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(p), now); err != nil {
			return err
		}
		if now.Status.Endpoints > 0 {
			return fmt.Errorf("the status is %+v", now.Status)
		}
		return nil
	})
	if c := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.Ready); c.Reason != v1alpha1.ReasonWritten { // both are written at once
		t.Errorf("Ready is %+v", c)
	}

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) {
		spec.Ingress = []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Nets: []string{"192.0.2.0/24"}}}}
	})
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Ingress = nil })
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}

// TestAPolicyForNoPodIsToldOf has the local cluster followed, too, which is where its pods are.
func TestAPolicyForNoPodIsToldOf(t *testing.T) {
	s := newScene(t)
	s.pod("web", "web", "10.1.0.1")
	var system corev1.Namespace // whose UID is the id of a cluster
	if err := s.admin.Get(t.Context(), client.ObjectKey{Name: metav1.NamespaceSystem}, &system); err != nil {
		t.Fatal(err)
	}
	if err := s.catalog.Follow(t.Context(), endpoint.Cluster{Name: "here", ID: string(system.UID), Config: s.primary.AdminConfig(), Bounds: endpoint.Bounds{Local: true}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { // otherwise nothing is said for half a minute
		if state, _ := s.catalog.State("here"); !state.Synced {
			return fmt.Errorf("the local cluster is not listed: %+v", state)
		}
		return nil
	})
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "here"}}
	rc.Spec.Auth.Type = v1alpha1.AuthInCluster
	if err := s.admin.Create(t.Context(), rc); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.admin.Delete(context.Background(), rc) })
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Selector: "role == 'shop'", Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress: []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}}},
	})
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonSelectsNothing, "spec.selector: ", `role == "shop"`, "in the local cluster")
	own := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shop", Labels: map[string]string{"role": "shop"}}}
	own.Spec.NodeName, own.Spec.Containers = "node", []corev1.Container{{Name: "c", Image: "i"}}
	if err := s.admin.Create(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	before := own.DeepCopy()
	own.Status.Phase, own.Status.PodIP, own.Status.PodIPs = corev1.PodRunning, "10.0.0.1", []corev1.PodIP{{IP: "10.0.0.1"}}
	if err := s.admin.Status().Patch(t.Context(), own, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Types = []v1alpha1.PolicyType{"Ingress"} }) // it is looked at again within 30 s
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}
