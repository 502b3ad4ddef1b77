package member

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	// ControllersPolicy is the name of the ValidatingAdmissionPolicy, and of its binding, that keeps the
	// member controllers to the bindings and roles that a grant is made of.
	ControllersPolicy = "hawser-member-controllers"
	// GrantPrefix begins the names of the bindings and roles that a grant is made of: what follows is
	// the name of the grant, a dash, and a hash.
	GrantPrefix = "hawser-grant-"
)

// controllersPolicy keeps the account of the member controllers, who may bind every ClusterRole, from
// touching a binding that is not a grant's, from raising Hawser's own accounts, and from making any
// other Role than one by which a connection mints tokens of one grant.
//
// It does not keep whoever holds that account from binding a role to somebody in a grant's name: the
// option GrantableRoles bounds which roles these are.
func controllersPolicy() []client.Object {
	const (
		names = "has(o.metadata.labels) && o.metadata.labels[?'" + v1alpha1.ManagedByLabel + "'].orValue('') == '" + v1alpha1.ManagedBy + "' && " +
			"o.metadata.name.startsWith('" + GrantPrefix + "' + o.metadata.labels[?'" + v1alpha1.GrantLabel + "'].orValue('?') + '-')"
		minting = "variables.minting"
		from    = "'hawser-from-'"
		// A connection's own account, or a user that the author of the grant named. Never Hawser's accounts here.
		mints = "s.kind == 'ServiceAccount' ? s.namespace.startsWith(" + from + ") : " +
			"s.kind == 'User' && !s.name.startsWith('system:serviceaccount:" + v1alpha1.Namespace + ":') && " +
			"(!s.name.startsWith('system:') || s.name.startsWith('system:serviceaccount:'))"
		entitled = "s.kind == 'ServiceAccount' ? s.namespace == '" + v1alpha1.GrantsNamespace + "' : !s.name.startsWith('system:')"
	)
	return policy(ControllersPolicy, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: matching(
			named{rbacv1.GroupName, "v1", "roles", onChange},
			named{rbacv1.GroupName, "v1", "rolebindings", onChange},
			named{rbacv1.GroupName, "v1", "clusterrolebindings", onChange},
		),
		MatchConditions: []admissionv1.MatchCondition{byAccount(ControllersServiceAccount)},
		Variables: []admissionv1.Variable{
			{Name: "place", Expression: "request.?namespace.orValue('')"},
			{Name: "minting", Expression: "variables.place == '" + v1alpha1.GrantsNamespace + "'"},
			{Name: "objects", Expression: "request.operation == 'CREATE' ? [object] : request.operation == 'DELETE' ? [oldObject] : [object, oldObject]"},
			{Name: "binding", Expression: "request.operation != 'DELETE' && request.resource.resource != 'roles'"},
			{Name: "role", Expression: "request.operation != 'DELETE' && request.resource.resource == 'roles'"},
		},
		Validations: []admissionv1.Validation{
			{
				Expression: "variables.objects.all(o, " + names + ")",
				Message:    "the member controllers touch only what carries the label and the name of a grant",
				Reason:     forbidden,
			},
			{
				Expression: "variables.place != '" + v1alpha1.Namespace + "' && !variables.place.startsWith(" + from + ")",
				Message:    "the member controllers give away nothing in Hawser's own namespaces",
				Reason:     forbidden,
			},
			{
				Expression: "!variables.binding || object.roleRef.kind == (" + minting + " ? 'Role' : 'ClusterRole')",
				Message:    "the member controllers bind ClusterRoles, and in namespace " + v1alpha1.GrantsNamespace + " only the Roles of grants",
				Reason:     forbidden,
			},
			{
				Expression: "!variables.binding || !" + minting + " || object.roleRef.name == object.metadata.name",
				Message:    "the member controllers bind, in namespace " + v1alpha1.GrantsNamespace + ", a Role of the same name",
				Reason:     forbidden,
			},
			{
				Expression: "!variables.binding || !has(object.subjects) || object.subjects.all(s, " + minting + " ? (" + mints + ") : (" + entitled + "))",
				Message:    "the member controllers bind roles to the accounts of grants and to users and groups, and neither to other accounts nor to those of Kubernetes",
				Reason:     forbidden,
			},
			{
				Expression: "!variables.role || (" + minting + " && has(object.rules) && object.rules.all(r, " +
					"r.apiGroups == [''] && r.resources == ['serviceaccounts/token'] && r.verbs == ['create'] && has(r.resourceNames) && size(r.resourceNames) > 0 && " +
					"r.resourceNames.all(n, n.startsWith(object.metadata.labels[?'" + v1alpha1.GrantLabel + "'].orValue('?') + '-'))))",
				Message: "the member controllers make only Roles to mint tokens of one grant's accounts, by name",
				Reason:  forbidden,
			},
		},
	}, nil)
}
