package attempts_test

import (
	"fmt"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/authors"
)

// federationAuthors may write EndpointSets or FederatedNetworkPolicies, and lack one right to what Hawser writes because
// of these. Each attempt is let through as soon as the author has that right, too.
var federationAuthors = map[string]func(*testing.T, *world){
	"an author of FederatedNetworkPolicies has a NetworkPolicy written": hasWritten(
		policyOf(v1alpha1.TargetNetworkPolicy), written("networking.k8s.io", "networkpolicies")),
	"an author of FederatedNetworkPolicies has a policy of Calico written": hasWritten(
		policyOf(v1alpha1.TargetCalico), written("projectcalico.org", "networkpolicies"), tierPolicies, globalSets),
	"an author of FederatedNetworkPolicies has a policy of Calico's tier written": hasWritten(
		policyOf(v1alpha1.TargetCalico), tierPolicies, written("projectcalico.org", "networkpolicies"), globalSets),
	"an author of FederatedNetworkPolicies has sets of Calico written": hasWritten(
		policyOf(v1alpha1.TargetCalico), globalSets, written("projectcalico.org", "networkpolicies"), tierPolicies),
	"an author of FederatedNetworkPolicies has a ClusterNetworkPolicy written": hasWritten(
		policyOf(v1alpha1.TargetClusterNetworkPolicy), written("policy.networking.k8s.io", "clusternetworkpolicies"), written("networking.k8s.io", "networkpolicies")),
	"an author of FederatedNetworkPolicies closes pods for a ClusterNetworkPolicy": hasWritten(
		policyOf(v1alpha1.TargetClusterNetworkPolicy), written("networking.k8s.io", "networkpolicies"), written("policy.networking.k8s.io", "clusternetworkpolicies")),
	"an author of FederatedNetworkPolicies changes what is written":         changesWhatIsWritten,
	"an author of FederatedNetworkPolicies has written what they only make": hasUpdated,
	"an author of EndpointSets has a NetworkPolicy written elsewhere": hasWritten(setOf(func(w *world) []v1alpha1.EndpointOutput {
		return []v1alpha1.EndpointOutput{{Name: "a", NetworkPolicy: &v1alpha1.NetworkPolicyOutput{Namespace: w.other, Types: []v1alpha1.PolicyType{v1alpha1.PolicyTypeIngress}}}}
	}), written("networking.k8s.io", "networkpolicies")),
	"an author of EndpointSets has a NetworkSet written elsewhere": hasWritten(setOf(func(w *world) []v1alpha1.EndpointOutput {
		return []v1alpha1.EndpointOutput{{Name: "a", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{Namespace: w.other}}}
	}), written("projectcalico.org", "networksets"), globalSets),
	"an author of EndpointSets has a GlobalNetworkSet written": hasWritten(setOf(func(*world) []v1alpha1.EndpointOutput {
		return []v1alpha1.EndpointOutput{{Name: "a", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{}}}
	}), globalSets, written("projectcalico.org", "networksets")),
	"an author of EndpointSets has a CiliumCIDRGroup written": hasWritten(setOf(func(*world) []v1alpha1.EndpointOutput {
		return []v1alpha1.EndpointOutput{{Name: "a", CiliumCIDRGroup: &v1alpha1.CiliumCIDRGroupOutput{}}}
	}), written("cilium.io", "ciliumcidrgroups")),
	"an author of EndpointSets has a ConfigMap written elsewhere": hasWritten(setOf(func(w *world) []v1alpha1.EndpointOutput {
		return []v1alpha1.EndpointOutput{{Name: "a", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: w.other}}}
	}), written("", "configmaps")),
	"an author of EndpointSets has one more object written than is looked at": hasWrittenMore,
	"an author of FederatedNetworkPolicies deletes one that closes pods":      deletesWhatCloses,
	"an author of FederatedNetworkPolicies takes a target away":               takesTargetAway,
	"an author of EndpointSets takes an output away":                          takesOutputAway,
	"an author of EndpointSets has the last output that is looked at removed": takesLastAway,
	"an author of EndpointSets has the garbage collector delete one":          hasItCollected,
	"an author of EndpointSets changes more at once than can be looked at":    changesTooMuch,
	"an author of EndpointSets says that one was applied":                     saysApplied(func(w *world) client.Object { return setOf(elsewhere(1))(w) }),
	"an author of FederatedNetworkPolicies says that one was applied":         saysApplied(policyOf(v1alpha1.TargetNetworkPolicy)),
}

