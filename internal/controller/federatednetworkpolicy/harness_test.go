package federatednetworkpolicy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/federatednetworkpolicy"
	"github.com/hawser-io/hawser/internal/rbac"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(fleettest.Run(m, "primary", "alpha"))
}

const patience = 30 * time.Second

func eventually(t testing.TB, check func() error) {
	t.Helper()
	fleettest.Eventually(t, patience, check)
}

// authors says whether authors of policies are bounded.
type authors struct{ unbounded atomic.Bool }

func (a *authors) Missing(context.Context) error {
	if a.unbounded.Load() {
		return errors.New("ValidatingAdmissionPolicy is missing")
	}
	return nil
}

// scene is the local cluster with the controllers, under the manager's own roles, and a remote one that a catalog
// follows.
type scene struct {
	t             *testing.T
	primary       *fleettest.Cluster
	admin, remote client.Client
	namespace     string // in both
	catalog       *endpoint.Catalog
	authors       authors
	leader        *fleettest.Running // that was started last
	writer        *fleettest.Running // the replica that was started last
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, primary: fleettest.Use(t, "primary"), catalog: endpoint.NewCatalog(endpoint.CatalogOptions{Log: logr.Discard()})}
	alpha := fleettest.Use(t, "alpha")
	s.admin, s.remote = s.primary.Admin(t), alpha.Admin(t)
	s.primary.Install(t, "../../../config/crd/hawser.io_remoteclusters.yaml", "../../../config/crd/hawser.io_federatednetworkpolicies.yaml",
		"../../../config/rbac/manager.yaml")
	for _, f := range rbac.Features() {
		if f.Name == "endpoints" {
			s.primary.ApplyObjects(t, f.Objects()...)
		}
	}
	s.namespace = s.primary.Namespace(t)
	there := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	if err := s.remote.Create(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.remote.Delete(context.Background(), there) })
	var system corev1.Namespace // whose UID is the id of a cluster
	if err := s.remote.Get(t.Context(), client.ObjectKey{Name: metav1.NamespaceSystem}, &system); err != nil {
		t.Fatal(err)
	}
	bounds, err := endpoint.ParseBounds([]string{"10.1.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.catalog.Follow(t.Context(), endpoint.Cluster{Name: "alpha", ID: string(system.UID), Config: alpha.AdminConfig(), Bounds: bounds}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.catalog.Close)
	s.cluster("alpha")
	s.lead()
	s.replica()
	return s
}

func (s *scene) manager() (ctrl.Manager, *publish.Objects) {
	s.t.Helper()
	config := s.primary.TokenConfig(s.primary.Token(s.t, v1alpha1.Namespace, "hawser", time.Hour))
	config.QPS, config.Burst = 200, 400
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: s.admin.Scheme(), Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0", Logger: logr.Discard()})
	if err != nil {
		s.t.Fatal(err)
	}
	objects, err := publish.NewObjects(mgr.GetConfig(), clock.RealClock{}, logr.Discard())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := mgr.Add(objects); err != nil {
		s.t.Fatal(err)
	}
	return mgr, objects
}

// lead runs the leader's part.
func (s *scene) lead() {
	s.t.Helper()
	mgr, objects := s.manager()
	leader, err := publish.NewLeader(publish.LeaderOptions{Objects: objects, Every: 100 * time.Millisecond, LookAgain: 300 * time.Millisecond})
	if err != nil {
		s.t.Fatal(err)
	}
	r := &federatednetworkpolicy.LeaderReconciler{Client: mgr.GetClient(), Leader: leader, Objects: objects, Local: "here", Followed: s.catalog, Guard: &s.authors}
	if err := r.SetupWithManager(mgr); err != nil {
		s.t.Fatal(err)
	}
	s.leader = fleettest.Background(s.t, "the leader", mgr.Start)
}

// replica runs what every replica does.
func (s *scene) replica() {
	s.t.Helper()
	mgr, objects := s.manager()
	publisher, err := publish.New(publish.Options{Catalog: s.catalog, Objects: objects, Log: logr.Discard(), StatusEvery: 100 * time.Millisecond, LookAgain: 300 * time.Millisecond})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := mgr.Add(publisher); err != nil {
		s.t.Fatal(err)
	}
	r := &federatednetworkpolicy.Reconciler{Client: mgr.GetClient(), Publisher: publisher, Guard: &s.authors}
	if err := r.SetupWithManager(mgr); err != nil {
		s.t.Fatal(err)
	}
	s.writer = fleettest.Background(s.t, "a replica", mgr.Start)
}

// cluster makes a RemoteCluster that answers.
func (s *scene) cluster(name string) {
	s.t.Helper()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	rc.Spec.Server, rc.Spec.Auth.Type = "https://nowhere.example", v1alpha1.AuthBearerToken
	if err := s.admin.Create(s.t.Context(), rc); err != nil {
		s.t.Fatal(err)
	}
	before := rc.DeepCopy()
	meta.SetStatusCondition(&rc.Status.Conditions, metav1.Condition{Type: v1alpha1.Authenticated, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAccepted, Message: "x"})
	if err := s.admin.Status().Patch(s.t.Context(), rc, client.MergeFrom(before)); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.admin.Delete(context.Background(), rc) })
}

