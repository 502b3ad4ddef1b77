package endpointset_test

import (
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/internal/controller/endpointset"
)

func TestWhatWasMadeIsKeptInStepWhereAuthorsAreNotBounded(t *testing.T) {
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
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded)
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
}
