package endpointset_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/endpointset"
	"github.com/hawser-io/hawser/internal/controller/federatednetworkpolicy"
	"github.com/hawser-io/hawser/internal/rbac"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	// Tests wait for controllers, and for time to pass, more than they work: many run at a time, wherever this is.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(fleettest.Run(m, "primary", "alpha", "beta"))
}

const patience = 40 * time.Second

// eventually is fleettest.Eventually that asks less often: many tests wait at a time, and each of their questions costs
// the one API server that all wait for.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := fleettest.Until(ctx, 70*time.Millisecond, check); err != nil {
		t.Fatal(err)
	}
}

// book is what a replica knows of clusters, as a test says.
type book struct {
	index *index.Index

	mu     sync.Mutex
	states map[string]endpoint.ClusterState
	parts  map[string]*index.Cluster
	told   map[int]func(string)
	next   int
	then   map[string]func() // is done once after a cluster was asked for
}

func newBook() *book {
	return &book{index: index.New(), states: map[string]endpoint.ClusterState{}, parts: map[string]*index.Cluster{}, told: map[int]func(string){}}
}

func (b *book) Index() *index.Index { return b.index }

func (b *book) State(cluster string) (endpoint.ClusterState, bool) {
	b.mu.Lock()
	s, ok := b.states[cluster]
	then := b.then[cluster]
	delete(b.then, cluster)
	b.mu.Unlock()
	if then != nil {
		then()
	}
	return s, ok
}

// asked lets something happen after a cluster was asked for the next time, and before its members are.
func (b *book) asked(cluster string, then func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.then = map[string]func(){cluster: then}
}

func (b *book) States() []endpoint.ClusterState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.states), func(a, b endpoint.ClusterState) int { return strings.Compare(a.Name, b.Name) })
}

func (b *book) Notify(told func(string)) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.next
	b.next++
	b.told[n] = told
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.told, n)
	}
}

// know sets what is known of a cluster.
func (b *book) know(s endpoint.ClusterState) {
	b.mu.Lock()
	b.states[s.Name] = s
	if b.parts[s.Name] == nil {
		b.parts[s.Name], _ = b.index.Cluster(s.Name, s.ID)
	}
	told := slices.Collect(maps.Values(b.told))
	b.mu.Unlock()
	for _, f := range told {
		f(s.Name)
	}
}

// follow says that a cluster was listed in full and is followed.
func (b *book) follow(cluster string) {
	b.know(endpoint.ClusterState{Name: cluster, Synced: true})
}

// forget ends that a cluster is followed, as a catalog does.
func (b *book) forget(cluster string) {
	b.mu.Lock()
	delete(b.states, cluster)
	delete(b.parts, cluster)
	b.index.Remove(cluster)
	told := slices.Collect(maps.Values(b.told))
	b.mu.Unlock()
	for _, f := range told {
		f(cluster)
	}
}

func (b *book) part(cluster string) *index.Cluster {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.parts[cluster]
}

// pod adds a pod, or changes it.
func (b *book) pod(cluster, name string, labels map[string]string, addresses ...string) {
	e := index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: name}, Node: "n"}
	for l, v := range labels {
		e.Labels = append(e.Labels, index.Label{Name: l, Value: v})
	}
	for _, a := range addresses {
		addr := netip.MustParseAddr(a)
		e.Addresses = append(e.Addresses, netip.PrefixFrom(addr, addr.BitLen()))
	}
	b.part(cluster).Set(&e)
}

func (b *book) remove(cluster, name string) {
	b.part(cluster).Delete(index.ID{Kind: index.Pod, Namespace: "shop", Name: name})
}

var web = map[string]string{"app": "web"}

// scene is a local cluster with a leader, and replicas under the manager's own roles. Several are in one cluster at a
// time: whatever is in no namespace has a name that begins with the scene's.
type scene struct {
	*fleettest.Cluster
	t         *testing.T
	admin     client.Client
	namespace string
	name      string // of the set, and the beginning of those of clusters
	local     string // the name of the local cluster
	policies  bool   // FederatedNetworkPolicies are worked on, too
	guard     *guard
	clock     *running
	known     *book // what the leader knows of clusters, and whichever replica is given it
	leader    *endpointset.LeaderReconciler
	writes    atomic.Int64 // requests that write objects
}

var (
	scenes atomic.Int32
	// primary is the cluster of all scenes, with what each needs.
	primary struct {
		once    sync.Once
		cluster *fleettest.Cluster
	}
)