// pod runs one in the namespace of the remote cluster, as far as an API server sees.
func (s *scene) pod(name, app, address string) *corev1.Pod {
	s.t.Helper()
	return s.podIn(s.namespace, name, app, address)
}

func (s *scene) podIn(namespace, name, app, address string) *corev1.Pod {
	s.t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": app}}}
	p.Spec.NodeName = "node"
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "i", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}}
	if err := s.remote.Create(s.t.Context(), p); err != nil {
		s.t.Fatal(err)
	}
	s.move(p, address)
	return p
}

// move gives a pod another address.
func (s *scene) move(p *corev1.Pod, address string) {
	s.t.Helper()
	before := p.DeepCopy()
	p.Status.Phase, p.Status.PodIP, p.Status.PodIPs = corev1.PodRunning, address, []corev1.PodIP{{IP: address}}
	if err := s.remote.Status().Patch(s.t.Context(), p, client.MergeFrom(before)); err != nil {
		s.t.Fatal(err)
	}
}

// policy makes a policy of the namespace.
func (s *scene) policy(spec v1alpha1.FederatedNetworkPolicySpec) *v1alpha1.FederatedNetworkPolicy {
	s.t.Helper()
	p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shop"}, Spec: spec}
	if err := s.admin.Create(s.t.Context(), p); err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *scene) edit(p *v1alpha1.FederatedNetworkPolicy, change func(*v1alpha1.FederatedNetworkPolicySpec)) {
	s.t.Helper()
	before := p.DeepCopy()
	change(&p.Spec)
	if err := s.admin.Patch(s.t.Context(), p, client.MergeFrom(before)); err != nil {
		s.t.Fatal(err)
	}
}

// has waits until the NetworkPolicies of the namespace say exactly something, one line each.
func (s *scene) has(want ...string) {
	s.t.Helper()
	slices.Sort(want)
	eventually(s.t, func() error {
		var list networkingv1.NetworkPolicyList
		if err := s.admin.List(s.t.Context(), &list, client.InNamespace(s.namespace)); err != nil {
			return err
		}
		var got []string
		for i := range list.Items {
			got = append(got, inShort(&list.Items[i]))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("there is\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
		return nil
	})
}

// hash is that of the pods that are closed, in the name of what closes them.
var hash = regexp.MustCompile(`\.closed-[a-z2-7]{8}$`)

// inShort tells of a NetworkPolicy whose rules are of addresses.
func inShort(p *networkingv1.NetworkPolicy) string {
	b := fmt.Sprintf("%s for %s:", hash.ReplaceAllString(p.Name, ".closed"), metav1.FormatLabelSelector(&p.Spec.PodSelector))
	said := func(direction string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
		b += " " + direction
		for _, peer := range peers {
			b += " " + peer.IPBlock.CIDR
		}
		for _, port := range ports {
			b += " :" + port.Port.String()
		}
	}
	for _, r := range p.Spec.Ingress {
		said("from", r.From, r.Ports)
	}
	for _, r := range p.Spec.Egress {
		said("to", r.To, r.Ports)
	}
	return b
}

// says waits until a condition has a status and reason, and says something.
func (s *scene) says(p *v1alpha1.FederatedNetworkPolicy, status metav1.ConditionStatus, reason string, words ...string) *v1alpha1.FederatedNetworkPolicy {
	s.t.Helper()
	var now v1alpha1.FederatedNetworkPolicy
	eventually(s.t, func() error {
		if err := s.admin.Get(s.t.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
			return err
		}
		c := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.Ready)
		if c == nil || c.Status != status || c.Reason != reason || c.ObservedGeneration != now.Generation {
			return fmt.Errorf("Ready is %+v, want %s %s", c, status, reason)
		}
		for _, w := range words {
			if !strings.Contains(c.Message, w) {
				return fmt.Errorf("it does not say %q: %s", w, c.Message)
			}
		}
		return nil
	})
	return &now
}
