package federatednetworkpolicy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/internal/controller/federatednetworkpolicy"
)

func TestWhatWasMadeIsKeptInStepWhileNobodyKeepsAuthorsWithinTheirRights(t *testing.T) {
	s := newScene(t)
	web := s.pod("web", "web", "10.1.0.1")
	p := s.policy(v1alpha1.FederatedNetworkPolicySpec{
		Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Ingress:  []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new("app == 'web'")}}},
	})
	s.has("shop.closed for <none>:", "shop.peers-alpha for <none>: from 10.1.0.1/32")
	s.says(p, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	s.authors.unbounded.Store(true)
	s.writer.Stop()
	s.replica()
	s.move(web, "10.1.0.2")
	if err := s.admin.Delete(t.Context(), s.closing()); err != nil {
		t.Fatal(err)
	}
	s.has("shop.closed for <none>:", "shop.peers-alpha for <none>: from 10.1.0.2/32")
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded, "nothing new is made")

	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Selector = "a == 'b'" })
	s.says(p, metav1.ConditionFalse, v1alpha1.ReasonAuthorUnasked, "nothing new is made")
	s.has("shop.closed for <none>:", "shop.peers-alpha for <none>: from 10.1.0.2/32")

	// Nobody is asked of it when authors are bounded again, until it is written again.
	s.authors.unbounded.Store(false)
	s.writer.Stop()
	s.replica()
	s.lead()
	eventually(t, func() error { // until a policy is missing no more
		if text := fmt.Sprint(s.says(p, metav1.ConditionFalse, v1alpha1.ReasonAuthorUnasked).Status.Conditions); strings.Contains(text, "And ") {
			return errors.New(text)
		}
		return nil
	})
	_, objects := s.manager()
	publisher, err := publish.New(publish.Options{Catalog: s.catalog, Objects: objects, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	anew := &federatednetworkpolicy.Reconciler{Client: s.admin, Publisher: publisher, Guard: &s.authors}
	if _, err := anew.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(p)}); err != nil {
		t.Fatal(err)
	}
	if publisher.Has(policy.KeyOf(p.Namespace, p.Name), p.UID, p.Generation) {
		t.Error("the other spec was handed to the publisher")
	}
	s.has("shop.closed for <none>:", "shop.peers-alpha for <none>: from 10.1.0.2/32")
	s.edit(p, func(spec *v1alpha1.FederatedNetworkPolicySpec) { spec.Selector = "a == 'c'" })
	s.has("shop.closed for a=c:", "shop.peers-alpha for a=c: from 10.1.0.2/32")

	// One that waits for a finalizer is followed on.
	before := p.DeepCopy()
	p.Finalizers = []string{"example.com/backup"}
	if err := s.admin.Patch(t.Context(), p, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	if err := s.admin.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.admin.Patch(context.Background(), p, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))
	})
	s.writer.Stop()
	s.replica() // which sees it for the first time
	s.move(web, "10.1.0.3")
	s.has("shop.closed for a=c:", "shop.peers-alpha for a=c: from 10.1.0.3/32")
}
