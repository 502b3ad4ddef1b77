// Package authors owns the admission policies of the local cluster by which federated endpoints are bounded. One keeps
// whoever writes EndpointSets and FederatedNetworkPolicies within their rights: Hawser writes other objects because of
// these, and removes them again, and nobody is to have one written or removed that they could not write or remove
// themselves. The other keeps the manager to what it made. It installs nothing and asks no cluster; package internal/guard
// finds out whether the policies are in force.
package authors

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Policy is the name of the ValidatingAdmissionPolicy of authors, and of its binding.
const Policy = "hawser-federation-authors"

// MaxOutputs is how many outputs an EndpointSet may have. Asking the authorizer costs 350,000 of the 10,000,000 that
// a policy may spend on a request, and for each output it is asked twice.
const MaxOutputs = 12

// maxAsked is how often it is asked in all: an update that changes more at once has to be done in steps.
const maxAsked = 26

// Objects returns both policies with their bindings, in the order to apply. What they cannot evaluate they deny.
func Objects() []client.Object { return slices.Concat(OfAuthors(), OfManager()) }

// OfAuthors returns the policy of authors and its binding, in the order to apply.
//
// It asks of whoever writes one of these objects, or changes its spec, the rights to create and to update what Hawser
// makes of it; and of whoever deletes one, or changes it so that something is made no more, the right to delete that, as
// what closes pods may be among it. A change of owners counts as one that deletes: the garbage collector deletes what has
// owners that are not there. What leaves both as they are (labels, finalizers) is anybody's who may update the object.
// Hawser's own account is no exception: it writes none of them. Nor are Kubernetes' own: the garbage collector and the
// controller that ends namespaces may delete everything, by the roles that every cluster has.
func OfAuthors() []client.Object {
	match := admissionv1.Rule{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{v1alpha1.GroupVersion.Version},
		Resources: []string{"endpointsets", "federatednetworkpolicies"},
	}
	return policy(Policy, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
			RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update, admissionv1.Delete}, Rule: match,
			},
		}}},
		MatchConditions: []admissionv1.MatchCondition{{
			Name:       "another-spec",
			Expression: "request.operation != 'UPDATE' || " + otherSpec + " || " + otherOwners,
		}},
		Variables:   variables(),
		Validations: validations(),
	})
}

// policy is one with its binding of the same name, in force for every object.
func policy(name string, spec admissionv1.ValidatingAdmissionPolicySpec) []client.Object {
	const version = "admissionregistration.k8s.io/v1"
	spec.FailurePolicy = new(admissionv1.Fail)
	return []client.Object{
		&admissionv1.ValidatingAdmissionPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: version, Kind: "ValidatingAdmissionPolicy"},
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       spec,
		},
		&admissionv1.ValidatingAdmissionPolicyBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: version, Kind: "ValidatingAdmissionPolicyBinding"},
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			},
		},
	}
}

// What Hawser writes, each as [group, resource, namespace, name]. No namespace is the whole cluster, no name is any.
// Calico's API server asks for the right to a tier's policies besides the one to policies.
const (
	networkPolicies       = "['networking.k8s.io', 'networkpolicies', %s, '']"
	calicoPolicies        = "['projectcalico.org', 'networkpolicies', request.namespace, '']"
	calicoTierPolicies    = "['projectcalico.org', 'tier.networkpolicies', request.namespace, 'default.*']"
	globalNetworkSets     = "['projectcalico.org', 'globalnetworksets', '', '']"
	networkSets           = "['projectcalico.org', 'networksets', string(o.calicoNetworkSet.namespace), '']"
	cidrGroups            = "['cilium.io', 'ciliumcidrgroups', '', '']"
	configMaps            = "['', 'configmaps', string(o.configMap.namespace), '']"
	clusterPolicies       = "['policy.networking.k8s.io', 'clusternetworkpolicies', '', '']"
	everything            = "['*', '*', '', '']" // what a later version may bring, which this one does not know
	ofPolicies, ofOutputs = "request.namespace", "string(o.networkPolicy.namespace)"
)

// otherSpec and otherOwners are what an update has to change to be looked at. An owner that is taken away counts, too, as
// the others may not be there.
const (
	otherSpec   = "object.spec != oldObject.spec"
	otherOwners = "(has(object.metadata.ownerReferences) && (!has(oldObject.metadata.ownerReferences) || " +
		"object.metadata.ownerReferences != oldObject.metadata.ownerReferences))"
)

