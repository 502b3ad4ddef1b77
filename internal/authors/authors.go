// Package authors owns the admission policy of the local cluster that keeps whoever writes EndpointSets and
// FederatedNetworkPolicies within their rights: Hawser writes other objects because of these, and nobody is to have
// one written that they could not write themselves. It installs nothing and asks no cluster; package internal/guard
// finds out whether the policy is in force.
package authors

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Policy is the name of the ValidatingAdmissionPolicy and of its binding.
const Policy = "hawser-federation-authors"

// MaxOutputs is how many outputs an EndpointSet may have. Asking the authorizer costs 350,000 of the 10,000,000 that
// a policy may spend on a request, and for each output it is asked twice.
const MaxOutputs = 12

// Objects returns the policy and its binding, in the order to apply. What it cannot evaluate it denies.
//
// It asks of whoever writes one of these objects, or changes its spec, the rights to create and to update what Hawser
// makes of it. What leaves the spec as it is (labels, finalizers) is anybody's who may update the object. Hawser's own
// account is no exception: it writes none of them.
func Objects() []client.Object {
	const version = "admissionregistration.k8s.io/v1"
	match := admissionv1.Rule{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{v1alpha1.GroupVersion.Version},
		Resources: []string{"endpointsets", "federatednetworkpolicies"},
	}
	return []client.Object{
		&admissionv1.ValidatingAdmissionPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: version, Kind: "ValidatingAdmissionPolicy"},
			ObjectMeta: metav1.ObjectMeta{Name: Policy},
			Spec: admissionv1.ValidatingAdmissionPolicySpec{
				FailurePolicy: new(admissionv1.Fail),
				MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
					RuleWithOperations: admissionv1.RuleWithOperations{
						Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}, Rule: match,
					},
				}}},
				MatchConditions: []admissionv1.MatchCondition{{
					Name:       "another-spec",
					Expression: "request.operation == 'CREATE' || object.spec != oldObject.spec",
				}},
				Variables:   variables(),
				Validations: validations(),
			},
		},
		&admissionv1.ValidatingAdmissionPolicyBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: version, Kind: "ValidatingAdmissionPolicyBinding"},
			ObjectMeta: metav1.ObjectMeta{Name: Policy},
			Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: Policy, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
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

// variables say what is written because of an object. They are of no type, since there are two kinds.
func variables() []admissionv1.Variable {
	of := fmt.Sprintf
	return []admissionv1.Variable{
		{Name: "spec", Expression: "dyn(object.spec)"},
		{Name: "target", Expression: "has(variables.spec.target) ? variables.spec.target : '" + string(v1alpha1.TargetNetworkPolicy) + "'"},
		{Name: "ofPolicy", Expression: of("variables.target == '%s' ? [", v1alpha1.TargetNetworkPolicy) + of(networkPolicies, ofPolicies) + "]" +
			of(" : variables.target == '%s' ? [", v1alpha1.TargetCalico) + calicoPolicies + ", " + calicoTierPolicies + ", " + globalNetworkSets + "]" +
			of(" : variables.target == '%s' ? [", v1alpha1.TargetClusterNetworkPolicy) + of(networkPolicies, ofPolicies) + ", " + clusterPolicies + "]" +
			" : [" + everything + "]"},
		{Name: "ofOutputs", Expression: "has(variables.spec.outputs) ? variables.spec.outputs.map(o, " +
			"has(o.networkPolicy) ? " + of(networkPolicies, ofOutputs) +
			" : has(o.calicoNetworkSet) ? (has(o.calicoNetworkSet.namespace) && o.calicoNetworkSet.namespace != '' ? " + networkSets + " : " + globalNetworkSets + ")" +
			" : has(o.ciliumCIDRGroup) ? " + cidrGroups +
			" : has(o.configMap) ? " + configMaps +
			" : " + everything + ") : []"},
		{Name: "written", Expression: "request.resource.resource == 'endpointsets' ? variables.ofOutputs : variables.ofPolicy"},
	}
}

// validations has one for each object that is written: asking the authorizer costs more than a third of what an
// expression may.
func validations() []admissionv1.Validation {
	all := []admissionv1.Validation{{
		Expression: fmt.Sprintf("size(variables.written) <= %d", MaxOutputs),
		Message:    fmt.Sprintf("an EndpointSet has at most %d outputs", MaxOutputs),
	}}
	for i := range MaxOutputs {
		w := fmt.Sprintf("variables.written[%d]", i)
		may := func(verb string) string {
			return fmt.Sprintf("authorizer.group(%[1]s[0]).resource(%[1]s[1]).namespace(%[1]s[2]).name(%[1]s[3]).check('%[2]s').allowed()", w, verb)
		}
		all = append(all, admissionv1.Validation{
			Expression: fmt.Sprintf("size(variables.written) <= %d || (%s && %s)", i, may("create"), may("update")),
			Message:    "whoever has Hawser write an object needs the right to create and update it",
			MessageExpression: fmt.Sprintf("request.userInfo.username + ' needs the right to create and update ' + %[1]s[1] + (%[1]s[0] == '' ? '' : '.' + %[1]s[0]) + "+
				"(%[1]s[3] == '' ? '' : ' of the name ' + %[1]s[3]) + (%[1]s[2] == '' ? ' in the whole cluster' : ' in namespace ' + %[1]s[2]) + "+
				"': Hawser writes that because of this object, and for nobody who could not'", w),
			Reason: new(metav1.StatusReasonForbidden),
		})
	}
	return all
}
