package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/manager"
)

// TestStatusOfARealFleet asks with no more than the role that we ship for people who look.
func TestStatusOfARealFleet(t *testing.T) {
	primary := fleettest.Use(t, "primary")
	primary.Install(t, "../../config/crd/*.yaml", "../../config/rbac/*.yaml")
	d := &desk{t: t, local: fmt.Sprintf("desk-%d", desks.Add(1)), here: asAdmin(t, "primary")}
	t.Cleanup(func() { // what is left of it says that it does not run, where managers of other tests do, which take none
		_ = d.here.Client.Delete(context.Background(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: manager.LeaderLease}})
	})
	running := fleettest.Background(t, "the manager", func(ctx context.Context) error {
		return manager.Run(ctx, manager.Options{
			ClusterName: d.local, ManagementOnly: true, LeaderElect: true, ProbeInterval: time.Second, MetricsAddr: "0", ProbeAddr: "0",
			Config: primary.TokenConfig(primary.Token(t, v1alpha1.Namespace, "hawser", time.Hour)), Log: logr.Discard(),
		})
	})
	t.Cleanup(d.removeClusters)
	viewer := newViewer(t, d)
	fleettest.Eventually(t, patience, func() error {
		if s, _ := statusAs(t, viewer, clock.RealClock{}); s.Local.Name != d.local {
			return errors.New("the manager has not said its name yet")
		}
		return nil
	})
	d.must("join", "alpha", "--remote-context", "alpha")
	gone := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "gone"}, Spec: v1alpha1.RemoteClusterSpec{
		Server: "https://127.0.0.1:1", Auth: v1alpha1.Auth{Type: v1alpha1.AuthBearerToken},
	}}
	if err := d.here.Client.Create(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	var s Status
	fleettest.Eventually(t, patience, func() error {
		var got outcome
		s, got = statusAs(t, viewer, clock.RealClock{})
		if i := gapOf(s, "gone"); i < 0 || s.Gaps[i].Since == nil {
			return fmt.Errorf("cluster gone is no gap yet: %s", got.Err)
		}
		for _, c := range s.Clusters {
			if c.Name == "gone" && c.Ready != "False" {
				return fmt.Errorf("cluster gone is %s", c.Ready)
			}
		}
		return nil
	})
	if len(s.Gaps) != 1 {
		t.Errorf("want the one gap, got %+v", s.Gaps)
	}
	ready := map[string]string{}
	for _, c := range s.Clusters {
		ready[c.Name] = c.Ready
	}
	if diff := cmp.Diff(map[string]string{"alpha": "True", "gone": "False"}, ready); diff != "" {
		t.Errorf("clusters (-want +got)\n%s", diff)
	}
	if p := s.Processes[0]; p.State != stateRunning || p.Holder == "" || p.SeenAt == nil {
		t.Errorf("the manager runs, and is shown as %+v", p)
	}
	if len(s.Credentials) != 1 || s.Credentials[0].Name != "alpha" || s.Credentials[0].ExpiresAt == nil || s.Credentials[0].Fresh != "True" {
		t.Errorf("the credential of alpha is shown as %+v", s.Credentials)
	}
	if s.AccessRequests == nil || s.AccessGrants == nil || s.TrustedIssuers == nil || s.EndpointSets == nil || s.FederatedNetworkPolicies == nil {
		t.Errorf("kinds that are installed are passed over: %+v", s)
	}
	later, _ := statusAs(t, viewer, clocktesting.NewFakeClock(time.Now().Add(10*time.Minute)))
	if p := later.Processes[0]; p.State != stateStale || gapOf(later, processManager) < 0 {
		t.Errorf("ten minutes after the last renewal the manager is shown as %+v, with gaps %+v", p, later.Gaps)
	}
	d.removeClusters() // while the manager runs
	running.Stop()
	stopped, got := statusAs(t, viewer, clock.RealClock{})
	if p := stopped.Processes[0]; p.State != stateStopped || gapOf(stopped, processManager) < 0 || got.Code != exitFailed {
		t.Errorf("the manager was stopped, and is shown as %+v, exit code %d", p, got.Code)
	}
}

func gapOf(s Status, name string) int {
	return slices.IndexFunc(s.Gaps, func(g Gap) bool { return g.Name == name })
}

// newViewer is somebody with the role hawser-viewer, and no other.
func newViewer(t *testing.T, d *desk) *rest.Config {
	t.Helper()
	primary := fleettest.Use(t, "primary")
	namespace := primary.Namespace(t)
	primary.ServiceAccount(t, namespace, "viewer")
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "viewer"}}
	bindings := []client.Object{
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: namespace}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "hawser-viewer"},
		},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: namespace}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "hawser-viewer"},
		},
	}
	for _, b := range bindings {
		if err := d.here.Client.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return primary.TokenConfig(primary.Token(t, namespace, "viewer", time.Hour))
}

func statusAs(t *testing.T, who *rest.Config, at clock.WithTicker) (Status, outcome) {
	t.Helper()
	var out, stderr bytes.Buffer
	d := &deps{
		in: strings.NewReader(""), out: &out, err: &stderr, clock: at,
		connect: func(string, string) (*cluster, error) { return newCluster(who) },
	}
	got := outcome{Code: d.run(t.Context(), []string{"hawser", "status", "-o", "json"})}
	got.Out, got.Err = out.String(), stderr.String()
	var s Status
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("%v\n%s%s", err, got.Out, got.Err)
	}
	return s, got
}