func newScene(t *testing.T, change ...func(*scene)) *scene {
	t.Helper()
	primary.once.Do(func() {
		c := fleettest.Use(t, "primary")
		c.Install(t, "../../../config/crd/hawser.io_remoteclusters.yaml", "../../../config/crd/hawser.io_endpointsets.yaml", "../../../config/crd/hawser.io_federatednetworkpolicies.yaml",
			"../../../config/rbac/manager.yaml", "../../../endpoint/calico/testdata/*networksets.projectcalico.org.yaml")
		for _, f := range rbac.Features() {
			if f.Name == "endpoints" {
				c.ApplyObjects(t, f.Objects()...)
			}
		}
		primary.cluster = c
	})
	if primary.cluster == nil {
		t.Fatal("the local cluster could not be made ready")
	}
	s := &scene{Cluster: primary.cluster, t: t, name: fmt.Sprintf("s%d", scenes.Add(1)), local: "here", guard: &guard{}, known: newBook()}
	s.admin = s.Admin(t)
	s.namespace = s.Namespace(t)
	s.clock = newRunning(t)
	for _, f := range change {
		f(s)
	}
	s.lead()
	return s
}

// own reads what is of one scene. A set of another one cannot be read, which its controllers do not try again, and so nobody
// touches it.
type own struct {
	client.Reader
	scene string
}

func (o own) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if _, ok := obj.(*v1alpha1.EndpointSet); ok && key.Name != o.scene && !strings.HasPrefix(key.Name, o.scene+"-") {
		return reconcile.TerminalError(errors.New("it is of another scene"))
	}
	return o.Reader.Get(ctx, key, obj, opts...)
}

// followed is a scene with one cluster, which a replica follows, and of which it knows a pod.
func followed(t *testing.T) (s *scene, cluster string, r *replica) {
	t.Helper()
	s = newScene(t)
	cluster = s.cluster("a")
	r = s.replica(newBook(), nil)
	r.follow(cluster)
	r.pod(cluster, "one", web, "10.0.0.1")
	return s, cluster, r
}

// running is a clock that runs, also more slowly than time does, and that can be put forward.
type running struct {
	*testingclock.FakeClock
	slowness atomic.Int64 // by how much it is slower; 0 and 1: it is not
}

func newRunning(t *testing.T) *running {
	c := &running{FakeClock: testingclock.NewFakeClock(time.Now())}
	fleettest.Background(t, "the clock", func(ctx context.Context) error {
		last, tick := time.Now(), time.NewTicker(5*time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case now := <-tick.C:
				c.Step(now.Sub(last) / time.Duration(max(1, c.slowness.Load())))
				last = now
			}
		}
	})
	return c
}

// guard says whether authors are bounded.
type guard struct{ off atomic.Bool }

func (g *guard) Missing(context.Context) error {
	if g.off.Load() {
		return errors.New("ValidatingAdmissionPolicy is missing")
	}
	return nil
}

// shards are the clusters of a replica.
type shards func(cluster string) bool

func (s shards) Enter(cluster string) (leave func(), ok bool) { return func() {}, s(cluster) }

// counting counts the requests that write what is made of sets.
type counting struct {
	next   http.RoundTripper
	writes *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodDelete {
		c.writes.Add(1)
	}
	return c.next.RoundTrip(r)
}

func (s *scene) manager() ctrl.Manager {
	s.t.Helper()
	config := s.TokenConfig(s.Token(s.t, v1alpha1.Namespace, "hawser", time.Hour))
	config.QPS, config.Burst = 200, 400
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{next, &s.writes} })
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: s.admin.Scheme(), Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0", Logger: logr.Discard()})
	if err != nil {
		s.t.Fatal(err)
	}
	return mgr
}

func (s *scene) objects(mgr ctrl.Manager) *publish.Objects {
	s.t.Helper()
	objects, err := publish.NewObjects(mgr.GetConfig(), clock.RealClock{}, logr.Discard())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := mgr.Add(objects); err != nil {
		s.t.Fatal(err)
	}
	return objects
}

// lead runs the leader's part.
func (s *scene) lead() *fleettest.Running {
	s.t.Helper()
	mgr := s.manager()
	objects := s.objects(mgr)
	leader, err := publish.NewLeader(publish.LeaderOptions{Objects: objects, Every: 200 * time.Millisecond, LookAgain: 300 * time.Millisecond})
	if err != nil {
		s.t.Fatal(err)
	}
	from := own{mgr.GetClient(), s.name}
	r := &endpointset.LeaderReconciler{Client: from, Leader: leader, Objects: objects, Local: s.local, Followed: s.known, Guard: s.guard}
	if err := r.SetupWithManager(mgr); err != nil {
		s.t.Fatal(err)
	}
	s.leader = r
	if s.policies {
		p := &federatednetworkpolicy.LeaderReconciler{Client: from, Leader: leader, Objects: objects, Local: s.local, Guard: s.guard}
		if err := p.SetupWithManager(mgr); err != nil {
			s.t.Fatal(err)
		}
	}
	return fleettest.Background(s.t, "the leader", mgr.Start)
}

