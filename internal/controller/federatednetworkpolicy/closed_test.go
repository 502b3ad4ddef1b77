package federatednetworkpolicy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/federatednetworkpolicy"
)

// closing is the NetworkPolicy that closes pods, where there is one.
func (s *scene) closing() *networkingv1.NetworkPolicy {
	s.t.Helper()
	var list networkingv1.NetworkPolicyList
	if err := s.admin.List(s.t.Context(), &list, client.InNamespace(s.namespace)); err != nil {
		s.t.Fatal(err)
	}
	at := slices.IndexFunc(list.Items, func(p networkingv1.NetworkPolicy) bool { return hash.MatchString(p.Name) })
	if at < 0 {
		s.t.Fatal("nothing closes pods")
	}
	return &list.Items[at]
}

// pods that policies of these tests are for.
var pods = map[rune]labels.Set{'w': {"app": "web"}, 'b': {"tier": "b"}, 'z': {"aaa": "z"}}

// judge says after every change of a NetworkPolicy whether pods are closed that are to be.
type judge struct {
	mu       sync.Mutex
	policies map[string]networkingv1.NetworkPolicySpec
	must     string // the pods that are to be closed
	faults   []string
	seen     int
}

// watches has a judge look at the namespace of the scene until the test ends, and say what it found.
func (s *scene) watches() *judge {
	s.t.Helper()
	j := &judge{policies: map[string]networkingv1.NetworkPolicySpec{}}
	w, err := s.primary.Client().NetworkingV1().NetworkPolicies(s.namespace).Watch(context.WithoutCancel(s.t.Context()), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if len(j.faults) > 0 {
			s.t.Errorf("of %d changes, these open pods: %q", j.seen, j.faults)
		}
	})
	fleettest.Background(s.t, "the judge", func(ctx context.Context) error {
		defer w.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case e, more := <-w.ResultChan():
				if !more {
					return errors.New("the watch has ended")
				}
				j.look(e)
			}
		}
	})
	return j
}

func (j *judge) look(e watch.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p, ok := e.Object.(*networkingv1.NetworkPolicy)
	if !ok {
		j.faults = append(j.faults, fmt.Sprintf("the watch tells of %T", e.Object))
		return
	}
	if j.seen++; e.Type == watch.Deleted {
		delete(j.policies, p.Name)
	} else {
		j.policies[p.Name] = p.Spec
	}
	for _, pod := range j.must {
		if !j.closed(pods[pod]) {
			j.faults = append(j.faults, fmt.Sprintf("%s of %s opens %s", e.Type, p.Name, pods[pod]))
		}
	}
}

func (j *judge) closed(pod labels.Set) bool {
	for _, spec := range j.policies {
		selects, err := metav1.LabelSelectorAsSelector(&spec.PodSelector)
		if err == nil && selects.Matches(pod) && slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
			return true
		}
	}
	return false
}

// expects has pods closed from now on.
func (j *judge) expects(pods string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.must = pods
}

