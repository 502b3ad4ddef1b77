package endpointset_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/internal/controller/endpointset"
)

func TestWhatWasMadeIsKeptInStepWhereAuthorsAreNotBounded(t *testing.T) {
	t.Parallel()
	s, a, r := followed(t)
	es := s.set("has(app)", []string{a}, s.configMap(), s.networkPolicy())
	s.has(a, "10.0.0.1/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	s.guard.off.Store(true)
	r.Stop()
	r = s.replica(r.book, nil)
	r.remove(a, "one")
	r.pod(a, "two", web, "10.0.0.2")
	s.has(a, "10.0.0.2/32")
	base := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name + "-np"}}
	if err := s.admin.Delete(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return s.admin.Get(t.Context(), client.ObjectKeyFromObject(base), base) })
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded, "nothing new is made")

	// Another spec waits. Until a restart the earlier one is followed.
	s.edit(es, func() {
		es.Spec.Selector, es.Spec.Outputs = "all()", slices.Insert(es.Spec.Outputs, 0, s.configMap())
		es.Spec.Outputs[0].Name = "new"
	})
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonAuthorUnasked)
	r.pod(a, "three", nil, "10.0.0.3")
	r.pod(a, "four", web, "10.0.0.4")
	s.has(a, "10.0.0.2/32", "10.0.0.4/32")
	r.Stop()
	r = s.replica(r.book, nil)
	c := &endpointset.Reconciler{Client: s.admin, Publisher: r.publisher, Guard: s.guard}
	if _, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(es)}); err != nil {
		t.Fatal(err)
	}
	if r.publisher.Has(publish.Key{Kind: publish.EndpointSet, Name: es.Name}, es.UID, es.Generation) {
		t.Error("the other spec was handed to the publisher")
	}
	s.has(a, "10.0.0.2/32", "10.0.0.4/32")

	// Nobody is asked of it when authors are bounded again, whoever looks at it then: until it is written again.
	s.guard.off.Store(false)
	s.edit(es, func() { es.Labels = map[string]string{"looked": "at"} })
	r.Stop()
	r = s.replica(r.book, nil)
	s.lead()
	c = &endpointset.Reconciler{Client: s.admin, Publisher: r.publisher, Guard: s.guard}
	if _, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(es)}); err != nil {
		t.Fatal(err)
	}
	if r.publisher.Has(publish.Key{Kind: publish.EndpointSet, Name: es.Name}, es.UID, es.Generation) {
		t.Error("the other spec was handed to the publisher")
	}
	eventually(t, func() error { // until a policy is missing no more
		if text := fmt.Sprint(s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonAuthorUnasked).Status.Conditions); strings.Contains(text, "And ") {
			return errors.New(text)
		}
		return nil
	})
	s.has(a, "10.0.0.2/32", "10.0.0.4/32")
	s.edit(es, func() { es.Spec.Selector = "has(app) || !has(app)" })
	s.has(a, "10.0.0.2/31", "10.0.0.2/31", "10.0.0.4/32", "10.0.0.4/32") // in two outputs
}

// TestASpecThatIsHeldTakesNothingAway: who narrows which clusters it is about is asked for that, too.
func TestASpecThatIsHeldTakesNothingAway(t *testing.T) {
	t.Parallel()
	s, a, r := followed(t)
	b := s.cluster("b")
	r.follow(b)
	r.pod(b, "one", web, "10.1.0.1")
	es := s.set("has(app)", []string{a, b}, s.configMap())
	s.has(b, "10.1.0.1/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	before, made := s.versions(b), es.Generation
	s.guard.off.Store(true)
	s.edit(es, func() { es.Spec.Clusters.Names, es.Spec.Selector = []string{a}, "has(other)" })
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonAuthorUnasked)
	s.looksAgain(30 * time.Second) // nothing is left to do but to look at the policy
	if after := s.versions(b); !slices.Equal(before, after) {
		t.Errorf("objects of a cluster were %v, and are %v", before, after)
	}

	// What a selector that cannot be read leaves to be followed is what was followed before.
	s.edit(es, func() { es.Spec.Selector = "has(" })
	if es := s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonAuthorUnasked); strings.Contains(fmt.Sprint(es.Status.Conditions), "has(other)") {
		t.Errorf("what nobody follows is said to be followed: %v", es.Status.Conditions)
	}

	// One that is made anew under its name is another one.
	r.Stop()
	if err := s.admin.Delete(t.Context(), es); err != nil {
		t.Fatal(err)
	}
	c := &endpointset.Reconciler{Client: s.admin, Publisher: r.publisher, Guard: s.guard}
	again := s.set("has(app)", []string{a}, s.configMap())
	if _, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(again)}); err != nil {
		t.Fatal(err)
	}
	if r.publisher.Has(publish.Key{Kind: publish.EndpointSet, Name: es.Name}, es.UID, made) {
		t.Error("one that is gone is published")
	}
}

// TestASetThatWaitsForAFinalizerIsFollowed, as it may take somebody hours.
func TestASetThatWaitsForAFinalizerIsFollowed(t *testing.T) {
	t.Parallel()
	s, a, r := followed(t)
	es := s.set("has(app)", []string{a}, s.configMap())
	s.has(a, "10.0.0.1/32")
	s.edit(es, func() { es.Finalizers = []string{"example.com/backup"} })
	if err := s.admin.Delete(t.Context(), es); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		_ = s.admin.Patch(context.Background(), es, patch)
	})
	r.Stop()
	r = s.replica(r.book, nil) // which sees it for the first time
	r.remove(a, "one")
	r.pod(a, "two", web, "10.0.0.2")
	s.has(a, "10.0.0.2/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}
