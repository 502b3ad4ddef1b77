package member

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Objects returns what the member side consists of, in the order to apply. The options must be valid.
//
// Objects with the label v1alpha1.LocalClusterLabel belong to one connection; the others are shared
// by all connections into the remote cluster, and are the same for each of them.
func Objects(o Options) []client.Object {
	o = o.withDefaults()
	objs := slices.Concat(
		[]client.Object{homeNamespace(), ownNamespace(o)},
		lifetimePolicy(),
	)
	if o.Identity == ServiceAccount {
		objs = append(objs, account(v1alpha1.MemberNamespace(o.Local), v1alpha1.MemberServiceAccount, o.Local))
	}
	roles, bindings := rbac(o)
	objs = slices.Concat(objs, roles, bindings)
	if o.Controllers {
		own := ControllerObjects(ControllerOptions{Gate: o.Gate, GrantableRoles: o.GrantableRoles})
		objs = append(objs, own[1:]...) // the first is the shared namespace again
	}
	return objs
}

// Obsolete returns, by name only, what an earlier install for the same local cluster may have left
// that Objects(o) no longer has: delete it, so that narrower options narrow the rights.
func Obsolete(o Options) []client.Object {
	wanted := map[string]bool{}
	for _, obj := range Objects(o) {
		wanted[key(obj)] = true
	}
	candidates := []client.Object{
		clusterRoleBinding(partEndpoints, o.Local),
		clusterRoleBinding(partRequires, o.Local),
		clusterRole(partRequires, o.Local),
		clusterRoleBinding(partSelf, o.Local),
		clusterRole(partSelf, o.Local),
		binding(partSelf, own, o.Local),
		role(partSelf, own, o.Local),
		account(v1alpha1.MemberNamespace(o.Local), v1alpha1.MemberServiceAccount, o.Local),
	}
	return slices.DeleteFunc(candidates, func(obj client.Object) bool { return wanted[key(obj)] })
}

func key(obj client.Object) string {
	return obj.GetObjectKind().GroupVersionKind().Kind + "/" + obj.GetNamespace() + "/" + obj.GetName()
}

// SetOwner makes the connection's namespace, whose UID the installer has read, the owner of everything
// of the connection that lies outside of it. When the namespace goes, the garbage collector removes the
// rest, also the one role that a connection cannot remove by its own right.
//
// The UID must be that of the namespace as it is now and not terminating: an owner that does not
// exist gets its dependents collected.
func SetOwner(objs []client.Object, namespaceUID types.UID) {
	for _, obj := range objs {
		local, belongs := obj.GetLabels()[v1alpha1.LocalClusterLabel]
		ns := v1alpha1.MemberNamespace(local)
		if _, isNamespace := obj.(*corev1.Namespace); !belongs || isNamespace || obj.GetNamespace() == ns {
			continue
		}
		obj.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: ns, UID: namespaceUID}})
	}
}

// rbac makes roles and bindings from the table: one role and one binding for each part and scope.
func rbac(o Options) (roles, bindings []client.Object) {
	type place struct {
		part  part
		scope scope
	}
	rules := map[place][]rbacv1.PolicyRule{}
	var places []place
	for _, r := range table(o.Local, o.Capabilities, o.Requires, o.Identity) {
		at := place{r.part, r.scope}
		if _, seen := rules[at]; !seen {
			places = append(places, at)
		}
		rules[at] = append(rules[at], r.rule)
	}
	for _, at := range places {
		subjects := subjects(o, at.part)
		if at.scope == everywhere {
			r, b := clusterRole(at.part, o.Local), clusterRoleBinding(at.part, o.Local)
			r.Rules, b.Subjects = rules[at], subjects
			roles, bindings = append(roles, r), append(bindings, b)
			continue
		}
		r, b := role(at.part, at.scope, o.Local), binding(at.part, at.scope, o.Local)
		r.Rules, b.Subjects = rules[at], subjects
		roles, bindings = append(roles, r), append(bindings, b)
	}
	return roles, bindings
}

// subjects are those who get a part of the table.
func subjects(o Options, p part) []rbacv1.Subject {
	var list []rbacv1.Subject
	switch o.Identity {
	case ServiceAccount:
		list = append(list, rbacv1.Subject{
			Kind:      rbacv1.ServiceAccountKind,
			Namespace: v1alpha1.MemberNamespace(o.Local),
			Name:      v1alpha1.MemberServiceAccount,
		})
	case Certificate, RenewedCertificate:
		list = append(list, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: v1alpha1.MemberUser(o.Local)})
	}
	if p == partSelf {
		return list
	}
	for _, name := range o.Users {
		list = append(list, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name})
	}
	for _, name := range o.Groups {
		list = append(list, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name})
	}
	return list
}

func homeNamespace() *corev1.Namespace {
	return &corev1.Namespace{TypeMeta: kind("v1", "Namespace"), ObjectMeta: meta("", v1alpha1.Namespace, "")}
}

func ownNamespace(o Options) *corev1.Namespace {
	ns := &corev1.Namespace{
		TypeMeta:   kind("v1", "Namespace"),
		ObjectMeta: meta("", v1alpha1.MemberNamespace(o.Local), o.Local),
	}
	ns.Annotations = map[string]string{MaxTokenLifetimeAnnotation: o.MaxTokenLifetime.String()}
	if o.Version != "" {
		ns.Annotations[v1alpha1.VersionAnnotation] = o.Version
	}
	return ns
}

// account makes a service account whose token no pod gets by itself.
func account(namespace, name, local string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:                     kind("v1", "ServiceAccount"),
		ObjectMeta:                   meta(namespace, name, local),
		AutomountServiceAccountToken: new(false),
	}
}

func clusterRole(p part, local string) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{TypeMeta: kind(rbacVersion, "ClusterRole"), ObjectMeta: roleMeta(p, "", local)}
}

func role(p part, s scope, local string) *rbacv1.Role {
	return &rbacv1.Role{TypeMeta: kind(rbacVersion, "Role"), ObjectMeta: roleMeta(p, namespaceOf(s, local), local)}
}

func clusterRoleBinding(p part, local string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   kind(rbacVersion, "ClusterRoleBinding"),
		ObjectMeta: meta("", boundName(p, local), local),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: roleName(p, local)},
	}
}

func binding(p part, s scope, local string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta:   kind(rbacVersion, "RoleBinding"),
		ObjectMeta: meta(namespaceOf(s, local), boundName(p, local), local),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: roleName(p, local)},
	}
}

func namespaceOf(s scope, local string) string {
	switch s {
	case home:
		return v1alpha1.Namespace
	case own:
		return v1alpha1.MemberNamespace(local)
	case grants:
		return v1alpha1.GrantsNamespace
	default:
		return ""
	}
}

const rbacVersion = "rbac.authorization.k8s.io/v1"

func kind(apiVersion, name string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: apiVersion, Kind: name}
}

// meta labels an object as Hawser's, and as that of one connection where local is given.
func meta(namespace, name, local string) metav1.ObjectMeta {
	labels := maps.Clone(managed)
	if local != "" {
		labels[v1alpha1.LocalClusterLabel] = local
	}
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}
}

var managed = map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy}

// roleMeta leaves roles that all connections share without an owner.
func roleMeta(p part, namespace, local string) metav1.ObjectMeta {
	shared := roleName(p, local) != boundName(p, local) && namespace != v1alpha1.MemberNamespace(local)
	if shared {
		local = ""
	}
	return meta(namespace, roleName(p, local), local)
}