// TestPodsThatStaySelectedAreNeverOpen while a selector is edited, and where what is to close others cannot be made.
func TestPodsThatStaySelectedAreNeverOpen(t *testing.T) {
	s := newScene(t)
	j := s.watches()
	selects := func(which string) (text string, lines []string) {
		var tests []string
		for _, pod := range which {
			for label, value := range pods[pod] {
				tests, lines = append(tests, fmt.Sprintf("%s == '%s'", label, value)), append(lines, fmt.Sprintf("shop.closed for %s=%s:", label, value))
			}
		}
		return strings.Join(tests, " || "), lines
	}
	text, lines := selects("w")
	s.leader.Stop()
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{Selector: text, Types: []v1alpha1.PolicyType{"Ingress"}, Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}}})
	old := &networkingv1.NetworkPolicy{ObjectMeta: publish.Meta(publish.Key{Kind: publish.FederatedNetworkPolicy, Namespace: s.namespace, Name: "shop"}, "", s.namespace, "shop.closed", 1, 1, nil)}
	old.Spec.PodSelector.MatchLabels, old.Spec.PolicyTypes = pods['w'], []networkingv1.PolicyType{"Ingress"} // as an earlier version called it
	if err := s.admin.Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	s.has(lines...)
	j.expects("w")
	s.lead()
	eventually(t, func() error {
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(old), old); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the old one is there yet (%w)", err)
		}
		return nil
	})
	s.has(lines...)
	is := "w"
	becomes := func(next string) {
		t.Helper()
		j.expects(strings.Map(func(pod rune) rune {
			if strings.ContainsRune(next, pod) {
				return pod
			}
			return -1
		}, is))
		text, _ := selects(next)
		s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Selector = text })
	}
	for _, next := range []string{"wb", "zw", "zwb", "wb", "b", "zb", "w", "b"} {
		becomes(next)
		_, lines := selects(next)
		s.has(lines...)
		j.expects(next)
		is = next
	}

	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "few"}}
	if err := s.admin.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	may := func(n string) {
		t.Helper()
		before := quota.DeepCopy()
		of := corev1.ResourceList{"count/networkpolicies.networking.k8s.io": resource.MustParse(n)}
		quota.Spec.Hard = of // which whoever counts takes over
		if err := s.admin.Patch(t.Context(), quota, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
		before = quota.DeepCopy()
		quota.Status.Hard = of
		if quota.Status.Used == nil {
			quota.Status.Used = of // nobody may count here
		}
		if err := s.admin.Status().Patch(t.Context(), quota, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	may("1")
	eventually(t, func() error { // an API server hears of a quota after a while
		one := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "another"}}
		if err := s.admin.Create(t.Context(), one, client.DryRunAll); !apierrors.IsForbidden(err) {
			return fmt.Errorf("another NetworkPolicy could be made (%w)", err)
		}
		return nil
	})
	becomes("wb") // w comes first
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, "exceeded quota")
	_, lines = selects("b")
	s.has(lines...)
	may("9")
	_, lines = selects("wb")
	s.has(lines...)
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen < 20 {
		t.Errorf("the judge has seen %d changes", j.seen)
	}
}

// restarted edits a policy while there is no leader, and then has another one.
func (s *scene) restarted(p *v1alpha1.FederatedNetworkPolicy, change func(*v1alpha1.FederatedNetworkPolicySpec)) {
	s.t.Helper()
	s.leader.Stop()
	s.edit(p, change)
	s.lead()
}

// TestPodsStayClosedWhateverBecomesOfTheSelector that they were closed by.
func TestPodsStayClosedWhateverBecomesOfTheSelector(t *testing.T) {
	s := newScene(t)
	s.pod("web", "web", "10.1.0.1")
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Selector: "role == 'shop'", Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress: []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}}},
	})
	const closed, peers = "shop.closed for role=shop:", "shop.peers-alpha for role=shop: from 10.1.0.1/32"
	s.has(closed, peers)
	broken := func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Selector = "role =" }

	s.edit(p, broken)
	s.has(closed)
	if err := s.admin.Delete(t.Context(), s.closing()); err != nil { // which somebody takes for a way out
		t.Fatal(err)
	}
	s.has(closed)

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Selector = "role == 'shop'" })
	s.has(closed, peers)
	edited := s.closing()
	edited.Spec.PodSelector.MatchLabels = map[string]string{"role": "shopping"}
	if err := s.admin.Update(t.Context(), edited, client.FieldOwner("kubectl")); err != nil {
		t.Fatal(err)
	}
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, "was edited by kubectl")
	s.restarted(p, broken)
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonSelectorInvalid, "nobody can say which selector was used last", "stays as it is")
	s.has("shop.closed for role=shopping:")
	if err := s.admin.Delete(t.Context(), s.closing()); err != nil {
		t.Fatal(err)
	}

	// The local cluster, which the selector asks for, goes.
	here := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "here"}}
	here.Spec.Auth.Type = v1alpha1.AuthInCluster
	if err := s.admin.Create(t.Context(), here); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.admin.Delete(context.Background(), here) })
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) {
		spec.Selector = "role == 'shop' && hawser.io/cluster == 'here'"
		spec.Ingress = append(spec.Ingress, v1alpha1.FederatedRule{Action: "Allow", Source: &v1alpha1.FederatedPeer{Nets: []string{"192.0.2.0/24"}}})
	})
	s.has(closed, peers, "shop.rules for role=shop: from 192.0.2.0/24")
	if err := s.admin.Delete(t.Context(), here); err != nil {
		t.Fatal(err)
	}
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonNotExpressible, "there is no RemoteCluster for it", "stay closed")
	s.has(closed)
	s.restarted(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Ingress = spec.Ingress[:1] })
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonNotExpressible, "there is no RemoteCluster for it", "stays as it is")
	s.has(closed)
}

