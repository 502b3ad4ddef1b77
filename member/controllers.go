package member

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	// ControllersServiceAccount is the account of the member controllers, in v1alpha1.Namespace.
	ControllersServiceAccount = "hawser-member"
	// ControllersRole is the name of the roles and bindings of the member controllers.
	ControllersRole = "hawser-member-controllers"
)

// controllerObjects are the rights of the member controllers. They run in the remote cluster and
// belong to no connection; approving is theirs alone.
func controllerObjects() []client.Object {
	subject := []rbacv1.Subject{{
		Kind:      rbacv1.ServiceAccountKind,
		Namespace: v1alpha1.Namespace,
		Name:      ControllersServiceAccount,
	}}
	sa := account(v1alpha1.Namespace, ControllersServiceAccount, "")
	sa.AutomountServiceAccountToken = nil // their pods talk to the API server
	return []client.Object{
		sa,
		&rbacv1.ClusterRole{
			TypeMeta:   kind(rbacVersion, "ClusterRole"),
			ObjectMeta: meta("", ControllersRole, ""),
			Rules: []rbacv1.PolicyRule{
				rule(certificatesGroup, "certificatesigningrequests", []string{"get", "list", "watch"}),
				rule(certificatesGroup, "certificatesigningrequests/approval", []string{"update"}),
				rule(certificatesGroup, "signers", []string{"approve"}, certificatesv1.KubeAPIServerClientSignerName),
			},
		},
		&rbacv1.Role{
			TypeMeta:   kind(rbacVersion, "Role"),
			ObjectMeta: meta(v1alpha1.Namespace, ControllersRole, ""),
			Rules: []rbacv1.PolicyRule{
				rule(coordinationGroup, "leases", []string{"create"}), // RBAC cannot narrow a creation by name
				rule(coordinationGroup, "leases", []string{"get", "update"}, v1alpha1.MemberControllersLease),
				{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
			},
		},
		&rbacv1.ClusterRoleBinding{
			TypeMeta:   kind(rbacVersion, "ClusterRoleBinding"),
			ObjectMeta: meta("", ControllersRole, ""),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: ControllersRole},
			Subjects:   subject,
		},
		&rbacv1.RoleBinding{
			TypeMeta:   kind(rbacVersion, "RoleBinding"),
			ObjectMeta: meta(v1alpha1.Namespace, ControllersRole, ""),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: ControllersRole},
			Subjects:   subject,
		},
	}
}