// replica is a process that publishes.
type replica struct {
	*book
	publisher *publish.Publisher
	*fleettest.Running
}

// replica runs one that knows what a book says. mine says which clusters are its; nil: all.
func (s *scene) replica(b *book, mine shards) *replica {
	s.t.Helper()
	r := s.publishes(b, mine)
	r.book = b
	return r
}

// publishes runs a replica that knows what a catalog says, with what also is to run with it.
func (s *scene) publishes(catalog publish.Catalog, mine shards, also ...func(ctrl.Manager) error) *replica {
	s.t.Helper()
	mgr := s.manager()
	objects := s.objects(mgr)
	o := publish.Options{Catalog: catalog, Objects: objects, Clock: s.clock, Log: logr.Discard(), StatusEvery: 300 * time.Millisecond, LookAgain: 300 * time.Millisecond}
	if mine != nil {
		o.Shards = mine
	}
	publisher, err := publish.New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := mgr.Add(publisher); err != nil {
		s.t.Fatal(err)
	}
	from := own{mgr.GetClient(), s.name}
	r := &endpointset.Reconciler{Client: from, Publisher: publisher, Objects: objects, Guard: s.guard}
	also = append(also, r.SetupWithManager)
	if s.policies {
		p := &federatednetworkpolicy.Reconciler{Client: from, Publisher: publisher, Guard: s.guard}
		also = append(also, p.SetupWithManager)
	}
	for _, set := range also {
		if err := set(mgr); err != nil {
			s.t.Fatal(err)
		}
	}
	return &replica{nil, publisher, fleettest.Background(s.t, "a replica", mgr.Start)}
}

// cluster makes a RemoteCluster, which answers, and returns its name.
func (s *scene) cluster(name string, change ...func(*v1alpha1.RemoteCluster)) string {
	s.t.Helper()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: s.name + name}}
	rc.Spec.Server, rc.Spec.Auth.Type = "https://nowhere.example", v1alpha1.AuthBearerToken
	for _, f := range change {
		f(rc)
	}
	if err := s.admin.Create(s.t.Context(), rc); err != nil {
		s.t.Fatal(err)
	}
	before := rc.DeepCopy()
	meta.SetStatusCondition(&rc.Status.Conditions, metav1.Condition{Type: v1alpha1.Authenticated, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAccepted, Message: "x"})
	if err := s.admin.Status().Patch(s.t.Context(), rc, client.MergeFrom(before)); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.admin.Delete(context.Background(), rc) })
	return rc.Name
}

func (s *scene) edit(o client.Object, change func()) {
	s.t.Helper()
	if err := s.admin.Get(s.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		s.t.Fatal(err)
	}
	before := o.DeepCopyObject().(client.Object)
	change()
	if err := s.admin.Patch(s.t.Context(), o, client.MergeFrom(before), client.FieldOwner("somebody-else")); err != nil {
		s.t.Fatal(err)
	}
}

// set makes an EndpointSet over clusters.
func (s *scene) set(selector string, clusters []string, outputs ...v1alpha1.EndpointOutput) *v1alpha1.EndpointSet {
	s.t.Helper()
	es := &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: s.name}}
	es.Spec.Selector, es.Spec.Outputs = selector, outputs
	es.Spec.Clusters.Names = clusters
	if err := s.admin.Create(s.t.Context(), es); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.admin.Delete(context.Background(), es) })
	return es
}

func (s *scene) configMap() v1alpha1.EndpointOutput {
	return v1alpha1.EndpointOutput{Name: "cm", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: s.namespace}}
}

func (s *scene) networkPolicy() v1alpha1.EndpointOutput {
	return v1alpha1.EndpointOutput{Name: "np", NetworkPolicy: &v1alpha1.NetworkPolicyOutput{
		Namespace: s.namespace, Types: []v1alpha1.PolicyType{v1alpha1.PolicyTypeIngress, v1alpha1.PolicyTypeEgress},
		Ports: []v1alpha1.OutputPort{{Port: new(int32(80)), EndPort: new(int32(90))}, {Protocol: "UDP"}},
	}}
}

