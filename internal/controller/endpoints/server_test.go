package endpoints_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential/incluster"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/endpoints"
	"github.com/hawser-io/hawser/internal/kinds"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

// shards gives a replica the clusters that a test says.
type shards struct {
	mu    sync.Mutex
	owned map[string]bool
	in    int
}

func (s *shards) own(cluster string, owned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned[cluster] = owned
}

func (s *shards) Enter(cluster string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owned[cluster] {
		return nil, false
	}
	s.in++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.in--
	}, true
}

// link adds a connection to the cluster itself, and waits until it knows which it is.
func link(t *testing.T, links *fleet.Links, name string, config *rest.Config, o connection.Options) *connection.Connection {
	t.Helper()
	conn, err := links.Add(connection.Spec{Name: name, AuthType: "inCluster"}, &incluster.Source{Config: config}, o)
	if err != nil {
		t.Fatal(err)
	}
	fleettest.Eventually(t, 30*time.Second, func() error {
		if conn.State().ClusterID == "" {
			return errors.New("the connection does not know its cluster")
		}
		return nil
	})
	return conn
}

func TestFollowsWhatIsThisReplicas(t *testing.T) {
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	config := fleettest.Use(t, "primary").AdminConfig()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	rc.Spec.Auth.Type = v1alpha1.AuthBearerToken
	rc.Spec.Capabilities, rc.Spec.EndpointCIDRs = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}, []string{"10.4.0.0/16"}
	objects := fake.NewClientBuilder().WithScheme(scheme).WithObjects(rc).Build()
	links := fleet.NewLinks(t.Context())
	t.Cleanup(links.Close)
	catalog := endpoint.NewCatalog(endpoint.CatalogOptions{})
	t.Cleanup(catalog.Close)
	mine := &shards{owned: map[string]bool{}}
	r := &endpoints.Reconciler{Client: objects, Fleet: links, Catalogs: []endpoints.Catalog{catalog}, Shards: mine, Own: endpoints.Fixed(), Life: t.Context()}
	reconcileIt := func() {
		t.Helper()
		if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "a"}}); err != nil {
			t.Fatal(err)
		}
		if mine.in != 0 {
			t.Errorf("%d entered and did not leave", mine.in)
		}
	}
	reason := func() string {
		s, ok := catalog.State("a")
		if !ok {
			return "unknown"
		}
		for _, g := range s.Gaps {
			switch g.Reason {
			case endpoint.ReasonDisabled, endpoint.ReasonNotConnected, endpoint.ReasonNoCapability, endpoint.ReasonUnreachable:
				return g.Reason
			}
		}
		return "followed"
	}
	expect := func(what, want string) {
		t.Helper()
		reconcileIt()
		if got := reason(); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	expect("another replica's", "unknown")
	mine.own("a", true)
	expect("ours, without a connection", endpoint.ReasonNotConnected)
	conn := link(t, links, "a", config, connection.Options{})
	expect("ours, connected", "followed")
	state, _ := catalog.State("a")
	if state.ID != conn.State().ClusterID {
		t.Errorf("it is followed as %q, want %q", state.ID, conn.State().ClusterID)
	}
	r.Observe("a", connection.Probe{Err: context.DeadlineExceeded})
	if got := reason(); got != endpoint.ReasonUnreachable {
		t.Errorf("after a probe that failed: %s", got)
	}
	r.Observe("a", connection.Probe{})
	expect("after one that did not", "followed")

	edit := func(change func(*v1alpha1.RemoteCluster)) {
		t.Helper()
		change(rc)
		if err := objects.Update(t.Context(), rc); err != nil {
			t.Fatal(err)
		}
	}
	edit(func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = true })
	expect("disabled", endpoint.ReasonDisabled)
	edit(func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled, rc.Spec.Capabilities = false, nil })
	expect("without the capability", endpoint.ReasonNoCapability)
	edit(func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
	})
	expect("with it again", "followed")

	mine.own("a", false)
	select {
	case <-r.Disown("a"):
	case <-time.After(10 * time.Second):
		t.Fatal("what it is followed by did not end")
	}
	expect("given away", "unknown")
	mine.own("a", true)
	expect("taken back", "followed")
	if err := objects.Delete(t.Context(), rc); err != nil {
		t.Fatal(err)
	}
	expect("deleted", "unknown")
}

func TestKnowsTheAddressesOfTheLocalCluster(t *testing.T) {
	primary := fleettest.Use(t, "primary")
	primary.Install(t, "../../../config/crd/hawser.io_remoteclusters.yaml")
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(primary.AdminConfig(), ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	links := fleet.NewLinks(t.Context())
	t.Cleanup(links.Close)
	catalog := &recorder{}
	r := &endpoints.Reconciler{Client: mgr.GetClient(), Fleet: links, Catalogs: []endpoints.Catalog{catalog}, Life: t.Context()}
	if err := r.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(primary.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	rc.Spec.Server, rc.Spec.Auth.Type = "https://a.example.com", v1alpha1.AuthBearerToken
	rc.Spec.Capabilities, rc.Spec.EndpointCIDRs = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}, []string{"10.4.0.0/16"}
	if err := admin.Create(t.Context(), rc); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Delete(context.Background(), rc) })
	conn := link(t, links, "a", primary.AdminConfig(), connection.Options{Changed: func() { r.Enqueue("a") }})
	fleettest.Background(t, "the manager", mgr.Start)

	service := &corev1.Service{}
	if err := admin.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, service); err != nil {
		t.Fatal(err)
	}
	never := func(want ...string) {
		t.Helper()
		fleettest.Eventually(t, 30*time.Second, func() error {
			last := catalog.followed()
			for _, address := range want {
				if !slices.Contains(last.Bounds.Never, endpoint.Prefixes(netip.MustParseAddr(address))[0]) {
					return fmt.Errorf("of our addresses it may not claim %v, want %s among them", last.Bounds.Never, address)
				}
			}
			return nil
		})
	}
	never(service.Spec.ClusterIP, "127.0.0.1")
	if last := catalog.followed(); last.ID != conn.State().ClusterID || last.Config == nil {
		t.Errorf("it is followed as %+v", last)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "ours"}}
	if err := admin.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Delete(context.Background(), node) })
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.7"}, {Type: corev1.NodeHostName, Address: "ours"}}
	if err := admin.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	never(service.Spec.ClusterIP, "192.0.2.7")
}

// recorder is a catalog that remembers what it was told last.
type recorder struct {
	mu   sync.Mutex
	last endpoint.Cluster
}

func (r *recorder) followed() endpoint.Cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *recorder) Follow(_ context.Context, c endpoint.Cluster) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = c
	return nil
}
func (*recorder) Suspend(endpoint.Cluster, endpoint.Gap) {}
func (*recorder) Bar(endpoint.Cluster, endpoint.Gap)     {}
func (*recorder) Doubt(string, endpoint.Gap)             {}
func (*recorder) Forget(string) <-chan struct{} {
	ended := make(chan struct{})
	close(ended)
	return ended
}
