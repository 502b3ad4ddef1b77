package authors

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	// ManagerPolicy is the name of the ValidatingAdmissionPolicy, and of its binding, that keeps the manager to objects of
	// its own.
	ManagerPolicy = "hawser-federation-manager"
	// ManagerUser is whom it is about.
	ManagerUser = "system:serviceaccount:" + v1alpha1.Namespace + ":hawser"

	slicesManager = "federation.hawser.io" // what slices of package endpoint/service say of themselves
)

// ownConfigMaps are what the manager writes in its own namespace besides: who the local cluster is, and which replica owns
// what. The latter has no label.
var ownConfigMaps = []string{v1alpha1.ManagerConfigMap, "hawser-shards"}

// OfManager returns the policy of the manager and its binding, in the order to apply.
//
// RBAC cannot narrow what the manager's role may write to what it made: everything has the name that its author gave it.
// This does, by the label that the manager puts on all of it, before and after a change; and it refuses ConfigMaps of
// kube-system whatever their labels, as some of those are rights. Of the status of a Service it leaves alone what is not
// the manager's: a status is also a way to labels, owners and addresses.
//
// Whoever holds the manager's token may still make objects with that label, beside those of others.
func OfManager() []client.Object {
	rule := func(group, version string, operations []admissionv1.OperationType, resources ...string) admissionv1.NamedRuleWithOperations {
		return admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: operations, Rule: admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{version}, Resources: resources},
		}}
	}
	changes := []admissionv1.OperationType{admissionv1.Create, admissionv1.Update, admissionv1.Delete}
	return policy(ManagerPolicy, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{
			rule("", "v1", changes, "configmaps", "services"),
			rule("", "v1", []admissionv1.OperationType{admissionv1.Update}, "services/status"),
			rule("discovery.k8s.io", "v1", changes, "endpointslices"),
			rule("networking.k8s.io", "v1", changes, "networkpolicies"),
			rule("projectcalico.org", "*", changes, "networkpolicies", "networksets", "globalnetworksets"),
			rule("cilium.io", "*", changes, "ciliumcidrgroups"),
			rule("policy.networking.k8s.io", "*", changes, "clusternetworkpolicies"),
			rule("multicluster.x-k8s.io", "*", changes, "serviceimports"),
		}},
		MatchConditions: []admissionv1.MatchCondition{{Name: "hawser", Expression: "request.userInfo.username == '" + ManagerUser + "'"}},
		Variables: []admissionv1.Variable{
			{Name: "place", Expression: "request.?namespace.orValue('')"},
			{Name: "status", Expression: "request.?subResource.orValue('') == 'status'"},
			{Name: "objects", Expression: "(request.operation == 'CREATE' ? [dyn(object)] : request.operation == 'DELETE' ? [dyn(oldObject)] : [dyn(oldObject), dyn(object)])"},
			{Name: "configMap", Expression: "request.resource.resource == 'configmaps'"},
			{Name: "own", Expression: fmt.Sprintf("variables.configMap && variables.place == '%s' && variables.objects.all(o, o.metadata.name in ['%s'])",
				v1alpha1.Namespace, strings.Join(ownConfigMaps, "', '"))},
			{Name: "label", Expression: "request.resource.resource == 'endpointslices' ? " + quoted(discoveryv1.LabelManagedBy, slicesManager) + " : " + quoted(v1alpha1.ManagedByLabel, v1alpha1.ManagedBy)},
		},
		Validations: []admissionv1.Validation{
			{
				Expression: "variables.own || variables.status || variables.objects.all(o, has(o.metadata.labels) && o.metadata.labels[?variables.label[0]].orValue('') == variables.label[1])",
				Message:    "the manager writes and deletes only what it made",
				MessageExpression: "'the manager writes and deletes only what it made: ' + request.resource.resource + ' with the label ' + " +
					"variables.label[0] + '=' + variables.label[1]",
				Reason: new(metav1.StatusReasonForbidden),
			},
			{
				Expression: "!variables.configMap || variables.place != '" + metav1.NamespaceSystem + "'",
				Message:    "the manager writes no ConfigMap in namespace " + metav1.NamespaceSystem + ", as some there are rights",
				Reason:     new(metav1.StatusReasonForbidden),
			},
			{
				Expression: "!variables.status || " + same("status", "loadBalancer") + " && " +
					same("metadata", "labels") + " && " + same("metadata", "annotations") + " && " + same("metadata", "ownerReferences") + " && " + same("metadata", "finalizers"),
				Message: "the manager writes nothing but conditions into the status of a Service",
				Reason:  new(metav1.StatusReasonForbidden),
			},
		},
	})
}

func quoted(words ...string) string { return "['" + strings.Join(words, "', '") + "']" }

// same says that an update leaves a field as it is, also where there is none.
func same(in, field string) string {
	return fmt.Sprintf("dyn(object).?%[1]s.?%[2]s == dyn(oldObject).?%[1]s.?%[2]s", in, field)
}
