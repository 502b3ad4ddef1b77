package member

import (
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	// MaxTokenLifetimeAnnotation caps, on the namespace of a connection, the lifetime of the tokens of
	// its accounts: a Go duration such as 24h0m0s. The policy TokenLifetimePolicy enforces it.
	MaxTokenLifetimeAnnotation = "hawser.io/max-token-lifetime"
	// TokenLifetimePolicy is the name of the ValidatingAdmissionPolicy and of its binding.
	TokenLifetimePolicy = "hawser-token-lifetime"
)

// MaxTokenLifetime returns the cap that a connection's namespace sets, so that a renewal asks for no
// more than it would get. An unreadable annotation is an error: the policy then refuses every token.
func MaxTokenLifetime(ns *corev1.Namespace) (time.Duration, error) {
	text, ok := ns.Annotations[MaxTokenLifetimeAnnotation]
	if !ok {
		return DefaultMaxTokenLifetime, nil
	}
	lifetime, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("reading annotation %s of namespace %q: %w", MaxTokenLifetimeAnnotation, ns.Name, err)
	}
	return lifetime, nil
}

// lifetimePolicy caps token lifetimes in the namespaces of all connections, each by its own
// annotation, since RBAC cannot. A thief of a token may mint more of them, but none that lives longer.
func lifetimePolicy() []client.Object {
	const annotations = "namespaceObject.metadata.annotations"
	match := matching(tokenRequests)
	match.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: v1alpha1.LocalClusterLabel, Operator: metav1.LabelSelectorOpExists},
	}}
	return policy(TokenLifetimePolicy, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: match,
		Variables: []admissionv1.Variable{{
			Name: "max",
			Expression: fmt.Sprintf("has(%[1]s) && '%[2]s' in %[1]s ? duration(%[1]s['%[2]s']) : duration('%[3]s')",
				annotations, MaxTokenLifetimeAnnotation, DefaultMaxTokenLifetime),
		}},
		Validations: []admissionv1.Validation{
			{
				Expression: lifetimeOfToken + " <= variables.max",
				Message:    "the token would outlive what this namespace allows",
				MessageExpression: "'a token of this connection lives at most ' + string(variables.max) + " +
					"': ask for less, or raise the annotation " + MaxTokenLifetimeAnnotation + " of namespace ' + namespaceObject.metadata.name",
			},
			{
				// --service-account-extend-token-expiration turns one hour into a year for these.
				Expression: boundToNoPod,
				Message:    "a token of a connection is bound to no pod: API servers extend the lifetime of those",
			},
		},
	}, nil)
}

// Expressions on a TokenRequest.
const (
	lifetimeOfToken = "has(object.spec.expirationSeconds) && duration(string(object.spec.expirationSeconds) + 's')"
	boundToNoPod    = "(!has(object.spec.boundObjectRef) || !has(object.spec.boundObjectRef.kind) || object.spec.boundObjectRef.kind != 'Pod')"
)

// named is a kind of object and what is done to it.
type named struct {
	group, version, resource string
	operations               []admissionv1.OperationType
}

var (
	onCreate = []admissionv1.OperationType{admissionv1.Create}
	onUpdate = []admissionv1.OperationType{admissionv1.Update}
	onWrite  = []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}
	onChange = []admissionv1.OperationType{admissionv1.Create, admissionv1.Update, admissionv1.Delete}

	tokenRequests = named{"", "v1", "serviceaccounts/token", onCreate}

	forbidden = new(metav1.StatusReasonForbidden)
)

func matching(kinds ...named) *admissionv1.MatchResources {
	match := &admissionv1.MatchResources{}
	for _, k := range kinds {
		match.ResourceRules = append(match.ResourceRules, admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: k.operations,
			Rule:       admissionv1.Rule{APIGroups: []string{k.group}, APIVersions: []string{k.version}, Resources: []string{k.resource}},
		}})
	}
	return match
}

// inNamespace narrows a match by the label that API servers themselves keep on namespaces.
func inNamespace(name string, match *admissionv1.MatchResources) *admissionv1.MatchResources {
	match.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}
	return match
}

// byAccount holds for the requests of an account of Hawser's.
func byAccount(name string) admissionv1.MatchCondition {
	return admissionv1.MatchCondition{Name: name, Expression: "request.userInfo.username == '" + userOf(name) + "'"}
}

// userOf is the user name of an account in v1alpha1.Namespace.
func userOf(account string) string {
	return "system:serviceaccount:" + v1alpha1.Namespace + ":" + account
}

// policy is a ValidatingAdmissionPolicy with the binding of the same name. What it cannot evaluate it denies.
func policy(name string, spec admissionv1.ValidatingAdmissionPolicySpec, params *admissionv1.ParamRef) []client.Object {
	const version = "admissionregistration.k8s.io/v1"
	spec.FailurePolicy = new(admissionv1.Fail)
	return []client.Object{
		&admissionv1.ValidatingAdmissionPolicy{
			TypeMeta:   kind(version, "ValidatingAdmissionPolicy"),
			ObjectMeta: meta("", name, ""),
			Spec:       spec,
		},
		&admissionv1.ValidatingAdmissionPolicyBinding{
			TypeMeta:   kind(version, "ValidatingAdmissionPolicyBinding"),
			ObjectMeta: meta("", name, ""),
			Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName:        name,
				ParamRef:          params,
				ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			},
		},
	}
}
