package endpointset_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/endpointset"
)

func TestEveryOutputFollowsWhatMatches(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.cluster("a"), s.cluster("b")
	r := s.replica(newBook(), nil)
	r.follow(a)
	r.follow(b)
	r.pod(a, "one", web, "10.0.0.1", "fd00::1")
	r.pod(a, "two", web, "10.0.0.2")
	r.pod(b, "one", web, "10.1.0.1")
	r.pod(b, "other", map[string]string{"app": "db"}, "10.1.0.2")
	s.set(`app == "web"`, []string{a, b}, s.configMap(), s.networkPolicy(),
		v1alpha1.EndpointOutput{Name: "ns", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{Namespace: s.namespace, Labels: map[string]string{"role": "web", "hawser.io/cluster": "lie"}}},
		v1alpha1.EndpointOutput{Name: "gns", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{}},
	)
	expect := func(want ...string) {
		t.Helper()
		slices.Sort(want)
		s.has("", want...)
		eventually(t, func() error {
			namespaced, err1 := s.nets("projectcalico.org/v3", "NetworkSet", "nets")
			global, err2 := s.nets("projectcalico.org/v3", "GlobalNetworkSet", "nets")
			for kind, got := range map[string][]string{"NetworkSets": namespaced, "GlobalNetworkSets": global, "ingress": s.blocks(false), "egress": s.blocks(true)} {
				if !slices.Equal(got, want) {
					return errors.Join(fmt.Errorf("%s have %v, want %v", kind, got, want), err1, err2)
				}
			}
			return nil
		})
	}
	expect("10.0.0.1/32", "10.0.0.2/32", "10.1.0.1/32", "fd00::1/128")
	es := s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonSpecInvalid, "the label hawser.io/cluster is kept for Hawser")
	s.says(v1alpha1.Complete, metav1.ConditionTrue, v1alpha1.ReasonAllClusters)
	if es.Status.Endpoints != 3 || es.Status.Addresses != 4 || len(es.Status.Clusters) != 2 || es.Status.Clusters[0].Objects != 4 {
		t.Errorf("the status is %+v", es.Status)
	}
	for cm := range s.configMaps("") {
		if len(cm.OwnerReferences) != 1 || cm.OwnerReferences[0].UID != es.UID || cm.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy {
			t.Errorf("ConfigMap %s has owners %v and labels %v", cm.Name, cm.OwnerReferences, cm.Labels)
		}
	}
	var base networkingv1.NetworkPolicy
	if err := s.admin.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: s.name + "-np"}, &base); err != nil || len(base.Spec.Ingress)+len(base.Spec.Egress) > 0 {
		t.Errorf("the policy that closes the pods: %v", err)
	}

	versions := s.versions(b)
	r.pod(a, "three", web, "10.0.0.3")                         // comes
	r.pod(a, "one", map[string]string{"app": "x"}, "10.0.0.1") // relabelled
	r.pod(a, "two", web, "10.0.0.22")                          // moves
	expect("10.0.0.22/32", "10.0.0.3/32", "10.1.0.1/32")
	if after := s.versions(b); !slices.Equal(versions, after) {
		t.Errorf("objects of a cluster of which nothing changed were written: %v, then %v", versions, after)
	}
	r.remove(a, "two")
	r.remove(a, "three")
	r.remove(b, "one")
	expect()
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonSpecInvalid)
}

// versions are those of the ConfigMaps of a cluster.
func (s *scene) versions(cluster string) (all []string) {
	s.t.Helper()
	for cm := range s.configMaps(cluster) {
		all = append(all, cm.Name+"@"+cm.ResourceVersion)
	}
	return all
}

