package grant

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// connection is a local cluster with the user that its connection is known by, where one is named.
type connection struct{ local, user string }

// mints says which connection may mint tokens of which accounts, in the order of the grant.
type mints []struct {
	by       connection
	accounts []string
}

func (m *mints) add(s v1alpha1.GrantLocalCluster, account string) {
	by := connection{s.Name, s.User}
	for i := range *m {
		if entry := &(*m)[i]; entry.by == by {
			if !slices.Contains(entry.accounts, account) {
				entry.accounts = append(entry.accounts, account)
			}
			return
		}
	}
	*m = append(*m, struct {
		by       connection
		accounts []string
	}{by, []string{account}})
}

// objects are a Role and its binding for each connection: the right to mint tokens for its accounts, by name.
func (m mints) objects(g *v1alpha1.AccessGrant, w World) []client.Object {
	var objs []client.Object
	for _, entry := range m {
		meta := objectMeta(g, v1alpha1.GrantsNamespace, bindingName(g, "mint", entry.by.local, entry.by.user))
		objs = append(objs, &rbacv1.Role{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacVersion, Kind: "Role"},
			ObjectMeta: meta,
			Rules: []rbacv1.PolicyRule{{
				APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}, ResourceNames: entry.accounts,
			}},
		}, &rbacv1.RoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacVersion, Kind: "RoleBinding"},
			ObjectMeta: *meta.DeepCopy(),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects:   entry.by.subjects(w),
		})
	}
	return objs
}

// subjects are whom the API server may know a connection as. Each is that of this connection alone.
func (c connection) subjects(w World) []rbacv1.Subject {
	subjects := []rbacv1.Subject{accountSubject(v1alpha1.MemberNamespace(c.local), v1alpha1.MemberServiceAccount)}
	if w.Connections[c.local].Certificate {
		subjects = append(subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: v1alpha1.MemberUser(c.local)})
	}
	if c.user != "" && c.user != v1alpha1.MemberUser(c.local) {
		subjects = append(subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: c.user})
	}
	return subjects
}
