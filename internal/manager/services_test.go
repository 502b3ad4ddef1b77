package manager_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/rbac"
	"github.com/hawser-io/hawser/member"
)

// TestAServiceHasEndpointsOfTheClustersThatTheManagerIsConnectedTo: under the roles that we ship, until the RemoteCluster
// goes.
func TestAServiceHasEndpointsOfTheClustersThatTheManagerIsConnectedTo(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	h := &hub{t: t, local: fmt.Sprintf("hub-%d", hubs.Add(1)), cluster: fleettest.Use(t, "primary"), endpoints: true}
	h.admin = adminOf(t, h.cluster)
	h.cluster.Install(t, "../../config/crd/*.yaml", "../../config/rbac/*.yaml")
	for _, f := range rbac.Features() {
		if f.Name == "endpoints" {
			if err := h.cluster.Apply(t.Context(), f.YAML()); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.start()
	t.Cleanup(h.end)

	far := h.member(alpha, member.Options{Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}})
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, time.Hour)})
	h.tie("alpha", alpha.Server, alpha.CA(), bearer, func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
		rc.Spec.EndpointCIDRs = []string{"10.0.0.0/8"}
	})
	namespace := h.cluster.Namespace(t)
	ports := []corev1.ServicePort{{Name: "http", Port: 80}}
	create := func(c client.Client, o client.Object) {
		t.Helper()
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	create(h.admin, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "all", Annotations: map[string]string{service.SelectorAnnotation: "has(app)"}}, Spec: corev1.ServiceSpec{Ports: ports}})
	there := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	create(far, there)
	t.Cleanup(func() { _ = far.Delete(context.Background(), there) })
	create(far, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", Labels: map[string]string{"app": "web"}}, Spec: corev1.ServiceSpec{Ports: ports}})
	create(far, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: "web-x", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}}, {Addresses: []string{"192.168.1.1"}}},
	})

	written := func() (addresses []string) {
		var all discoveryv1.EndpointSliceList
		if err := h.admin.List(t.Context(), &all, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: "all"}); err != nil {
			t.Fatal(err)
		}
		for _, s := range all.Items {
			for _, e := range s.Endpoints {
				addresses = append(addresses, e.Addresses...)
			}
		}
		return addresses
	}
	eventually(t, "the endpoint of alpha", func() error {
		if got := written(); !slices.Equal(got, []string{"10.1.2.3"}) {
			return fmt.Errorf("the Service has %q", got)
		}
		return nil
	})
	if err := h.admin.Delete(t.Context(), h.get("alpha")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the endpoint of alpha to go", func() error {
		if got := written(); len(got) > 0 {
			return errors.New("it is still there")
		}
		return nil
	})
}