func TestWhatSomebodyEditedIsLeftAlone(t *testing.T) {
	t.Parallel()
	s, a, r := followed(t)
	s.set("has(app)", []string{a}, s.configMap())
	s.has(a, "10.0.0.1/32")
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name + "-cm-" + a}}
	s.edit(cm, func() { // what is not ours to say
		cm.Labels["team"], cm.Annotations["note"] = "shop", "x"
	})
	r.pod(a, "two", web, "10.0.0.7")
	s.has(a, "10.0.0.1/32", "10.0.0.7/32")
	if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(cm), cm); err != nil || cm.Labels["team"] != "shop" || cm.Annotations["note"] != "x" {
		t.Errorf("what others wrote is gone: %v %v (%v)", cm.Labels, cm.Annotations, err)
	}

	s.edit(cm, func() { cm.Data["addresses"] += "0.0.0.0/0\n" })
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, "ConfigMap "+s.namespace+"/"+cm.Name+" was edited by somebody-else", "delete it")
	r.pod(a, "three", web, "10.0.0.9")
	r.pod(a, "one", nil, "10.0.0.1")
	eventually(t, func() error { // it was looked at again
		if es := s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused); es.Status.Addresses != 2 {
			return fmt.Errorf("there are %d addresses", es.Status.Addresses)
		}
		return nil
	})
	s.has(a, "0.0.0.0/0", "10.0.0.1/32", "10.0.0.7/32")
	if err := s.admin.Delete(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	s.has(a, "10.0.0.7/32", "10.0.0.9/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}

func TestWhatSomebodyOwnsIsLeftAlone(t *testing.T) {
	t.Parallel()
	s, a, _ := followed(t)
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name + "-cm-" + a}, Data: map[string]string{"addresses": "mine"}}
	base := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name + "-np"}}
	for _, o := range []client.Object{theirs, base} {
		if err := s.admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	s.set("has(app)", []string{a}, s.configMap(), s.networkPolicy())
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused,
		"ConfigMap "+s.namespace+"/"+theirs.Name+" is there, and was not made by Hawser", "NetworkPolicy "+s.namespace+"/"+base.Name+" is there")
	if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs); err != nil || theirs.Data["addresses"] != "mine" || len(theirs.Labels) > 0 {
		t.Errorf("it was written: %+v (%v)", theirs, err)
	}
	if got := s.blocks(false); !slices.Equal(got, []string{"10.0.0.1/32"}) {
		t.Errorf("the other output has %v", got)
	}
	for _, o := range []client.Object{theirs, base} {
		if err := s.admin.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	s.has(a, "10.0.0.1/32")
}

func TestAnOutputWaitsForItsKindAndItsNamespace(t *testing.T) {
	withoutCIDRGroups(t)
	s, a, _ := followed(t)
	later := s.namespace + "-later"
	s.set("has(app)", []string{a}, s.configMap(), v1alpha1.EndpointOutput{Name: "group", CiliumCIDRGroup: &v1alpha1.CiliumCIDRGroupOutput{}},
		v1alpha1.EndpointOutput{Name: "there", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: later}})
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, "CiliumCIDRGroup", "the cluster does not serve it", `does not find namespace "`+later)
	s.has(a, "10.0.0.1/32") // the others are written
	s.Install(t, "../../../endpoint/calico/testdata/ciliumcidrgroups.cilium.io.yaml")
	if err := s.admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: later}}); err != nil {
		t.Fatal(err)
	}
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten, "3 objects")
	if got, err := s.nets("cilium.io/v2", "CiliumCIDRGroup", "externalCIDRs"); err != nil || !slices.Equal(got, []string{"10.0.0.1/32"}) {
		t.Errorf("the CIDR groups have %v (%v)", got, err)
	}
}

// withoutCIDRGroups takes away the kind that an earlier run may have installed.
func withoutCIDRGroups(t *testing.T) {
	t.Helper()
	admin := fleettest.Use(t, "primary").Admin(t)
	kind := &unstructured.Unstructured{}
	kind.SetAPIVersion("apiextensions.k8s.io/v1")
	kind.SetKind("CustomResourceDefinition")
	kind.SetName("ciliumcidrgroups.cilium.io")
	eventually(t, func() error {
		if err := admin.Delete(t.Context(), kind); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("the kind is still there"), err)
		}
		return nil
	})
}

func TestWhatIsLeftOfClustersIsSwept(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b, c := s.cluster("a"), s.cluster("b"), s.cluster("c")
	r := s.replica(newBook(), nil)
	for i, name := range []string{a, b, c} {
		r.follow(name)
		r.pod(name, "one", web, fmt.Sprintf("10.%d.0.1", i))
	}
	es := s.set("has(app)", []string{a, b, c}, s.configMap(), s.networkPolicy())
	s.has("", "10.0.0.1/32", "10.1.0.1/32", "10.2.0.1/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)

	s.edit(es, func() { es.Spec.Clusters.Names = []string{a, b} }) // no longer selected
	s.has("", "10.0.0.1/32", "10.1.0.1/32")
	rb := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: b}}
	s.edit(rb, func() { rb.Spec.Disabled = true }) // not heard of, which is no reason to take anything away
	r.forget(a)
	if err := s.admin.Delete(t.Context(), &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: a}}); err != nil {
		t.Fatal(err)
	}
	s.has("", "10.1.0.1/32")
	s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, a+": there is no RemoteCluster")
	r.forget(b)
	if err := s.admin.Delete(t.Context(), rb); err != nil {
		t.Fatal(err)
	}
	s.has("")
	eventually(t, func() error {
		if es := s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, b+": there is no RemoteCluster"); len(es.Status.Clusters) > 0 {
			return fmt.Errorf("entries are left: %+v", es.Status.Clusters)
		}
		return nil
	})
	if got := s.blocks(false); len(got) > 0 {
		t.Errorf("NetworkPolicies have %v", got)
	}
	var base networkingv1.NetworkPolicy // the pods stay closed
	if err := s.admin.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: s.name + "-np"}, &base); err != nil {
		t.Error(err)
	}
	if err := s.admin.Delete(t.Context(), es); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(&base), &base); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("the policy is still there"), err)
		}
		return nil
	})
}

