package member

import (
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	// ControllersServiceAccount is the account of the member controllers, in v1alpha1.Namespace.
	ControllersServiceAccount = "hawser-member"
	// ControllersRole is the name of the roles and bindings of the member controllers.
	ControllersRole = "hawser-member-controllers"

	hawserGroup = "hawser.io"
)

// ControllerOptions say what a remote cluster runs of Hawser itself.
type ControllerOptions struct {
	// Gate adds the rights of the gate.
	Gate bool
	// GrantableRoles are the only ClusterRoles that the member controllers may bind, whoever writes the
	// grant. None: every ClusterRole that the author of a grant may bind.
	GrantableRoles []string
}

// ControllerObjects returns what the member controllers, and the gate where it is asked for, need in
// the cluster that they run in, in the order to apply: namespaces, the policies that bound them and
// those who write grants, and then accounts and rights. They belong to no connection. The
// CustomResourceDefinitions (package config/crd) are not among them.
func ControllerObjects(o ControllerOptions) []client.Object {
	objs := slices.Concat(
		[]client.Object{homeNamespace(), grantsNamespace()},
		grantPolicies(),
		issuerAuthors(),
		controllersPolicy(),
		controllerAccount(),
		controllerRoles(o.GrantableRoles),
		controllerBindings(),
	)
	if o.Gate {
		objs = append(objs, gateObjects()...)
	}
	return objs
}

func grantsNamespace() *corev1.Namespace {
	return &corev1.Namespace{TypeMeta: kind("v1", "Namespace"), ObjectMeta: meta("", v1alpha1.GrantsNamespace, "")}
}

func controllerAccount() []client.Object {
	sa := account(v1alpha1.Namespace, ControllersServiceAccount, "")
	sa.AutomountServiceAccountToken = nil // their pods talk to the API server
	return []client.Object{sa}
}

// controllerRoles are the rights of the member controllers. Approving and binding are theirs alone;
// what they may approve the approver decides, what they may bind the policy ControllersPolicy.
func controllerRoles(grantable []string) []client.Object {
	read, keep := []string{"get", "list", "watch"}, []string{"get", "list", "watch", "create", "update", "delete"}
	return []client.Object{
		&rbacv1.ClusterRole{
			TypeMeta:   kind(rbacVersion, "ClusterRole"),
			ObjectMeta: meta("", ControllersRole, ""),
			Rules: []rbacv1.PolicyRule{
				// Renewals of certificates.
				rule(certificatesGroup, "certificatesigningrequests", read),
				rule(certificatesGroup, "certificatesigningrequests/approval", []string{"update"}),
				rule(certificatesGroup, "signers", []string{"approve"}, certificatesv1.KubeAPIServerClientSignerName),
				// Trusted issuers.
				rule(hawserGroup, "trustedissuers", read),
				rule(hawserGroup, "trustedissuers/status", []string{"patch"}),
				{NonResourceURLs: []string{"/.well-known/openid-configuration", "/openid/v1/jwks"}, Verbs: []string{"get"}}, // what this cluster is as an issuer
				// Grants. Patches are for the finalizer: the policy of grants refuses any other from here.
				rule(hawserGroup, "accessgrants", append(slices.Clone(read), "patch")),
				rule(hawserGroup, "accessgrants/status", []string{"patch"}),
				rule("events.k8s.io", "events", []string{"create", "patch"}), // those on cluster-scoped kinds go to namespace default
				rule("", "namespaces", read),
				rule("", "serviceaccounts", read, v1alpha1.MemberServiceAccount), // whether a connection was cut off
				rule(rbacv1.GroupName, "clusterroles", read),
				rule(rbacv1.GroupName, "clusterroles", []string{"bind"}, grantable...),
				{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings", "clusterrolebindings"}, Verbs: keep},
				// Whether those who write grants are bounded is looked at before anything is bound.
				rule("admissionregistration.k8s.io", "validatingadmissionpolicies", []string{"get"}, GrantAuthorsPolicy),
				rule("admissionregistration.k8s.io", "validatingadmissionpolicybindings", []string{"get"}, GrantAuthorsPolicy),
			},
		},
		&rbacv1.Role{
			TypeMeta:   kind(rbacVersion, "Role"),
			ObjectMeta: meta(v1alpha1.Namespace, ControllersRole, ""),
			Rules: []rbacv1.PolicyRule{
				rule(coordinationGroup, "leases", []string{"create"}), // RBAC cannot narrow a creation by name
				rule(coordinationGroup, "leases", []string{"get", "update"}, v1alpha1.MemberControllersLease),
				{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
				// A token of their own with another audience shows which audiences the API server accepts.
				rule("", "serviceaccounts/token", []string{"create"}, ControllersServiceAccount),
			},
		},
		&rbacv1.Role{
			TypeMeta:   kind(rbacVersion, "Role"),
			ObjectMeta: meta(v1alpha1.GrantsNamespace, ControllersRole, ""),
			Rules: []rbacv1.PolicyRule{
				rule("", "serviceaccounts", keep),
				// They let others mint tokens there without being able to do it themselves, hence escalate.
				rule(rbacv1.GroupName, "roles", append(slices.Clone(keep), "bind", "escalate")),
			},
		},
	}
}

func controllerBindings() []client.Object {
	subject := serviceAccount(v1alpha1.Namespace, ControllersServiceAccount)
	return []client.Object{
		bindClusterRole(ControllersRole, subject),
		bindRole(v1alpha1.Namespace, ControllersRole, subject),
		bindRole(v1alpha1.GrantsNamespace, ControllersRole, subject),
	}
}

func serviceAccount(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// bindClusterRole gives a ClusterRole to a subject by a binding of the same name.
func bindClusterRole(name string, subject rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   kind(rbacVersion, "ClusterRoleBinding"),
		ObjectMeta: meta("", name, ""),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{subject},
	}
}

// bindRole gives a Role to a subject by a binding of the same name.
func bindRole(namespace, name string, subject rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta:   kind(rbacVersion, "RoleBinding"),
		ObjectMeta: meta(namespace, name, ""),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{subject},
	}
}
