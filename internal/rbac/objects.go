package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const version = "rbac.authorization.k8s.io/v1"

// Objects returns the roles of a feature and their bindings, in the order to apply, without its namespaces and accounts.
func (f Feature) Objects() []client.Object {
	var objs []client.Object
	for _, r := range f.Roles {
		objs = append(objs, r.role())
		if r.Bound {
			objs = append(objs, r.binding(f.account()))
		}
	}
	return objs
}

func (r Role) kind() string {
	if r.Namespace == "" {
		return "ClusterRole"
	}
	return "Role"
}

func (r Role) role() client.Object {
	var rules []rbacv1.PolicyRule
	for _, rule := range r.Rules {
		rules = append(rules, rule.PolicyRule)
	}
	kind, meta := metav1.TypeMeta{APIVersion: version, Kind: r.kind()}, metav1.ObjectMeta{Name: r.Name, Namespace: r.Namespace}
	if r.Namespace == "" {
		return &rbacv1.ClusterRole{TypeMeta: kind, ObjectMeta: meta, Rules: rules}
	}
	return &rbacv1.Role{TypeMeta: kind, ObjectMeta: meta, Rules: rules}
}

// account is the one that the roles are bound to.
func (f Feature) account() string {
	if f.Of != "" {
		return f.Of
	}
	return Account
}

func (r Role) binding(account string) client.Object {
	kind, meta := metav1.TypeMeta{APIVersion: version, Kind: r.kind() + "Binding"}, metav1.ObjectMeta{Name: r.Name, Namespace: r.Namespace}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: r.kind(), Name: r.Name}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: v1alpha1.Namespace, Name: account}}
	if r.Namespace == "" {
		return &rbacv1.ClusterRoleBinding{TypeMeta: kind, ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
	}
	return &rbacv1.RoleBinding{TypeMeta: kind, ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
}
