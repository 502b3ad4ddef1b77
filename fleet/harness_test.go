package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard()) // for what controller-runtime logs outside of a manager
	os.Exit(fleettest.Run(m, "local", "alpha", "beta"))
}

// patience is how long a test waits for what should take a moment.
const patience = 30 * time.Second

// told is an inventory that tells what a test tells it to.
type told struct {
	mu      sync.Mutex
	sink    inventory.Sink
	pending []func(inventory.Sink)
}

// Run implements inventory.Inventory.
func (i *told) Run(ctx context.Context, to inventory.Sink) error {
	i.mu.Lock()
	i.sink = to
	for _, tell := range i.pending {
		tell(to)
	}
	i.mu.Unlock()
	to.Synced()
	<-ctx.Done()
	return nil
}

func (i *told) tell(what func(inventory.Sink)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.sink == nil {
		i.pending = append(i.pending, what)
		return
	}
	what(i.sink)
}

func (i *told) set(c inventory.Cluster) { i.tell(func(to inventory.Sink) { to.Set(c) }) }
func (i *told) remove(name string)      { i.tell(func(to inventory.Sink) { to.Remove(name) }) }

// still is a source with one credential, which somebody else looks after.
type still struct{ credential.Credential }

// Obtain implements credential.Source.
func (s still) Obtain(context.Context) ([]credential.Credential, error) {
	c := s.Credential
	c.Watched = true
	return []credential.Credential{c}, nil
}

// Renew implements credential.Source.
func (s still) Renew(context.Context, credential.Credential, credential.Link) (credential.Credential, error) {
	return s.Credential, errors.New("there is no other")
}

const account = "fleet"

// token returns a new token of an account that may do everything.
func token(t testing.TB, c *fleettest.Cluster) string {
	t.Helper()
	return tokenOf(t, c, account, "cluster-admin")
}

// tokenOf returns a new token of an account with a cluster role, or with none.
func tokenOf(t testing.TB, c *fleettest.Cluster, name, role string) string {
	t.Helper()
	ctx, clients := t.Context(), c.Client()
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := clients.CoreV1().ServiceAccounts("default").Create(ctx, sa, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	if role != "" {
		_, err := clients.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: name}},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	return c.Token(t, "default", name, time.Hour)
}

// clusterAt is a cluster as an inventory tells of it, reached at a server, with a token.
func clusterAt(name string, c *fleettest.Cluster, server, token string) inventory.Cluster {
	return inventory.Cluster{
		Spec:    connection.Spec{Name: name, Endpoint: credential.Endpoint{Server: server, CAData: c.CA()}, QPS: 1000, Burst: 1000},
		Source:  still{credential.NewToken(token, token)},
		Version: token,
	}
}

// world is a fleet that runs.
type world struct {
	*fleet.Fleet
	t     testing.TB
	local *fleettest.Cluster
	told  *told
	stop  func()
}

// newWorld makes a fleet. It does not run yet, so that controllers can be added.
func newWorld(t testing.TB, adjust ...func(*fleet.Options)) *world {
	t.Helper()
	w := &world{t: t, local: fleettest.Use(t, "local"), told: &told{}}
	o := fleet.Options{
		Inventory: w.told,
		Manager: manager.Options{
			Logger: logger(t), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
			Controller: config.Controller{SkipNameValidation: new(true)},
		},
		Connection: connection.Options{ProbeInterval: time.Second},
	}
	for _, a := range adjust {
		a(&o)
	}
	var err error
	if w.Fleet, err = fleet.New(w.local.AdminConfig(), o); err != nil {
		t.Fatal(err)
	}
	return w
}

// run starts the fleet. It ends with the test, or before it by stop.
func (w *world) run() *world {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Start(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Errorf("the fleet ended with %v", err)
			}
		case <-time.After(patience):
			w.t.Error("the fleet has not ended in time")
		}
	})
	w.t.Cleanup(w.stop)
	select {
	case <-w.Synced():
	case <-time.After(patience):
		w.t.Fatal("the fleet has not heard of its inventory")
	}
	return w
}

// logger logs what a test did if it fails, or if it is asked for everything.
func logger(t testing.TB) logr.Logger {
	if os.Getenv("FLEET_TEST_LOG") == "" {
		return logr.Discard()
	}
	began := time.Now()
	return funcr.New(func(prefix, args string) {
		fmt.Fprintf(os.Stderr, "%6.2f %s %s %s\n", time.Since(began).Seconds(), t.Name(), prefix, args)
	}, funcr.Options{Verbosity: 1})
}

// ready waits until a cluster can be used, and returns it.
func (w *world) ready(name string) *fleet.Cluster {
	w.t.Helper()
	var c *fleet.Cluster
	fleettest.Eventually(w.t, patience, func() (err error) {
		c, err = w.Get(name)
		return err
	})
	return c
}

// join tells of a cluster, and waits until it can be used.
func (w *world) join(name string, c *fleettest.Cluster, server string) *fleet.Cluster {
	w.t.Helper()
	w.told.set(clusterAt(name, c, server, token(w.t, c)))
	return w.ready(name)
}

// eventually waits for something to be so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	fleettest.Eventually(t, patience, func() error {
		if so() {
			return nil
		}
		return errors.New("not so: " + what)
	})
}

// seen remembers what was reconciled.
type seen struct {
	mu    sync.Mutex
	count map[fleet.Request]int
	total int
}

func (s *seen) add(r fleet.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = map[fleet.Request]int{}
	}
	s.count[r]++
	s.total++
}

func (s *seen) of(cluster, namespace, name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[fleet.NewRequest(cluster, namespace, name)]
}

func (s *seen) all() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Reconcile implements reconcile.TypedReconciler: it only remembers.
func (s *seen) Reconcile(_ context.Context, r fleet.Request) (reconcile.Result, error) {
	s.add(r)
	return reconcile.Result{}, nil
}

func configMap(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// make makes objects as an admin, not through the fleet.
func makeIn(t testing.TB, c *fleettest.Cluster, objs ...client.Object) {
	t.Helper()
	admin, err := client.New(c.AdminConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range objs {
		if err := admin.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	metaGet  = metav1.GetOptions{}
	metaList = metav1.ListOptions{}
)

func secretsMetadata() *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	return list
}
