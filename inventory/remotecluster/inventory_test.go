package remotecluster_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/internal/kinds"
	places "github.com/hawser-io/hawser/inventory"
	inventory "github.com/hawser-io/hawser/inventory/remotecluster"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

const patience = 30 * time.Second

// adminOf installs the kind in a cluster.
func adminOf(t *testing.T, cluster *fleettest.Cluster) client.Client {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(cluster.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Install(t, "../../config/crd/hawser.io_remoteclusters.yaml")
	return admin
}

// annotation holds the token of a test's own identity, which in earnest would be no place for it.
const annotation = "example.com/token"

// annotated are credentials of our own.
func annotated(rc *v1alpha1.RemoteCluster) (credential.Source, string, error) {
	token := rc.Annotations[annotation]
	if token == "" {
		return nil, "", errors.New("the object has no token for us")
	}
	return places.Fixed(credential.NewToken(token, token)), token, nil
}

// hand changes RemoteClusters as an admin.
type hand struct{ client.Client }

func (h hand) add(t testing.TB, name string, access inventorytest.Access) {
	t.Helper()
	h.create(t, remoteCluster(func(rc *v1alpha1.RemoteCluster) {
		rc.Name, rc.Annotations = name, map[string]string{annotation: access.Token}
		rc.Spec.Server, rc.Spec.CAData = access.Server, base64.StdEncoding.EncodeToString(access.CAData)
	}))
}

func (h hand) create(t testing.TB, rc *v1alpha1.RemoteCluster) {
	t.Helper()
	if err := h.Create(t.Context(), rc); err != nil {
		t.Fatal(err)
	}
}

// change changes an object, also if its fields are somebody else's meanwhile.
func (h hand) change(t testing.TB, name string, change func(rc *v1alpha1.RemoteCluster)) {
	t.Helper()
	fleettest.Eventually(t, patience, func() error {
		var rc v1alpha1.RemoteCluster
		if err := h.Get(t.Context(), client.ObjectKey{Name: name}, &rc); err != nil {
			return err
		}
		change(&rc)
		return h.Update(t.Context(), &rc)
	})
}

func (h hand) rotate(t testing.TB, name string, access inventorytest.Access) {
	t.Helper()
	h.change(t, name, func(rc *v1alpha1.RemoteCluster) { rc.Annotations = map[string]string{annotation: access.Token} })
}

func (h hand) remove(t testing.TB, name string) {
	t.Helper()
	if err := h.Delete(t.Context(), remoteCluster(func(rc *v1alpha1.RemoteCluster) { rc.Name = name })); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
}

// disable returns what disables an object, or enables it again.
func (h hand) disable(disabled bool) func(t testing.TB, name string) {
	return func(t testing.TB, name string) {
		t.Helper()
		h.change(t, name, func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = disabled })
	}
}

func TestConformance(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	h := hand{adminOf(t, cluster)}
	account := inventorytest.NewAccount(t, cluster, cluster.Namespace(t), inventory.Role)
	inventorytest.Run(t, inventorytest.Subject{
		Cluster: cluster,
		Account: account,
		New: func(testing.TB) places.Inventory {
			return &inventory.Inventory{Config: account.Config(), Credentials: annotated}
		},
		Add:    h.add,
		Remove: h.remove,
		Rotate: h.rotate,
		Break: func(t testing.TB, name string) {
			h.change(t, name, func(rc *v1alpha1.RemoteCluster) { rc.Spec.CAData = "aGVsbG8=" })
		},
		Mend: func(t testing.TB, name string, access inventorytest.Access) {
			h.change(t, name, func(rc *v1alpha1.RemoteCluster) {
				rc.Annotations = map[string]string{annotation: access.Token}
				rc.Spec.CAData = base64.StdEncoding.EncodeToString(access.CAData)
			})
		},
		Hide: h.disable(true),
		Show: h.disable(false),
	})
}

// begin runs an inventory until the test ends.
func begin(t *testing.T, credentials func(*v1alpha1.RemoteCluster) (credential.Source, string, error)) (hand, *inventorytest.Recorder) {
	t.Helper()
	cluster := fleettest.Use(t, "primary")
	h := hand{adminOf(t, cluster)}
	return h, inventorytest.Start(t, &inventory.Inventory{
		Config: cluster.AdminConfig(), Credentials: credentials, Checks: []authorizationv1.ResourceAttributes{{Resource: "pods", Verb: "list"}},
	})
}

// object makes an object that is deleted when the test ends.
func object(t *testing.T, h hand, name string, change func(*v1alpha1.RemoteCluster)) {
	t.Helper()
	h.create(t, remoteCluster(func(rc *v1alpha1.RemoteCluster) {
		rc.Name, rc.Annotations = name, map[string]string{annotation: "one"}
		change(rc)
	}))
	t.Cleanup(func() {
		_ = h.Delete(context.Background(), remoteCluster(func(rc *v1alpha1.RemoteCluster) { rc.Name = name })) // it may be gone
	})
}

// becomes waits until a cluster is as check wants it.
func becomes(t *testing.T, r *inventorytest.Recorder, name string, check func(places.Cluster) error) {
	t.Helper()
	fleettest.Eventually(t, patience, func() error {
		c, ok := r.Clusters()[name]
		if !ok {
			return fmt.Errorf("no cluster %q; it told %v", name, r.Events())
		}
		return check(c)
	})
}