func TestASelectorThatCannotBeReadLeavesTheLastOne(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.cluster("a")
	r := s.replica(s.known, nil)
	r.follow(a)
	r.pod(a, "one", web, "10.0.0.1")
	es := s.set(`app = "web"`, []string{a}, s.configMap())
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonSelectorInvalid, "it matches nothing", "app = \"web\"\n    ^")
	s.has("")
	s.edit(es, func() { es.Spec.Selector = `app == "web"` })
	s.has(a, "10.0.0.1/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)

	s.edit(es, func() { es.Spec.Selector = `global()` })
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonSelectorInvalid, `the selector that was read last: app == "web"`)
	r.pod(a, "two", web, "10.0.0.3")
	s.has(a, "10.0.0.1/32", "10.0.0.3/32")
	r.Stop()
	r = s.replica(s.known, nil) // which has not read another one
	r.pod(a, "three", map[string]string{"app": "db"}, "10.0.0.5")
	r.remove(a, "one")
	s.has(a, "10.0.0.3/32")

	for selector, reason := range map[string]string{
		`app == "web" && app == "db"`: v1alpha1.ReasonSelectsNothing,
		`has(app) || !has(app)`:       v1alpha1.ReasonSelectsEverything,
		`app == "wbe"`:                v1alpha1.ReasonSelectsNothing,
	} {
		s.edit(es, func() { es.Spec.Selector = selector })
		s.says(v1alpha1.Ready, metav1.ConditionTrue, reason)
	}
	r.part(a).Set(&index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "data", Name: "four"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")}})
	s.edit(es, func() { es.Spec.Selector = `app != "wbe"` }) // everything that there is
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonSelectsEverything, `app != "wbe" matches every endpoint`)
	s.looksAgain(30 * time.Second) // nothing tells of what does not match
	s.edit(es, func() { es.Spec.Selector = `all()` })
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	s.looksAgain(0)
}

func TestNothingIsMadeWhereAuthorsAreNotBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.guard.off.Store(true)
	a := s.cluster("a")
	r := s.replica(newBook(), nil)
	r.follow(a)
	r.pod(a, "one", web, "10.0.0.1")
	es := s.set("has(app)", []string{a}, s.configMap(), s.networkPolicy())
	reads := func() bool {
		t.Helper()
		c := &endpointset.Reconciler{Client: s.admin, Publisher: r.publisher, Guard: s.guard}
		if _, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(es)}); err != nil {
			t.Fatal(err)
		}
		return r.publisher.Has(publish.Key{Kind: publish.EndpointSet, Name: es.Name}, es.UID, es.Generation)
	}
	if reads() {
		t.Error("the set was handed to the publisher")
	}
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonAuthorUnasked, "nothing new is made")
	var policies networkingv1.NetworkPolicyList
	if err := s.admin.List(t.Context(), &policies, client.InNamespace(s.namespace)); err != nil || len(policies.Items)+len(s.versions("")) > 0 {
		t.Errorf("it was made: %v %v (%v)", policies.Items, s.versions(""), err)
	}
	if n := s.writes.Load(); n > 0 {
		t.Errorf("%d requests were made", n)
	}
	s.guard.off.Store(false)
	if reads() {
		t.Error("the set was handed to the publisher, and nobody was asked")
	}
	s.edit(es, func() { es.Spec.Selector = "has(app) && all()" })
	if !reads() {
		t.Error("the set was not handed to the publisher")
	}
	s.has(a, "10.0.0.1/32")
}

func TestTheGapsOfAClusterAreNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.cluster("a")
	missing := s.name + "missing"
	r := s.replica(newBook(), nil)
	r.know(endpoint.ClusterState{Name: a, Synced: true, Gaps: []endpoint.Gap{{Reason: "OutsideCIDRs", Message: "addresses outside of spec.endpointCIDRs, as 10.9.0.1 of pod x", Count: 3}}})
	r.pod(a, "one", web, "10.0.0.1")
	s.set("has(app)", []string{a, missing}, s.configMap())
	es := s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, a+": OutsideCIDRs: addresses outside of spec.endpointCIDRs; ", missing+": there is no RemoteCluster of this name")
	if len(es.Status.Clusters) != 1 || len(es.Status.Clusters[0].Gaps) != 1 {
		t.Errorf("the status is %+v", es.Status.Clusters)
	}
	r.follow(a)
	eventually(t, func() error {
		if es := s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, missing); len(es.Status.Clusters[0].Gaps) > 0 {
			return errors.New("the gap is still there")
		}
		return nil
	})
}