// TestPodsStayClosedByWhatAnotherTargetHasMade where the new one has no word for their selector.
func TestPodsStayClosedByWhatAnotherTargetHasMade(t *testing.T) {
	fleettest.Use(t, "primary").Install(t, schemas+"networkpolicies.projectcalico.org.yaml", schemas+"*networksets.projectcalico.org.yaml")
	s := newScene(t)
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Selector: "role contains 'shop'", Target: v1alpha1.TargetCalico, Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress: []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Nets: []string{"192.0.2.0/24"}}}},
	})
	policies := func(o *unstructured.Unstructured) string {
		c, err := calico.Read[calico.NetworkPolicySpec](o)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(c.Name, " ", c.Spec.Selector, " ", c.Spec.Types, " ", len(c.Spec.Ingress), " rules")
	}
	s.made(calico.NetworkPolicies, policies, `shop role contains "shop" [Ingress] 1 rules`)
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Target = v1alpha1.TargetNetworkPolicy })
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonNotExpressible, "spec.selector: role contains", "stay closed")
	s.made(calico.NetworkPolicies, policies, `shop role contains "shop" [Ingress] 0 rules`)
	s.restarted(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Types = []v1alpha1.PolicyType{"Ingress"} })
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonNotExpressible, "spec.selector: role contains", "stay closed")
	s.made(calico.NetworkPolicies, policies, `shop role contains "shop" [Ingress] 0 rules`)
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Selector = "role == 'shop'" })
	s.has("shop.closed for role=shop:", "shop.rules for role=shop: from 192.0.2.0/24")
	s.made(calico.NetworkPolicies, policies)
}

// lateGuard lets it be known what there is only when it is asked.
type lateGuard struct{ learn func(context.Context) }

func (g *lateGuard) Missing(ctx context.Context) error {
	g.learn(ctx)
	return nil
}

// TestNothingIsDecidedBeforeItIsKnownWhatThereIs, however late that is while a policy is looked at.
func TestNothingIsDecidedBeforeItIsKnownWhatThereIs(t *testing.T) {
	s := newScene(t)
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{Selector: "role == 'shop'", Types: []v1alpha1.PolicyType{"Ingress"}, Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}}})
	s.has("shop.closed for role=shop:")
	s.leader.Stop()
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Selector = "role =" })

	config := s.primary.TokenConfig(s.primary.Token(t, v1alpha1.Namespace, "hawser", time.Hour))
	objects, err := publish.NewObjects(config, clock.RealClock{}, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	leader, err := publish.NewLeader(publish.LeaderOptions{Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	learn := sync.OnceFunc(func() {
		fleettest.Background(t, "the objects", objects.Start)
		eventually(t, func() error {
			if !objects.Settled() {
				return errors.New("it is not known what there is")
			}
			return nil
		})
	})
	r := &federatednetworkpolicy.LeaderReconciler{Client: s.admin, Leader: leader, Objects: objects, Local: "here", Guard: &lateGuard{func(context.Context) { learn() }}}
	request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(p)}
	for range 2 {
		if _, err := r.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		s.has("shop.closed for role=shop:")
		learn()
	}
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonSelectorInvalid, "stay closed")
}