// texts are what ConfigMaps of the set have in the namespace, of one cluster or of all.
func (s *scene) texts(cluster string) (all []string) {
	s.t.Helper()
	for cm := range s.configMaps(cluster) {
		all = append(all, strings.Fields(cm.Data["addresses"])...)
	}
	slices.Sort(all)
	return all
}

func (s *scene) configMaps(cluster string) iter.Seq[*corev1.ConfigMap] {
	s.t.Helper()
	by := client.MatchingLabels{publish.SetLabel: s.name}
	if cluster != "" {
		by[publish.ClusterLabel] = cluster
	}
	var list corev1.ConfigMapList
	if err := s.admin.List(s.t.Context(), &list, client.InNamespace(s.namespace), by); err != nil {
		s.t.Fatal(err)
	}
	return func(yield func(*corev1.ConfigMap) bool) {
		for i := range list.Items {
			if !yield(&list.Items[i]) {
				return
			}
		}
	}
}

// has waits until the ConfigMaps of a cluster, or of all, have exactly some addresses.
func (s *scene) has(cluster string, want ...string) {
	s.t.Helper()
	slices.Sort(want)
	eventually(s.t, func() error {
		if got := s.texts(cluster); !slices.Equal(got, want) {
			return fmt.Errorf("the ConfigMaps of %q have %v, want %v", cluster, got, want)
		}
		return nil
	})
}

// says waits until a condition has a status and reason and says something.
func (s *scene) says(kind string, status metav1.ConditionStatus, reason string, words ...string) *v1alpha1.EndpointSet {
	s.t.Helper()
	var es v1alpha1.EndpointSet
	eventually(s.t, func() error {
		if err := s.admin.Get(s.t.Context(), client.ObjectKey{Name: s.name}, &es); err != nil {
			return err
		}
		c := meta.FindStatusCondition(es.Status.Conditions, kind)
		if c == nil || c.Status != status || c.Reason != reason || c.ObservedGeneration != es.Generation {
			return fmt.Errorf("%s is %+v, want %s %s", kind, c, status, reason)
		}
		for _, w := range words {
			if !strings.Contains(c.Message, w) {
				return fmt.Errorf("%s does not say %q: %s", kind, w, c.Message)
			}
		}
		return nil
	})
	return &es
}

// looksAgain waits until the leader, having looked at the set, would look again after some time without a change.
func (s *scene) looksAgain(after time.Duration) {
	s.t.Helper()
	eventually(s.t, func() error {
		if result, err := s.leader.Reconcile(s.t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: s.name}}); err != nil || result.RequeueAfter != after {
			return fmt.Errorf("it looks again after %s (%w)", result.RequeueAfter, err)
		}
		return nil
	})
}

// sets are the addresses of objects of a kind of Calico's or Cilium's, of the set.
func (s *scene) nets(apiVersion, kind, field string) (all []string, err error) {
	var list unstructured.UnstructuredList
	list.SetAPIVersion(apiVersion)
	list.SetKind(kind + "List")
	if err := s.admin.List(s.t.Context(), &list, client.MatchingLabels{publish.SetLabel: s.name}); err != nil {
		return nil, err
	}
	for i := range list.Items {
		nets, _, _ := unstructured.NestedStringSlice(list.Items[i].Object, "spec", field)
		all = append(all, nets...)
	}
	slices.Sort(all)
	return all, nil
}

// blocks are the addresses of NetworkPolicies of the set, in one direction.
func (s *scene) blocks(egress bool) (all []string) {
	s.t.Helper()
	var list networkingv1.NetworkPolicyList
	if err := s.admin.List(s.t.Context(), &list, client.InNamespace(s.namespace), client.MatchingLabels{publish.SetLabel: s.name}); err != nil {
		s.t.Fatal(err)
	}
	for _, np := range list.Items {
		if len(np.Spec.PolicyTypes) != 2 {
			s.t.Errorf("%s closes %v", np.Name, np.Spec.PolicyTypes)
		}
		for _, r := range np.Spec.Ingress {
			if len(r.From) == 0 {
				s.t.Errorf("%s lets everything in", np.Name)
			}
			for _, p := range r.From {
				if !egress {
					all = append(all, p.IPBlock.CIDR)
				}
			}
		}
		for _, r := range np.Spec.Egress {
			if len(r.To) == 0 {
				s.t.Errorf("%s lets everything out", np.Name)
			}
			for _, p := range r.To {
				if egress {
					all = append(all, p.IPBlock.CIDR)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}
