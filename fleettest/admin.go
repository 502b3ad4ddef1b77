package fleettest

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/internal/kinds"
)

// Admin is a client with admin rights, for Kubernetes' own kinds and Hawser's.
func (c *Cluster) Admin(t testing.TB) client.Client {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(c.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatalf("making a client of cluster %q: %v", c.Name, err)
	}
	return admin
}

// ApplyObjects applies objects with admin rights, as [Cluster.Apply] does. Each says of which kind it is.
func (c *Cluster) ApplyObjects(t testing.TB, objects ...client.Object) {
	t.Helper()
	admin := c.Admin(t)
	for _, o := range objects {
		o.SetManagedFields(nil)
		//nolint:staticcheck // the successor of client.Apply wants generated types
		if err := admin.Patch(t.Context(), o, client.Apply, client.FieldOwner("fleettest"), client.ForceOwnership); err != nil {
			t.Fatalf("applying %T %s to cluster %q: %v", o, o.GetName(), c.Name, err)
		}
	}
}
