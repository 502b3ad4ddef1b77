package capicluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/capicluster"
)

// workload is a cluster that Cluster API made, behind a proxy that sees who asks.
type workload struct {
	*fleettest.Cluster
	proxy *fleettest.HTTPProxy
	admin client.Client
}

func newWorkload(t *testing.T) *workload {
	t.Helper()
	w := &workload{Cluster: fleettest.Use(t, "alpha")}
	w.proxy = w.HTTPProxy(t)
	var err error
	if w.admin, err = client.New(w.AdminConfig(), client.Options{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// kubeconfig is the administrator's, through the proxy.
func (w *workload) kubeconfig(t *testing.T) []byte {
	t.Helper()
	return []byte(strings.ReplaceAll(string(w.Kubeconfig(t)), w.Server, w.proxy.URL))
}

// byAdmin counts the requests that were made with the administrator's certificate.
func (w *workload) byAdmin() (n int) {
	for _, r := range w.proxy.Requests() {
		if r.ClientCert {
			n++
		}
	}
	return n
}

// runsAs waits until a connection is ready, and checks who it is.
func runsAs(t *testing.T, conn *connection.Connection, local string) {
	t.Helper()
	eventually(t, func() error { return inventorytest.Ready(conn) })
	if got, want := conn.State().Subject, "system:serviceaccount:hawser-from-"+local+":hawser"; got != want {
		t.Errorf("it runs as %q, want %q", got, want)
	}
}

func TestAConnectionOfItsOwnIdentity(t *testing.T) {
	t.Parallel()
	m, w := newManagement(t), newWorkload(t)
	local := m.local()
	text := w.kubeconfig(t)
	m.provision(t, "prod", text)
	own := &capicluster.Own{Local: local, Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}, Version: "v0.0.0-test"}
	inventoryOf := func() inventory.Inventory {
		return &capicluster.Inventory{Config: m.AdminConfig(), Namespace: m.namespace, IssueOwnCredential: own}
	}
	r := m.run(t, inventoryOf())
	cluster := r.told("prod")
	conn := inventorytest.Connect(t, cluster)
	runsAs(t, conn, local)

	// It is no administrator.
	api := kubernetes.NewForConfigOrDie(conn.Config())
	if _, err := api.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("it may list Secrets (%v)", err)
	}
	if _, err := api.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("it may not do what it is for: %v", err)
	}

	// The administrator is not needed for a renewal, and not for his own.
	used := w.byAdmin()
	conn.Renew()
	eventually(t, func() error {
		if conn.State().Renewals == 0 {
			return errors.New("no renewal yet")
		}
		return inventorytest.Ready(conn)
	})
	if n := w.byAdmin() - used; n != 0 {
		t.Errorf("the administrator's credential was used %d times after it had been installed", n)
	}
	if left := time.Until(conn.State().ExpiresAt); left > time.Hour || left < 50*time.Minute {
		t.Errorf("its token lives for %s, want an hour", left)
	}
	cert, key := w.ClientCert(t, "another-admin", []string{"system:masters"}, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	m.secret(t, "prod-kubeconfig", "value", kubeconfigOf(w.proxy.URL, w.CA(), cert, key))
	m.cluster(t, "prod", map[string]string{"changed": "too"}, ready)
	eventually(t, func() error {
		if now := r.Clusters()[m.namespace+"/prod"]; now.Properties["changed"] != "too" {
			return errors.New("the change has not been told")
		} else if now.Version != cluster.Version {
			t.Error("the administrator's rotation is no business of the connection's")
		}
		return nil
	})

	// What is removed is not put back.
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "hawser-from-" + local, Name: "hawser"}}
	deleted(t, w.admin, sa)
	eventually(t, func() error { // within the ten seconds for which an API server trusts a token that it has seen
		for _, c := range conn.State().Conditions {
			if strings.Contains(c.Message, "somebody removed the member side") {
				return nil
			}
		}
		return fmt.Errorf("it does not say that it was cut: %+v", conn.State().Conditions)
	})
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(sa), sa); !apierrors.IsNotFound(err) {
		t.Errorf("the member side was installed again (%v)", err)
	}

	// Its account made anew, it gets another token, by the administrator's credential of today.
	if err := w.admin.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: sa.Namespace, Name: sa.Name}}); err != nil {
		t.Fatal(err)
	}
	runsAs(t, conn, local)
	if w.byAdmin() == used {
		t.Error("the administrator's credential was not used")
	}
	deleted(t, w.admin, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: sa.Namespace}})

	// A restart installs it again, and no more of it than is asked for.
	own.Capabilities = nil
	again := inventorytest.Connect(t, m.run(t, inventoryOf()).told("prod"))
	runsAs(t, again, local)
	bindings := &rbacv1.ClusterRoleBindingList{}
	if err := w.admin.List(t.Context(), bindings, client.MatchingLabels{v1alpha1.LocalClusterLabel: local}); err != nil {
		t.Fatal(err)
	}
	for _, b := range bindings.Items {
		if strings.Contains(b.Name, "endpoints") {
			t.Errorf("%s was left", b.Name)
		}
	}
}