func version(want string) func(places.Cluster) error {
	return func(c places.Cluster) error {
		if c.Version != want {
			return fmt.Errorf("version %q, want %q", c.Version, want)
		}
		return nil
	}
}

// faulty waits until the fault of a name has want in it.
func faulty(t *testing.T, r *inventorytest.Recorder, name, want string) {
	t.Helper()
	fleettest.Eventually(t, patience, func() error {
		if err := r.Faults()[name]; err == nil || !strings.Contains(err.Error(), want) {
			return fmt.Errorf("the fault of %q is %w, want one that has %q", name, err, want)
		}
		return nil
	})
}

func TestAnObjectSaysWhereAndWhichAClusterIsAndNotWhoWeAre(t *testing.T) {
	h, r := begin(t, annotated)
	object(t, h, "where", func(rc *v1alpha1.RemoteCluster) {
		rc.Labels = map[string]string{"region": "north"}
		rc.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
	})
	becomes(t, r, "where", func(c places.Cluster) error {
		if c.Spec.Endpoint.Server != "https://example.com" || c.Version != "one" {
			return fmt.Errorf("it is %+v", c)
		}
		if len(c.Spec.Checks) != 1 || c.Spec.Local != "" || c.Spec.AuthType != "" {
			return fmt.Errorf("it asks for the rights of Hawser's own identity: %+v", c.Spec)
		}
		return nil
	})
	var rc v1alpha1.RemoteCluster
	if err := h.Get(t.Context(), client.ObjectKey{Name: "where"}, &rc); err != nil {
		t.Fatal(err)
	}
	rc.Status.ClusterID, rc.Status.ClusterProperty, rc.Status.ClusterSet = "uid", "berlin", "prod"
	if err := h.Status().Update(t.Context(), &rc); err != nil {
		t.Fatal(err)
	}
	becomes(t, r, "where", func(c places.Cluster) error {
		want := map[string]string{"region": "north", "cluster.clusterset.k8s.io": "berlin", "clusterset.k8s.io": "prod"}
		if diff := cmp.Diff(want, c.Properties); diff != "" || c.Spec.ClusterID != "uid" {
			return fmt.Errorf("it is pinned to %q and has other properties (-want +got)\n%s", c.Spec.ClusterID, diff)
		}
		return nil
	})
}

func TestAnObjectThatIsBeingDeletedIsAClusterUntilNothingHoldsIt(t *testing.T) {
	h, r := begin(t, annotated)
	object(t, h, "held", func(rc *v1alpha1.RemoteCluster) { rc.Finalizers = []string{"example.com/clean-up"} })
	becomes(t, r, "held", version("one"))
	h.remove(t, "held")
	h.rotate(t, "held", inventorytest.Access{Token: "two"})
	becomes(t, r, "held", version("two")) // it has seen the deletion, which came before
	h.change(t, "held", func(rc *v1alpha1.RemoteCluster) { rc.Finalizers = nil })
	fleettest.Eventually(t, patience, func() error {
		if _, ok := r.Clusters()["held"]; ok {
			return errors.New("it is still there")
		}
		return nil
	})
}

func TestAnErrorOfTheHookIsAFaultAndHarmsNothing(t *testing.T) {
	h, r := begin(t, annotated)
	object(t, h, "bent", func(*v1alpha1.RemoteCluster) {})
	becomes(t, r, "bent", version("one"))
	h.change(t, "bent", func(rc *v1alpha1.RemoteCluster) { rc.Annotations = nil })
	faulty(t, r, "bent", `reading RemoteCluster "bent": asking Inventory.Credentials: the object has no token for us`)
	becomes(t, r, "bent", version("one"))
}

func TestWithoutTheHookEveryObjectIsAFault(t *testing.T) {
	h, r := begin(t, nil)
	object(t, h, "nobody", func(*v1alpha1.RemoteCluster) {})
	faulty(t, r, "nobody", "Inventory.Credentials is nil: set it")
	if clusters := r.Clusters(); len(clusters) > 0 {
		t.Errorf("clusters are %v, want none", clusters)
	}
}

func TestAHookThatReturnsNothingIsAFault(t *testing.T) {
	h, r := begin(t, func(*v1alpha1.RemoteCluster) (credential.Source, string, error) { return nil, "", nil })
	object(t, h, "empty", func(*v1alpha1.RemoteCluster) {})
	faulty(t, r, "empty", "neither a source nor an error")
}

func TestTheHookMayChangeWhatItIsHanded(t *testing.T) {
	h, r := begin(t, func(rc *v1alpha1.RemoteCluster) (credential.Source, string, error) {
		defer func() { rc.Labels["region"] = "spoilt" }()
		return annotated(rc)
	})
	object(t, h, "ours", func(rc *v1alpha1.RemoteCluster) { rc.Labels = map[string]string{"region": "north"} })
	becomes(t, r, "ours", func(c places.Cluster) error {
		if diff := cmp.Diff(map[string]string{"region": "north"}, c.Properties); diff != "" {
			return fmt.Errorf("it has other properties (-want +got)\n%s", diff)
		}
		return nil
	})
}