// variables say what is written because of an object, what was before, and what of that is now removed.
func variables() []admissionv1.Variable {
	return append(append(
		made("new", "object", "written", "request.operation == 'DELETE' || request.operation == 'UPDATE' && !("+otherSpec+")"),
		made("old", "oldObject", "had", "request.operation == 'CREATE'")...),
		admissionv1.Variable{Name: "removed", Expression: "request.operation == 'UPDATE' && " + otherOwners +
			" ? variables.had : variables.had.filter(h, !(h in variables.written))"},
		admissionv1.Variable{Name: "tooMany", Expression: fmt.Sprintf("size(variables.removed) > %d || 2 * size(variables.written) + size(variables.removed) > %d", MaxOutputs, maxAsked)})
}

// made says what is written because of the spec of an object; where none, nothing is. The last of the variables has
// it. They are of no type, since there are two kinds.
func made(prefix, object, name, none string) []admissionv1.Variable {
	of := fmt.Sprintf
	v := func(name string) string { return "variables." + prefix + name }
	return []admissionv1.Variable{
		{Name: prefix + "Spec", Expression: of("%s ? dyn({}) : dyn(%s.spec)", none, object)},
		{Name: prefix + "Target", Expression: of("has(%[1]s.target) ? %[1]s.target : '%[2]s'", v("Spec"), v1alpha1.TargetNetworkPolicy)},
		{Name: prefix + "Policies", Expression: of("%s == '%s' ? [", v("Target"), v1alpha1.TargetNetworkPolicy) + of(networkPolicies, ofPolicies) + "]" +
			of(" : %s == '%s' ? [", v("Target"), v1alpha1.TargetCalico) + calicoPolicies + ", " + calicoTierPolicies + ", " + globalNetworkSets + "]" +
			of(" : %s == '%s' ? [", v("Target"), v1alpha1.TargetClusterNetworkPolicy) + of(networkPolicies, ofPolicies) + ", " + clusterPolicies + "]" +
			" : [" + everything + "]"},
		{Name: prefix + "Outputs", Expression: of("has(%[1]s.outputs) ? %[1]s.outputs.map(o, ", v("Spec")) +
			"has(o.networkPolicy) ? " + of(networkPolicies, ofOutputs) +
			" : has(o.calicoNetworkSet) ? (has(o.calicoNetworkSet.namespace) && o.calicoNetworkSet.namespace != '' ? " + networkSets + " : " + globalNetworkSets + ")" +
			" : has(o.ciliumCIDRGroup) ? " + cidrGroups +
			" : has(o.configMap) ? " + configMaps +
			" : " + everything + ") : []"},
		{Name: name, Expression: of("%s ? [] : request.resource.resource == 'endpointsets' ? %s : %s", none, v("Outputs"), v("Policies"))},
	}
}

// validations has one for each object that is written or removed: asking the authorizer costs more than a third of what
// an expression may.
func validations() []admissionv1.Validation {
	all := []admissionv1.Validation{{
		Expression: fmt.Sprintf("size(variables.written) <= %d", MaxOutputs),
		Message:    fmt.Sprintf("an EndpointSet has at most %d outputs", MaxOutputs),
	}, {
		Expression: "!variables.tooMany", // and then nothing else is asked, since what is spent would be the reason that is told
		Message:    "this changes too many outputs at once: take away first those that are to go, and then add others",
	}}
	for i := range MaxOutputs {
		w := fmt.Sprintf("variables.written[%d]", i)
		all = append(all, admissionv1.Validation{
			Expression: fmt.Sprintf("variables.tooMany || size(variables.written) <= %d || (%s && %s)", i, may(w, "create"), may(w, "update")),
			Message:    "whoever has Hawser write an object needs the right to create and update it",
			MessageExpression: needs(w, "create and update") +
				" + ': Hawser writes that because of this object, and for nobody who could not'",
			Reason: new(metav1.StatusReasonForbidden),
		})
	}
	for i := range MaxOutputs {
		r := fmt.Sprintf("variables.removed[%d]", i)
		all = append(all, admissionv1.Validation{
			Expression: fmt.Sprintf("variables.tooMany || size(variables.removed) <= %d || %s", i, may(r, "delete")),
			Message:    "whoever has Hawser remove an object needs the right to delete it",
			MessageExpression: needs(r, "delete") +
				" + ': Hawser wrote that because of this object, and removes it for nobody who could not'",
			Reason: new(metav1.StatusReasonForbidden),
		})
	}
	return all
}

func may(what, verb string) string {
	return fmt.Sprintf("authorizer.group(%[1]s[0]).resource(%[1]s[1]).namespace(%[1]s[2]).name(%[1]s[3]).check('%[2]s').allowed()", what, verb)
}

func needs(what, verbs string) string {
	return fmt.Sprintf("request.userInfo.username + ' needs the right to %[2]s ' + %[1]s[1] + (%[1]s[0] == '' ? '' : '.' + %[1]s[0]) + "+
		"(%[1]s[3] == '' ? '' : ' of the name ' + %[1]s[3]) + (%[1]s[2] == '' ? ' in the whole cluster' : ' in namespace ' + %[1]s[2])", what, verbs)
}
