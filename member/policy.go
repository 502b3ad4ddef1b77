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
	policy := &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
		ObjectMeta: meta("", TokenLifetimePolicy, ""),
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: new(admissionv1.Fail),
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: v1alpha1.LocalClusterLabel, Operator: metav1.LabelSelectorOpExists},
				}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule: admissionv1.Rule{
						APIGroups:   []string{""},
						APIVersions: []string{"v1"},
						Resources:   []string{"serviceaccounts/token"},
					},
				}}},
			},
			Variables: []admissionv1.Variable{{
				Name: "max",
				Expression: fmt.Sprintf("has(%[1]s) && '%[2]s' in %[1]s ? duration(%[1]s['%[2]s']) : duration('%[3]s')",
					annotations, MaxTokenLifetimeAnnotation, DefaultMaxTokenLifetime),
			}},
			Validations: []admissionv1.Validation{
				{
					Expression: "has(object.spec.expirationSeconds) && duration(string(object.spec.expirationSeconds) + 's') <= variables.max",
					Message:    "the token would outlive what this namespace allows",
					MessageExpression: "'a token of this connection lives at most ' + string(variables.max) + " +
						"': ask for less, or raise the annotation " + MaxTokenLifetimeAnnotation + " of namespace ' + namespaceObject.metadata.name",
				},
				{
					// --service-account-extend-token-expiration turns one hour into a year for these.
					Expression: "!has(object.spec.boundObjectRef) || !has(object.spec.boundObjectRef.kind) || object.spec.boundObjectRef.kind != 'Pod'",
					Message:    "a token of a connection is bound to no pod: API servers extend the lifetime of those",
				},
			},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
		ObjectMeta: meta("", TokenLifetimePolicy, ""),
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        TokenLifetimePolicy,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	return []client.Object{policy, binding}
}
