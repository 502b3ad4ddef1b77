package manager_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
	move(t, admin, namespace, name, ip)
}

// move gives a pod an address, or another one.
func move(t *testing.T, admin client.Client, namespace, name, ip string) {
	t.Helper()
	status := fmt.Sprintf(`{"status":{"phase":"Running","podIP":%[1]q,"podIPs":[{"ip":%[1]q}]}}`, ip)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := admin.Status().Patch(t.Context(), p, client.RawPatch(types.MergePatchType, []byte(status))); err != nil {
		t.Fatal(err)
	}
}

// way is what came through a proxy to follow something: how often it was asked for, and how many watches of it are open.
type way struct{ Asked, Open int }

// followed waits until everything that a cluster has of endpoints is watched, and returns what came of each. To find out
// which cluster answers is not counted.
func followed(t *testing.T, proxy *fleettest.HTTPProxy) (ways map[string]way) {
	t.Helper()
	paths := []string{
		"/api/v1/namespaces", "/api/v1/nodes", "/api/v1/pods", "/api/v1/serviceaccounts",
		"/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices",
	}
	eventually(t, "watches of all of it", func() error {
		ways = map[string]way{}
		for _, r := range proxy.Requests() {
			if slices.Contains(paths, r.Path) && r.Query.Get("fieldSelector") == "" {
				ways[r.Path] = way{Asked: ways[r.Path].Asked + 1}
			}
		}
		for _, watch := range proxy.Watches() {
			if w, ok := ways[watch.Path]; ok && watch.End == fleettest.WatchOpen {
				ways[watch.Path] = way{w.Asked, w.Open + 1}
			}
		}
		for _, path := range paths {
			if ways[path].Open == 0 {
				return fmt.Errorf("%s is not: %v", path, ways)
			}
		}
		return nil
	})
	return ways
}

// What becomes of a cluster's endpoints is up to its RemoteCluster, and to nothing that happens to the connection.
func TestEndpointsAreThoseThatARemoteClusterMayContribute(t *testing.T) {
	h := startHubAside(t)
	h.federating()
	alpha := fleettest.Use(t, "alpha")
	here, there := h.cluster.Namespace(t), alpha.Namespace(t)
	far := h.member(alpha, member.Options{Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}})
	proxy := alpha.HTTPProxy(t)
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

	before := followed(t, proxy)
	h.rotate("alpha")
	move(t, far, there, "two", "10.4.0.3")
	has("10.4.0.1/32", "10.4.0.3/32")
	if diff := cmp.Diff(before, followed(t, proxy)); diff != "" {
		t.Errorf("the rotation has dropped what alpha is followed by, or had it listed again (-before +after):\n%s", diff)
	}
	proxy.Cut()
	gap(endpoint.ReasonUnreachable)
	if err := far.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: there, Name: "two"}}, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	has("10.4.0.1/32", "10.4.0.3/32")
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