func TestNarrowerOptionsNarrowTheRights(t *testing.T) {
	t.Parallel()
	m, w := newManagement(t), newWorkload(t)
	local := m.local()
	m.provision(t, "prod", w.kubeconfig(t))
	binding := func() error {
		return w.admin.Get(t.Context(), client.ObjectKey{Name: "hawser-endpoints-from-" + local}, &rbacv1.ClusterRoleBinding{})
	}
	run := func(capabilities ...v1alpha1.Capability) {
		t.Helper()
		own := &capicluster.Own{Local: local, Capabilities: capabilities}
		c := m.run(t, &capicluster.Inventory{Config: m.AdminConfig(), Namespace: m.namespace, IssueOwnCredential: own}).told("prod")
		if _, err := c.Source.Obtain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	run(v1alpha1.CapabilityEndpoints)
	if err := binding(); err != nil {
		t.Error(err)
	}
	run()
	if err := binding(); !apierrors.IsNotFound(err) {
		t.Errorf("the rights of yesterday are left (%v)", err)
	}
}

func TestWhatIsNotOursIsNotTouched(t *testing.T) {
	t.Parallel()
	m, w := newManagement(t), newWorkload(t)
	local := m.local()
	theirs := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "hawser-connect-from-" + local},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
	}
	if err := w.admin.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	m.provision(t, "prod", w.kubeconfig(t))
	r := m.run(t, &capicluster.Inventory{Config: m.AdminConfig(), Namespace: m.namespace, IssueOwnCredential: &capicluster.Own{Local: local}})
	_, err := r.told("prod").Source.Obtain(t.Context())
	if err == nil || !strings.Contains(err.Error(), "it exists and is not Hawser's") {
		t.Errorf("got %v", err)
	}
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs); err != nil || theirs.RoleRef.Name != "view" {
		t.Errorf("it became %+v (%v)", theirs.RoleRef, err)
	}
}

func TestAKubeconfigOfNoAdministrator(t *testing.T) {
	t.Parallel()
	m, w := newManagement(t), newWorkload(t)
	cert, key := w.ClientCert(t, "nobody", nil, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	m.provision(t, "prod", kubeconfigOf(w.Server, w.CA(), cert, key))
	r := m.run(t, &capicluster.Inventory{Config: m.AdminConfig(), Namespace: m.namespace, IssueOwnCredential: &capicluster.Own{Local: "hub"}})
	conn := inventorytest.Connect(t, r.told("prod"))
	eventually(t, func() error {
		for _, c := range conn.State().Conditions {
			if c.Type == v1alpha1.Authenticated && c.Reason == v1alpha1.ReasonInputForbidden && strings.Contains(c.Message, `cannot get resource "namespaces"`) {
				return nil
			}
		}
		return fmt.Errorf("got %+v", conn.State().Conditions)
	})
}

func TestADeadClusterSaysSo(t *testing.T) {
	t.Parallel()
	m, w := newManagement(t), newWorkload(t)
	m.provision(t, "prod", w.kubeconfig(t))
	w.proxy.Cut()
	r := m.run(t, &capicluster.Inventory{Config: m.AdminConfig(), Namespace: m.namespace, IssueOwnCredential: &capicluster.Own{Local: "hub"}})
	conn := inventorytest.Connect(t, r.told("prod"))
	eventually(t, func() error {
		for _, c := range conn.State().Conditions {
			if c.Type == v1alpha1.Reachable && c.Reason == v1alpha1.ReasonDialFailed {
				return nil
			}
		}
		return fmt.Errorf("got %+v", conn.State().Conditions)
	})
}
