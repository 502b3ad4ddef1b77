package rights_test

import (
	"context"
	"os"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/cli/rights"
	"github.com/hawser-io/hawser/internal/kinds"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "remote")) }

const patience = 30 * time.Second

// world is a cluster that is entered, in which the tests make by hand what its controllers would make.
type world struct {
	t *testing.T
	client.Client
	asked rights.Cluster
}

func reach(t *testing.T, config *rest.Config) (client.Client, rights.Cluster) {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c, rights.Cluster{Client: c, Kube: kubernetes.NewForConfigOrDie(config)}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w, remote := &world{t: t}, fleettest.Use(t, "remote")
	w.Client, w.asked = reach(t, remote.AdminConfig())
	remote.Install(t, "../../../config/crd/hawser.io_trustedissuers.yaml", "../../../config/crd/hawser.io_accessgrants.yaml")
	for _, name := range []string{v1alpha1.Namespace, v1alpha1.GrantsNamespace, "shop"} {
		if err := w.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
	return w
}

// create makes an object for the time of the test.
func (w *world) create(obj client.Object) {
	w.t.Helper()
	if err := w.Create(w.t.Context(), obj); err != nil {
		w.t.Fatalf("creating %T %s: %v", obj, obj.GetName(), err)
	}
	w.t.Cleanup(func() { w.remove(obj) })
}

func (w *world) remove(obj client.Object) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.Delete(ctx, obj); client.IgnoreNotFound(err) != nil {
		w.t.Error(err)
	}
}

// role is a ClusterRole that may read pods.
func (w *world) role(name string) map[string][]rbacv1.PolicyRule {
	w.t.Helper()
	rules := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}}}
	w.create(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules})
	return map[string][]rbacv1.PolicyRule{name: rules}
}

// issuer makes a TrustedIssuer; without a reason it is Ready.
func (w *world) issuer(name, reason string) *v1alpha1.TrustedIssuer {
	w.t.Helper()
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TrustedIssuerSpec{URL: "https://" + name + ".example.com", Prefix: name + ":"}}
	w.create(ti)
	ready := metav1.Condition{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonTrusted, LastTransitionTime: metav1.Now()}
	if reason != "" {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, reason, "because of the test"
	}
	ti.Status.Conditions = []metav1.Condition{ready}
	if err := w.Status().Update(w.t.Context(), ti); err != nil {
		w.t.Fatal(err)
	}
	return ti
}

// grant makes an AccessGrant, and of it what its controller would make.
func (w *world) grant(name string, spec v1alpha1.AccessGrantSpec, in grant.World) *v1alpha1.AccessGrant {
	w.t.Helper()
	g := &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	w.create(g)
	wanted, err := grant.For(g, in)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, obj := range wanted.Objects {
		w.create(obj)
	}
	g.Status.ObservedGeneration = g.Generation
	g.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonGranted, LastTransitionTime: metav1.Now()}}
	if err := w.Status().Update(w.t.Context(), g); err != nil {
		w.t.Fatal(err)
	}
	return g
}

// controllers pretends that the member controllers run.
func (w *world) controllers() {
	w.t.Helper()
	w.create(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.MemberControllersLease},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: new("test"), RenewTime: &metav1.MicroTime{Time: time.Now()}},
	})
}

// connection is the member install of a local cluster, as far as it matters here.
func (w *world) connection(local string) {
	w.t.Helper()
	ns := v1alpha1.MemberNamespace(local)
	if err := w.Create(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}); client.IgnoreAlreadyExists(err) != nil {
		w.t.Fatal(err)
	}
}

// gate is the gate, as far as it can be seen from outside.
func (w *world) gate() {
	w.t.Helper()
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.GateServiceAccount}})
}

var inShop = &v1alpha1.GrantNamespaces{Names: []string{"shop"}}

func shop() []corev1.Namespace {
	return []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}}
}
