package fleet_test

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

func TestANamespaceAsACluster(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	one, two := alpha.Namespace(t), alpha.Namespace(t)
	// The credential may do what it may in these namespaces only.
	limited := tokenOf(t, alpha, "limited", "")
	for _, ns := range []string{one, two} {
		makeIn(t, alpha, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "limited"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "limited"}},
		})
	}
	w := newWorld(t)
	var got seen
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).Complete(&got); err != nil {
		t.Fatal(err)
	}
	w.run()
	for _, ns := range []string{one, two} {
		c := clusterAt("ns/"+ns, alpha, alpha.Server, limited)
		c.Namespace = ns
		w.told.set(c)
	}
	c := w.ready("ns/" + one)
	w.ready("ns/" + two)
	if c.Namespace() != one {
		t.Errorf("its namespace is %q", c.Namespace())
	}
	made := configMap("", "made")
	if err := c.GetClient().Create(t.Context(), made); err != nil || made.Namespace != one {
		t.Errorf("making an object without a namespace: %v in %q", err, made.Namespace)
	}
	makeIn(t, alpha, configMap(two, "other"))
	eventually(t, "each sees its own", func() bool { return got.of("ns/"+one, one, "made") > 0 && got.of("ns/"+two, two, "other") > 0 })
	if got.of("ns/"+one, two, "other") > 0 || got.of("ns/"+two, one, "made") > 0 {
		t.Error("a virtual cluster sees the objects of another one")
	}
	if err := c.GetClient().Create(t.Context(), configMap(two, "foreign")); err == nil || !strings.Contains(err.Error(), "does not match the namespace") {
		t.Errorf("making an object in another namespace: %v", err)
	}
	for name, reader := range map[string]client.Reader{"client": c.GetClient(), "cache": c.GetCache(), "uncached": c.GetAPIReader()} {
		var found corev1.ConfigMapList
		if err := reader.List(t.Context(), &found); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := range found.Items {
			if found.Items[i].Namespace != one {
				t.Errorf("%s lists an object of %s", name, found.Items[i].Namespace)
			}
		}
		if len(found.Items) == 0 {
			t.Errorf("%s lists nothing", name)
		}
	}
	err := c.GetClient().List(t.Context(), &corev1.NodeList{})
	if err == nil || errors.Is(err, fleet.ErrNotReady) || !strings.Contains(err.Error(), "nodes is forbidden") {
		t.Errorf("reading a kind without namespaces, which this credential may not: %v", err)
	}
}
