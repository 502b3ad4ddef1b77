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
		approvalsPolicy(),
		controllerAccount(),
		runnerRoles(ControllersRole, controllerRights(o.GrantableRoles)),
		runnerBindings(ControllersRole, ControllersServiceAccount, controllerRights(o.GrantableRoles)),
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

// controllerRights are the rights of the member controllers. Approving and binding are theirs alone;
// whose requests they may approve the policy ApprovalsPolicy and which of these the approver decides, what they may
// bind the policy ControllersPolicy.
func controllerRights(grantable []string) []right {
	follow, keep := []string{"list", "watch"}, []string{"get", "list", "watch", "create", "update", "delete"}
	return rightsOf(partControllers,
		right{
			rule: rule(certificatesGroup, "certificatesigningrequests", follow),
			why:  "renewals of certificates: the requests of connections",
		},
		right{
			rule: rule(certificatesGroup, "certificatesigningrequests/approval", []string{"update"}),
			why:  "renewals of certificates: to approve those that a connection may have",
		},
		right{
			rule: rule(certificatesGroup, "signers", []string{"approve"}, certificatesv1.KubeAPIServerClientSignerName),
			why:  "renewals of certificates: Kubernetes asks it of whoever approves for this signer",
		},
		right{
			rule: rule(hawserGroup, "trustedissuers", follow),
			why:  "whose tokens are believed",
		},
		right{
			rule: rule(hawserGroup, "trustedissuers/status", []string{"patch"}),
			why:  "the keys of issuers, and what is wrong with them",
		},
		right{
			rule: rbacv1.PolicyRule{NonResourceURLs: []string{"/.well-known/openid-configuration", "/openid/v1/jwks"}, Verbs: []string{"get"}},
			why:  "what this cluster is as an issuer, so that none is believed that could be taken for it",
		},
		right{
			rule: rule(hawserGroup, "accessgrants", []string{"get", "list", "watch", "patch"}),
			why:  "grants; patches take off the finalizer of earlier versions, and the policy of grants refuses any other from here",
		},
		right{
			rule: rule(hawserGroup, "accessgrants/status", []string{"patch"}),
			why:  "what came of a grant, and the accounts that it made",
		},
		right{
			rule: rule("events.k8s.io", "events", []string{"create", "patch"}),
			why:  "events on cluster-scoped kinds, which go to namespace default",
		},
		right{
			rule: rule("", "namespaces", []string{"get", "list", "watch"}),
			why:  "the namespaces that a grant selects by label, and the id of this cluster (kube-system)",
		},
		right{
			rule: rule("", "serviceaccounts", follow, v1alpha1.MemberServiceAccount),
			why:  "whether a connection was cut off",
		},
		right{
			rule: rule(rbacv1.GroupName, "clusterroles", follow),
			why:  "whether the roles of a grant exist",
		},
		right{
			rule: rule(rbacv1.GroupName, "clusterroles", []string{"bind"}, grantable...),
			why:  "to bind the roles of grants, those that GrantableRoles allows; a policy asks the same right of whoever writes a grant",
		},
		right{
			rule: rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings", "clusterrolebindings"}, Verbs: keep},
			why:  "the bindings of grants; a policy keeps them to those that bear a grant's label and name",
		},
		right{
			rule: rule("admissionregistration.k8s.io", "validatingadmissionpolicies", []string{"get"}, GrantAuthorsPolicy, IssuerAuthorsPolicy),
			why:  "whether those who write grants and trusted issuers are bounded is looked at before anything comes of them",
		},
		right{
			rule: rule("admissionregistration.k8s.io", "validatingadmissionpolicybindings", []string{"get"}, GrantAuthorsPolicy, IssuerAuthorsPolicy),
			why:  "whether these policies are in force",
		},
		right{
			scope: home, rule: rule(coordinationGroup, "leases", []string{"create"}),
			why: "leader election. RBAC cannot narrow a creation by name",
		},
		right{
			scope: home, rule: rule(coordinationGroup, "leases", []string{"get", "update"}, v1alpha1.MemberControllersLease),
			why: "leader election, and the sign that they run",
		},
		right{
			scope: home, rule: rule("", "events", []string{"create"}),
			why: "events on the Lease, which leader election still writes in the old group",
		},
		right{
			scope: home, rule: rule("", "serviceaccounts/token", []string{"create"}, ControllersServiceAccount),
			why: "a token of their own with another audience shows which audiences the API server accepts",
		},
		right{
			scope: grants, rule: rule("", "serviceaccounts", keep),
			why: "the accounts that grants make",
		},
		right{
			scope: grants, rule: rule(rbacv1.GroupName, "roles", append(slices.Clone(keep), "bind", "escalate")),
			why: "the Roles by which connections mint tokens of a grant's accounts: given away without being held, hence escalate; a policy refuses any other Role",
		},
	)
}

// rightsOf makes rights belong to a part.
func rightsOf(p part, rights ...right) []right {
	for i := range rights {
		rights[i].part = p
	}
	return rights
}

// runnerRoles makes the roles of something that runs in the remote cluster: one for each scope.
func runnerRoles(name string, rights []right) []client.Object {
	var objs []client.Object
	for _, s := range scopesOf(rights) {
		var rules []rbacv1.PolicyRule
		for _, r := range rights {
			if r.scope == s {
				rules = append(rules, r.rule)
			}
		}
		if s == everywhere {
			objs = append(objs, &rbacv1.ClusterRole{TypeMeta: kind(rbacVersion, "ClusterRole"), ObjectMeta: meta("", name, ""), Rules: rules})
			continue
		}
		objs = append(objs, &rbacv1.Role{TypeMeta: kind(rbacVersion, "Role"), ObjectMeta: meta(namespaceOf(s, ""), name, ""), Rules: rules})
	}
	return objs
}

// runnerBindings give these roles to an account of v1alpha1.Namespace.
func runnerBindings(name, account string, rights []right) []client.Object {
	subject := serviceAccount(v1alpha1.Namespace, account)
	var objs []client.Object
	for _, s := range scopesOf(rights) {
		if s == everywhere {
			objs = append(objs, bindClusterRole(name, subject))
			continue
		}
		objs = append(objs, bindRole(namespaceOf(s, ""), name, subject))
	}
	return objs
}

// scopesOf lists the scopes of rights, in the order in which they are first met.
func scopesOf(rights []right) []scope {
	var scopes []scope
	for _, r := range rights {
		if !slices.Contains(scopes, r.scope) {
			scopes = append(scopes, r.scope)
		}
	}
	return scopes
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
