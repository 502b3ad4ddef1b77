package member

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// IssuerAuthorsPolicy is the name of the ValidatingAdmissionPolicy, and of its binding, that lets nobody say whose
// tokens are believed who could not mint tokens of the granted accounts anyway.
const IssuerAuthorsPolicy = "hawser-issuer-authors"

// issuerAuthors asks of whoever writes a TrustedIssuer, or the keys in its status, the right to mint tokens in
// v1alpha1.GrantsNamespace: by keys of their own they get the tokens of every account that is granted to the issuer.
// The member controllers write the status without it, and the gate, which mints, is bounded by GatePolicy. What leaves
// the spec as it is (labels, finalizers) is anybody's who may update a TrustedIssuer.
func issuerAuthors() []client.Object {
	const (
		status = "request.?subResource.orValue('') == 'status'"
		mints  = "authorizer.group('').resource('serviceaccounts').subresource('token').namespace('" + v1alpha1.GrantsNamespace + "').check('create').allowed()"
		needs  = "' needs the right to create serviceaccounts/token in namespace " + v1alpha1.GrantsNamespace + ": by keys of their own they would have it'"
	)
	return policy(IssuerAuthorsPolicy, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: matching(
			named{hawserGroup, "v1alpha1", "trustedissuers", onWrite},
			named{hawserGroup, "v1alpha1", "trustedissuers/status", onUpdate},
		),
		MatchConditions: []admissionv1.MatchCondition{
			{
				Name:       "another-spec-or-status",
				Expression: status + " || request.operation == 'CREATE' || object.spec != oldObject.spec",
			},
			{
				Name:       "not-the-controllers-status",
				Expression: fmt.Sprintf("!(%s) || request.userInfo.username != '%s'", status, userOf(ControllersServiceAccount)),
			},
		},
		Validations: []admissionv1.Validation{{
			Expression:        mints,
			Message:           "whoever says whose tokens are believed needs the right to create serviceaccounts/token in namespace " + v1alpha1.GrantsNamespace,
			MessageExpression: "'to say whose tokens are believed, ' + request.userInfo.username + " + needs,
			Reason:            forbidden,
		}},
	}, nil)
}
