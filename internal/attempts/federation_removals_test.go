package attempts_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/authors"
)

// keeps is what the policy says to somebody who lacks the right to what is removed.
func (r right) keeps() string {
	return strings.Replace(r.refusal(), "create and update", "delete", 1)
}

var networkPolicies = written("networking.k8s.io", "networkpolicies")

// elsewhere closes pods where the authors of these attempts have no right, by so many outputs.
func elsewhere(n int) func(*world) []v1alpha1.EndpointOutput {
	return func(w *world) (all []v1alpha1.EndpointOutput) {
		for i := range n {
			all = append(all, v1alpha1.EndpointOutput{Name: fmt.Sprintf("a%d", i), NetworkPolicy: &v1alpha1.NetworkPolicyOutput{Namespace: w.other, Types: []v1alpha1.PolicyType{v1alpha1.PolicyTypeIngress}}})
		}
		return all
	}
}

// deletesWhatCloses deletes what somebody made who had the right: alone, and with all others.
func deletesWhatCloses(t *testing.T, w *world) {
	p := policyOf(v1alpha1.TargetNetworkPolicy)(w)
	mustCreate(t, w.local, p)
	who := as(t, w.here, unique("fen"), federation, networkPolicies.rule())
	must(t, refused(who.Delete(t.Context(), p, client.DryRunAll), networkPolicies.keeps()))
	who = as(t, w.here, unique("fee"), federation, networkPolicies.rule("delete"))
	must(t, who.Delete(t.Context(), p, client.DryRunAll))
}

// takesTargetAway has Hawser write what they may, in the place of what they may not.
func takesTargetAway(t *testing.T, w *world) {
	p := policyOf(v1alpha1.TargetClusterNetworkPolicy)(w).(*v1alpha1.FederatedNetworkPolicy)
	mustCreate(t, w.local, p)
	p.Spec.Target, p.Spec.ClusterNetworkPolicy = v1alpha1.TargetNetworkPolicy, nil
	who := as(t, w.here, unique("fob"), federation, networkPolicies.rule("create", "update", "delete"))
	must(t, refused(who.Update(t.Context(), p, client.DryRunAll), written("policy.networking.k8s.io", "clusternetworkpolicies").keeps()))
}

// takesOutputAway opens pods by what is not in the new spec: nothing, or something that they may write.
func takesOutputAway(t *testing.T, w *world) {
	s := setOf(elsewhere(1))(w).(*v1alpha1.EndpointSet)
	mustCreate(t, w.local, s)
	who := as(t, w.here, unique("fir"), federation, globalSets.rule("create", "update", "delete"))
	for _, outputs := range [][]v1alpha1.EndpointOutput{nil, {{Name: "a", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{}}}} {
		s.Spec.Outputs = outputs
		must(t, refused(who.Update(t.Context(), s, client.DryRunAll), networkPolicies.keeps()))
	}
	who = as(t, w.here, unique("fur"), federation, globalSets.rule(), networkPolicies.rule("delete"))
	must(t, who.Update(t.Context(), s, client.DryRunAll))
}

// takesLastAway has the right to all that is removed but the last.
func takesLastAway(t *testing.T, w *world) {
	s := setOf(func(w *world) (all []v1alpha1.EndpointOutput) {
		for i := range authors.MaxOutputs - 1 {
			all = append(all, v1alpha1.EndpointOutput{Name: fmt.Sprintf("g%d", i), CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{}})
		}
		return append(all, elsewhere(1)(w)...)
	})(w)
	mustCreate(t, w.local, s)
	who := as(t, w.here, unique("fig"), federation, globalSets.rule("delete"))
	must(t, refused(who.Delete(t.Context(), s, client.DryRunAll), networkPolicies.keeps()))
}

// hasItCollected names an owner that is not there, for which the garbage collector deletes an object.
func hasItCollected(t *testing.T, w *world) {
	s := setOf(elsewhere(1))(w).(*v1alpha1.EndpointSet)
	mustCreate(t, w.local, s)
	s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: "gone", UID: "gone"}}
	who := as(t, w.here, unique("fax"), federation, networkPolicies.rule())
	must(t, refused(who.Update(t.Context(), s.DeepCopy(), client.DryRunAll), networkPolicies.keeps()))
	s.Spec.Selector = "has(app)" // of which the same is made
	must(t, refused(who.Update(t.Context(), s, client.DryRunAll), networkPolicies.keeps()))
}

// changesTooMuch has more looked at than the API server lets a policy ask.
func changesTooMuch(t *testing.T, w *world) {
	s := setOf(elsewhere(authors.MaxOutputs))(w).(*v1alpha1.EndpointSet)
	mustCreate(t, w.local, s)
	for i := range s.Spec.Outputs {
		s.Spec.Outputs[i].NetworkPolicy.Namespace = w.shop
	}
	who := as(t, w.here, unique("fop"), federation, networkPolicies.rule("create", "update", "delete"))
	if err := who.Update(t.Context(), s, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "take away first those that are to go") {
		t.Errorf("it does not say what to do: %v", err)
	}
}

// saysApplied writes into a status that Hawser has worked by a spec, for which it goes on with it also where the policy is
// not in force.
func saysApplied(object func(*world) client.Object) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		who := as(t, w.here, unique("fad"), federation, networkPolicies.rule())
		o := object(w)
		status := v1alpha1.FederationStatus{ObservedGeneration: 1, Clusters: []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 1}}}
		statusOf := func() *v1alpha1.FederationStatus {
			if s, is := o.(*v1alpha1.EndpointSet); is {
				return &s.Status
			}
			return &o.(*v1alpha1.FederatedNetworkPolicy).Status
		}
		for _, write := range []func() error{
			func() error { return who.Create(t.Context(), o) },
			func() error { return who.Update(t.Context(), o) },
		} {
			*statusOf() = status
			must(t, write())
			if got := statusOf(); got.ObservedGeneration != 0 || len(got.Clusters) > 0 {
				t.Errorf("its author wrote its status: %+v", got)
			}
		}
		*statusOf() = status
		must(t, refused(who.Status().Update(t.Context(), o), "cannot update resource"))
	}
}
