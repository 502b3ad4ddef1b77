package grant

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Changes lead from what there is of a grant to what is wanted. What narrows comes first.
type Changes struct {
	// Delete are objects as they are, bindings before accounts.
	Delete []client.Object
	// Update are objects as they are, with what was wrong put right.
	Update []client.Object
	// Create are objects that are missing, or were deleted because nothing else puts them right.
	Create []client.Object
}

// Empty reports whether there is nothing to do.
func (c Changes) Empty() bool { return len(c.Delete)+len(c.Update)+len(c.Create) == 0 }

// Ours reports whether an object was made for the grant of the given name.
func Ours(obj client.Object, grant string) bool {
	labels := obj.GetLabels()
	return labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy && labels[v1alpha1.GrantLabel] == grant
}

// ChangesTo compares. Of what there is, only objects that are Ours may be given; they are not modified.
func ChangesTo(wanted, there []client.Object) Changes {
	var c Changes
	left := map[string]client.Object{}
	for _, obj := range there {
		left[key(obj)] = obj
	}
	for _, want := range wanted {
		have, ok := left[key(want)]
		delete(left, key(want))
		switch {
		case !ok:
			c.Create = append(c.Create, want)
		case have.GetDeletionTimestamp() != nil: // its end comes as an event
		case replaced(have, want):
			c.Delete, c.Create = append(c.Delete, have), append(c.Create, want)
		default:
			if now := mended(have, want); now != nil {
				c.Update = append(c.Update, now)
			}
		}
	}
	for _, obj := range left {
		if obj.GetDeletionTimestamp() == nil {
			c.Delete = append(c.Delete, obj)
		}
	}
	slices.SortFunc(c.Delete, func(a, b client.Object) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return compare(key(a), key(b))
	})
	return c
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// rank orders deletions: rights go at once, while API servers remember a token of a deleted account for a while.
func rank(obj client.Object) int {
	switch obj.(type) {
	case *rbacv1.ClusterRoleBinding, *rbacv1.RoleBinding:
		return 0
	case *rbacv1.Role:
		return 1
	default:
		return 2
	}
}

// replaced reports what no update puts right: the role of a binding never changes, and the tokens of an
// account live as long as it does.
func replaced(have, want client.Object) bool {
	switch want := want.(type) {
	case *rbacv1.ClusterRoleBinding:
		return have.(*rbacv1.ClusterRoleBinding).RoleRef != want.RoleRef
	case *rbacv1.RoleBinding:
		return have.(*rbacv1.RoleBinding).RoleRef != want.RoleRef
	case *corev1.ServiceAccount:
		return have.GetAnnotations()[OriginAnnotation] != want.Annotations[OriginAnnotation]
	}
	return false
}

// mended is a copy of what there is, put right; nil where nothing is wrong. Labels and annotations of
// others are left alone.
func mended(have, want client.Object) client.Object {
	now := have.DeepCopyObject().(client.Object)
	labels := maps.Clone(have.GetLabels())
	maps.Copy(labels, want.GetLabels())
	now.SetLabels(labels)
	now.SetOwnerReferences(want.GetOwnerReferences()) // another owner would keep it beyond the end of the grant
	switch now := now.(type) {
	case *rbacv1.ClusterRoleBinding:
		now.Subjects = mendedSubjects(now.Subjects, want.(*rbacv1.ClusterRoleBinding).Subjects)
	case *rbacv1.RoleBinding:
		now.Subjects = mendedSubjects(now.Subjects, want.(*rbacv1.RoleBinding).Subjects)
	case *rbacv1.Role:
		now.Rules = want.(*rbacv1.Role).Rules
	case *corev1.ServiceAccount:
		now.AutomountServiceAccountToken = want.(*corev1.ServiceAccount).AutomountServiceAccountToken
	}
	if equality.Semantic.DeepEqual(have, now) {
		return nil
	}
	return now
}

// mendedSubjects keeps the order of those that are right as they are.
func mendedSubjects(have, want []rbacv1.Subject) []rbacv1.Subject {
	if len(have) == len(want) && !slices.ContainsFunc(want, func(s rbacv1.Subject) bool { return !slices.Contains(have, s) }) {
		return have
	}
	return want
}

func key(obj client.Object) string {
	kind := "ServiceAccount"
	switch obj.(type) {
	case *rbacv1.ClusterRoleBinding:
		kind = "ClusterRoleBinding"
	case *rbacv1.RoleBinding:
		kind = "RoleBinding"
	case *rbacv1.Role:
		kind = "Role"
	}
	return kind + "/" + obj.GetNamespace() + "/" + obj.GetName()
}
