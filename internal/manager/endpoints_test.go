package manager_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/member"
)

// federating lets a hub follow endpoints, under the role that we ship.
func (h *hub) federating() {
	h.t.Helper()
	h.stop()
	h.cluster.Install(h.t, "../../config/endpoints/*.yaml")
	h.endpoints = true
	h.start()
}

// runs makes a pod that runs, as far as anybody knows.
func runs(t *testing.T, admin client.Client, namespace, name, app, ip string) {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": app}}, Spec: corev1.PodSpec{
		NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: "i"}},
	}}
	if err := admin.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	if err := admin.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// What becomes of a cluster's endpoints is up to its RemoteCluster, and to nothing that happens to the connection.
func TestEndpointsAreThoseThatARemoteClusterMayContribute(t *testing.T) {
	h := startHub(t)
	h.federating()
	alpha := fleettest.Use(t, "alpha")
	here, there := h.cluster.Namespace(t), alpha.Namespace(t)
	far := h.member(alpha, member.Options{Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}})
	proxy := alpha.Proxy(t)
	runs(t, far, there, "one", there, "10.4.0.1")
	runs(t, far, there, "outside", there, "10.5.0.1")
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, time.Hour)})
	h.tie("alpha", proxy.URL, alpha.CA(), bearer)
	h.ready("alpha")
	set := &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: here}, Spec: v1alpha1.EndpointSetSpec{
		Selector: fmt.Sprintf("app == %q", there), Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Outputs: []v1alpha1.EndpointOutput{{Name: "cm", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: here}}},
	}}
	if err := h.admin.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.admin.Delete(h.t.Context(), set) })
	has := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprintf("addresses %v", want), func() error {
			var cm corev1.ConfigMap
			err := h.admin.Get(t.Context(), client.ObjectKey{Namespace: here, Name: here + "-cm-alpha"}, &cm)
			if got := strings.Fields(cm.Data["addresses"]); client.IgnoreNotFound(err) != nil || !slices.Equal(got, want) {
				return fmt.Errorf("there are %v, %w", got, err)
			}
			return nil
		})
	}
	gap := func(want string) {
		t.Helper()
		eventually(t, "the gap "+want, func() error {
			if err := h.admin.Get(t.Context(), client.ObjectKeyFromObject(set), set); err != nil {
				return err
			}
			for _, c := range set.Status.Clusters {
				if c.Name == "alpha" && slices.ContainsFunc(c.Gaps, func(g string) bool { return strings.Contains(g, want) }) {
					return nil
				}
			}
			return fmt.Errorf("the status is %+v", set.Status)
		})
	}
	gap(endpoint.ReasonNoCapability)
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
	})
	gap(endpoint.ReasonUnbounded)
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.EndpointCIDRs = []string{"10.4.0.0/16"} })
	has("10.4.0.1/32")
	gap(endpoint.ReasonOutside)
	runs(t, far, there, "two", there, "10.4.0.2")
	has("10.4.0.1/32", "10.4.0.2/32")

	h.rotate("alpha")
	proxy.Cut()
	gap(endpoint.ReasonUnreachable)
	if err := far.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: there, Name: "two"}}, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	has("10.4.0.1/32", "10.4.0.2/32")
	proxy.Restore()
	has("10.4.0.1/32")

	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = true })
	eventually(t, "somebody to say that a cluster is missing", func() error {
		if err := h.admin.Get(t.Context(), client.ObjectKeyFromObject(set), set); err != nil {
			return err
		}
		if c := meta.FindStatusCondition(set.Status.Conditions, "Complete"); c == nil || c.Status != metav1.ConditionFalse {
			return fmt.Errorf("it is %+v", set.Status.Conditions)
		}
		return nil
	})
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = false })
	has("10.4.0.1/32")
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.EndpointCIDRs = []string{"10.5.0.0/16"} })
	has("10.5.0.1/32")
	if err := h.admin.Delete(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was made to be gone", func() error {
		err := h.admin.Get(t.Context(), client.ObjectKey{Namespace: here, Name: here + "-cm-alpha"}, &corev1.ConfigMap{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("it is there"), err)
	})
}