// right is to one kind of object.
type right struct{ group, resource string }

func written(group, resource string) right { return right{group, resource} }

var (
	globalSets   = written("projectcalico.org", "globalnetworksets")
	tierPolicies = written("projectcalico.org", "tier.networkpolicies")
)

func (r right) rule(verbs ...string) rbacv1.PolicyRule {
	if len(verbs) == 0 {
		verbs = []string{"create", "update"}
	}
	return rbacv1.PolicyRule{APIGroups: []string{r.group}, Resources: []string{r.resource}, Verbs: verbs}
}

// refusal is what the policy says to somebody who lacks the right.
func (r right) refusal() string {
	name := r.resource
	if r.group != "" {
		name += "." + r.group
	}
	return "needs the right to create and update " + name
}

func policyOf(target v1alpha1.PolicyTarget) func(*world) client.Object {
	return func(w *world) client.Object {
		p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: unique("fnp")}}
		p.Spec.Clusters.Local, p.Spec.Target = true, target
		if target == v1alpha1.TargetClusterNetworkPolicy {
			p.Spec.ClusterNetworkPolicy = &v1alpha1.ClusterNetworkPolicyTarget{Priority: 10}
		}
		return p
	}
}

func setOf(outputs func(*world) []v1alpha1.EndpointOutput) func(*world) client.Object {
	return func(w *world) client.Object {
		s := &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: unique("set")}}
		s.Spec.Selector, s.Spec.Clusters.Local, s.Spec.Outputs = "all()", true, outputs(w)
		return s
	}
}

var federation = everythingOn("endpointsets", "federatednetworkpolicies")

// hasWritten has an object written without a right, and then with all of them.
func hasWritten(object func(*world) client.Object, lacking right, has ...right) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		rules := []rbacv1.PolicyRule{federation}
		for _, r := range has {
			rules = append(rules, r.rule())
		}
		who := as(t, w.here, unique("fay"), rules...)
		must(t, refused(who.Create(t.Context(), object(w), client.DryRunAll), lacking.refusal()))
		who = as(t, w.here, unique("flo"), append(slices.Clone(rules), lacking.rule())...)
		must(t, who.Create(t.Context(), object(w), client.DryRunAll))
	}
}

// changesWhatIsWritten changes what somebody made who had the right.
func changesWhatIsWritten(t *testing.T, w *world) {
	who, p := as(t, w.here, unique("fox"), federation), policyOf(v1alpha1.TargetNetworkPolicy)(w).(*v1alpha1.FederatedNetworkPolicy)
	mustCreate(t, w.local, p)
	labelled := p.DeepCopy()
	labelled.Labels = map[string]string{"reviewed": "yes"}
	must(t, who.Update(t.Context(), labelled, client.DryRunAll))
	p.Spec.Ingress = []v1alpha1.FederatedRule{{Action: "Allow"}}
	must(t, refused(who.Update(t.Context(), p, client.DryRunAll), written("networking.k8s.io", "networkpolicies").refusal()))
}

// hasUpdated has what they may create written again and again.
func hasUpdated(t *testing.T, w *world) {
	policies := written("networking.k8s.io", "networkpolicies")
	who := as(t, w.here, unique("fin"), federation, policies.rule("create"))
	must(t, refused(who.Create(t.Context(), policyOf(v1alpha1.TargetNetworkPolicy)(w), client.DryRunAll), policies.refusal()))
}

// hasWrittenMore has the last output that is looked at, and one more, write where the author has no right.
func hasWrittenMore(t *testing.T, w *world) {
	who := as(t, w.here, unique("fritz"), federation, globalSets.rule())
	outputs := func(n int) func(*world) []v1alpha1.EndpointOutput {
		return func(w *world) (all []v1alpha1.EndpointOutput) {
			for i := range n - 1 {
				all = append(all, v1alpha1.EndpointOutput{Name: fmt.Sprintf("a%d", i), CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{}})
			}
			return append(all, v1alpha1.EndpointOutput{Name: "last", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: w.other}})
		}
	}
	must(t, refused(who.Create(t.Context(), setOf(outputs(authors.MaxOutputs))(w), client.DryRunAll), written("", "configmaps").refusal()))
	if err := who.Create(t.Context(), setOf(outputs(authors.MaxOutputs+1))(w), client.DryRunAll); err == nil {
		t.Error("one more output than the policy looks at was let through")
	}
}
