package federatednetworkpolicy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/fleettest"
)

const schemas = "../../../endpoint/calico/testdata/"

// withoutCalico takes away what another test has installed.
func withoutCalico(t *testing.T) {
	t.Helper()
	admin := fleettest.Use(t, "primary").Admin(t)
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	crd.SetName("networkpolicies.projectcalico.org")
	eventually(t, func() error {
		if err := admin.Delete(t.Context(), crd); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there yet (%w)", err)
		}
		return nil
	})
}

// made waits until the objects of a kind that were made for the policy say exactly something.
func (s *scene) made(k calico.Kind, inShort func(*unstructured.Unstructured) string, want ...string) {
	s.t.Helper()
	eventually(s.t, func() error {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(k.GVK())
		if err := s.admin.List(s.t.Context(), list, client.MatchingLabels{publish.PolicyNamespaceLabel: s.namespace}); err != nil {
			return err
		}
		var got []string
		for i := range list.Items {
			got = append(got, inShort(&list.Items[i]))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("there is\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
		return nil
	})
}

// owned says whether an object goes with the namespace of the policy, should nobody sweep it.
func (s *scene) owned(o *unstructured.Unstructured) string {
	s.t.Helper()
	var namespace corev1.Namespace
	if err := s.admin.Get(s.t.Context(), client.ObjectKey{Name: s.namespace}, &namespace); err != nil {
		return err.Error()
	}
	want := metav1.OwnerReference{APIVersion: "v1", Kind: "Namespace", Name: s.namespace, UID: namespace.UID}
	if got := o.GetOwnerReferences(); len(got) != 1 || got[0] != want {
		return fmt.Sprintf(" by %+v", got)
	}
	return " by its namespace"
}

func webIn(alpha ...string) v1alpha1.FederatedNetworkPolicySpec {
	return v1alpha1.FederatedNetworkPolicySpec{
		Selector: "role == 'shop'", Clusters: v1alpha1.ClusterScope{Names: alpha},
		Egress: []v1alpha1.FederatedRule{{Action: "Allow", Protocol: "TCP", Destination: &v1alpha1.FederatedPeer{
			Selector: new("app == 'web'"), Ports: []intstr.IntOrString{intstr.FromInt32(80)},
		}}},
	}
}

// TestPodsStayClosedWhereTheirTargetIsNotServed goes from one target to one that the cluster lacks, and on to a third.
func TestPodsStayClosedWhereTheirTargetIsNotServed(t *testing.T) {
	withoutCalico(t)
	fleettest.Use(t, "primary").Install(t, schemas+"clusternetworkpolicies.policy.networking.k8s.io.yaml")
	s := newScene(t)
	web := s.pod("web", "web", "10.1.0.1")
	p := s.policy(webIn("alpha"))
	closed := "shop.closed for role=shop:"
	s.has(closed, "shop.peers-alpha for role=shop: to 10.1.0.1/32 :80")

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Target = v1alpha1.TargetCalico })
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, "NetworkPolicy "+s.namespace+"/shop", "this needs Calico with its API server")
	s.has(closed)

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) {
		spec.Target, spec.ClusterNetworkPolicy = v1alpha1.TargetClusterNetworkPolicy, &v1alpha1.ClusterNetworkPolicyTarget{Priority: 12}
	})
	s.has(closed)
	accepted := func(o *unstructured.Unstructured) string {
		c, err := calico.Read[calico.ClusterNetworkPolicySpec](o)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(strings.TrimPrefix(c.Name, s.namespace+"."), " ", c.Spec.Tier, " ", c.Spec.Priority, " ", c.Spec.Egress[0].To[0].Networks, " ", c.Spec.Egress[0].Protocols[0].TCP.DestinationPort.Number, s.owned(o))
	}
	s.made(calico.ClusterNetworkPolicies, accepted, "shop.egress-alpha Admin 12 [10.1.0.1/32] 80 by its namespace")
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	s.move(web, "10.1.0.2")
	s.made(calico.ClusterNetworkPolicies, accepted, "shop.egress-alpha Admin 12 [10.1.0.2/32] 80 by its namespace")
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) {
		spec.Ingress = []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}}}
	})
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonNotExpressible, "spec.ingress[0].source.selector", "knows addresses of destinations alone")
	if err := s.admin.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s.made(calico.ClusterNetworkPolicies, accepted)
}

func TestCalicoFollowsThePodsOfARemoteCluster(t *testing.T) {
	fleettest.Use(t, "primary").Install(t, schemas+"networkpolicies.projectcalico.org.yaml", schemas+"*networksets.projectcalico.org.yaml")
	s := newScene(t)
	web := s.pod("web", "web", "10.1.0.1")
	spec := webIn("alpha")
	spec.Target = v1alpha1.TargetCalico
	spec.Egress[0].Destination.Ports = append(spec.Egress[0].Destination.Ports, intstr.FromString("web"))
	p := s.policy(spec)
	policies := func(o *unstructured.Unstructured) string {
		c, err := calico.Read[calico.NetworkPolicySpec](o)
		if err != nil {
			return err.Error()
		}
		text := fmt.Sprint(c.Name, " ", c.Spec.Selector, " ", c.Spec.Types)
		for _, r := range c.Spec.Egress {
			for _, port := range r.Destination.Ports {
				text += " to " + port.String()
			}
		}
		return text
	}
	sets := func(o *unstructured.Unstructured) string {
		c, err := calico.Read[calico.NetworkSetSpec](o)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(c.Spec.Nets, s.owned(o))
	}
	s.made(calico.NetworkPolicies, policies, `shop role == "shop" [Ingress Egress] to 80`, `shop-ports-alpha role == "shop" [Egress] to 8080`)
	s.made(calico.GlobalNetworkSets, sets, "[10.1.0.1/32] by its namespace", "[10.1.0.1/32] by its namespace")
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	s.has()
	s.move(web, "10.1.0.2")
	s.made(calico.GlobalNetworkSets, sets, "[10.1.0.2/32] by its namespace", "[10.1.0.2/32] by its namespace")

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Egress[0].Destination.Ports = nil })
	s.made(calico.NetworkPolicies, func(o *unstructured.Unstructured) string { return o.GetName() }, "shop")
	s.made(calico.GlobalNetworkSets, sets, "[10.1.0.2/32] by its namespace")
	if err := s.admin.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s.made(calico.GlobalNetworkSets, sets) // which no garbage collector takes with it: they are of no namespace
	s.made(calico.NetworkPolicies, policies)
}
