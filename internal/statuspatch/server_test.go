package statuspatch_test

import (
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/internal/statuspatch"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "alpha")) }

func TestAnotherObjectOfTheNameIsNotWritten(t *testing.T) {
	c := fleettest.Use(t, "alpha")
	c.Install(t, "../../config/crd/hawser.io_accessgrants.yaml")
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(c.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	grant := func() *v1alpha1.AccessGrant {
		return &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Spec: v1alpha1.AccessGrantSpec{
			Subjects: []v1alpha1.GrantSubject{{User: "ann"}}, ClusterRoles: []string{"view"}, WholeCluster: true,
		}}
	}
	g := grant()
	if err := admin.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	status := v1alpha1.AccessGrantStatus{Rules: []string{"get pods"}}
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonGranted})
	for range 2 { // where there is no status yet, and where there is one
		if err := admin.Status().Patch(t.Context(), g, statuspatch.Of(status)); err != nil || len(g.Status.Conditions) != 1 {
			t.Fatalf("got %d conditions (%v)", len(g.Status.Conditions), err)
		}
	}
	old := g.DeepCopy()
	old.UID = types.UID("of-one-that-is-gone")
	if err := admin.Status().Patch(t.Context(), old, statuspatch.Of(v1alpha1.AccessGrantStatus{})); err == nil || client.IgnoreNotFound(err) == nil {
		t.Errorf("got %v, want a refusal", err)
	}
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(g), g); err != nil || len(g.Status.Rules) != 1 {
		t.Errorf("it was written: %+v (%v)", g.Status, err)
	}
}
