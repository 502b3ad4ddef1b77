package member

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Names of ValidatingAdmissionPolicies and of their bindings.
const (
	// GrantAuthorsPolicy lets nobody give away more than they have.
	GrantAuthorsPolicy = "hawser-grant-authors"
	// GrantAccountsPolicy keeps v1alpha1.GrantsNamespace to the accounts of grants.
	GrantAccountsPolicy = "hawser-grant-accounts"
	// GrantTokensPolicy caps the tokens of these accounts, each by its grant.
	GrantTokensPolicy = "hawser-grant-tokens"
)

// maxGrantRoles is how many ClusterRoles an AccessGrant may name.
const maxGrantRoles = 8

// grantPolicies bound who writes grants, and what may happen in the namespace of their accounts.
func grantPolicies() []client.Object {
	objs := grantAuthors()
	objs = append(objs, grantAccounts()...)
	return append(objs, grantTokens()...)
}

// grantAuthors asks of whoever writes a grant the verb bind on each of its roles, in the whole cluster:
// the member controllers, who bind them, would otherwise do it on everybody's behalf. Each role has a
// validation of its own because asking the authorizer costs more than a third of what an expression may.
// What leaves the spec as it is (finalizers, labels) is anybody's who may update a grant.
func grantAuthors() []client.Object {
	validations := []admissionv1.Validation{{
		Expression: "request.userInfo.username != '" + userOf(ControllersServiceAccount) + "'",
		Message:    "the member controllers carry out grants, and write none",
		Reason:     forbidden,
	}, {
		Expression: fmt.Sprintf("size(object.spec.clusterRoles) <= %d", maxGrantRoles),
		Message:    fmt.Sprintf("a grant names at most %d ClusterRoles", maxGrantRoles),
	}}
	for i := range maxGrantRoles {
		role := fmt.Sprintf("object.spec.clusterRoles[%d]", i)
		validations = append(validations, admissionv1.Validation{
			Expression: fmt.Sprintf("size(object.spec.clusterRoles) <= %d || authorizer.group('%s').resource('clusterroles').name(%s).check('bind').allowed()",
				i, rbacv1.GroupName, role),
			Message:           "whoever writes a grant needs the verb bind on each of its ClusterRoles",
			MessageExpression: fmt.Sprintf("'to grant ClusterRole ' + %s + ', ' + request.userInfo.username + ' needs the verb bind on it, in the whole cluster'", role),
			Reason:            forbidden,
		})
	}
	return policy(GrantAuthorsPolicy, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: matching(named{hawserGroup, "v1alpha1", "accessgrants", onWrite}),
		MatchConditions: []admissionv1.MatchCondition{{
			Name:       "another-spec",
			Expression: "request.operation == 'CREATE' || object.spec != oldObject.spec",
		}},
		Validations: validations,
	}, nil)
}

// grantAccounts keeps everything out of v1alpha1.GrantsNamespace by which somebody could become one of
// its accounts unseen: other accounts of theirs, pods, and tokens that lie in Secrets and never end.
func grantAccounts() []client.Object {
	match := matching(
		tokenRequests,
		named{"", "v1", "serviceaccounts", onCreate},
		named{"", "v1", "pods", onCreate},
		named{"", "v1", "secrets", onWrite},
	)
	return policy(GrantAccountsPolicy, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: inNamespace(v1alpha1.GrantsNamespace, match),
		Variables: []admissionv1.Variable{
			{Name: "token", Expression: "request.resource.resource == 'serviceaccounts' && request.?subResource.orValue('') == 'token'"},
			{Name: "account", Expression: "request.resource.resource == 'serviceaccounts' && request.?subResource.orValue('') == ''"},
		},
		Validations: []admissionv1.Validation{
			{
				Expression: "!variables.token || request.name.matches('^[a-z0-9][-a-z0-9]{0,49}-[0-9a-f]{16}$')",
				Message:    "there are tokens only for the accounts that grants make",
				Reason:     forbidden,
			},
			{
				Expression: "!variables.token || " + boundToNoPod,
				Message:    "a token of a grant is bound to no pod: API servers extend the lifetime of those",
			},
			{
				// Every namespace gets its account default from Kubernetes.
				Expression: "!variables.account || object.metadata.name == 'default' || request.userInfo.username == '" + userOf(ControllersServiceAccount) + "'",
				Message:    "accounts in namespace " + v1alpha1.GrantsNamespace + " are made by the member controllers alone: write an AccessGrant",
				Reason:     forbidden,
			},
			{
				Expression: "request.resource.resource != 'pods'",
				Message:    "nothing runs in namespace " + v1alpha1.GrantsNamespace,
				Reason:     forbidden,
			},
			{
				Expression: "request.resource.resource != 'secrets' || !has(object.type) || object.type != 'kubernetes.io/service-account-token'",
				Message:    "tokens of grants end, and so lie in no Secret of namespace " + v1alpha1.GrantsNamespace,
				Reason:     forbidden,
			},
		},
	}, nil)
}

// grantTokens is evaluated once for each grant. The name of an account begins with that of its grant,
// and so all but one are passed over by the match condition.
func grantTokens() []client.Object {
	return policy(GrantTokensPolicy, admissionv1.ValidatingAdmissionPolicySpec{
		ParamKind:        &admissionv1.ParamKind{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AccessGrant"},
		MatchConstraints: inNamespace(v1alpha1.GrantsNamespace, matching(tokenRequests)),
		MatchConditions: []admissionv1.MatchCondition{{
			Name:       "the-grant-of-the-account",
			Expression: "request.name.startsWith(params.metadata.name + '-') && size(request.name) == size(params.metadata.name) + 17",
		}},
		Variables: []admissionv1.Variable{{
			Name:       "max",
			Expression: "has(params.spec.maxLifetime) ? duration(params.spec.maxLifetime) : duration('1h')",
		}},
		Validations: []admissionv1.Validation{
			{
				Expression: "!has(params.metadata.deletionTimestamp) && has(params.status) && has(params.status.accounts) && " +
					"params.status.accounts.exists(a, a.name == request.name)",
				Message:           "the grant does not name this account",
				MessageExpression: "'AccessGrant ' + params.metadata.name + ' does not name this account, or not any more'",
				Reason:            forbidden,
			},
			{
				Expression:        lifetimeOfToken + " <= variables.max",
				Message:           "the token would outlive what its grant allows",
				MessageExpression: "'a token of AccessGrant ' + params.metadata.name + ' lives at most ' + string(variables.max) + ': ask for less, or raise its maxLifetime'",
			},
		},
	}, &admissionv1.ParamRef{Selector: &metav1.LabelSelector{}, ParameterNotFoundAction: new(admissionv1.DenyAction)})
}
