package member_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// labelled is what the member controllers put on what they make for a grant.
func labelled(namespace, name, grant string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{
		v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.GrantLabel: grant,
	}}
}

func clusterBinding(name, grant, role string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: labelled("", name, grant),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects,
	}
}

func namespacedBinding(namespace, name, grant, kind, role string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: labelled(namespace, name, grant),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   subjects,
	}
}

func subject(kind, namespace, name string) rbacv1.Subject {
	s := rbacv1.Subject{Kind: kind, Namespace: namespace, Name: name}
	if kind != rbacv1.ServiceAccountKind {
		s.APIGroup = rbacv1.GroupName
	}
	return s
}

// TestControllersKeepToGrants tries, as the account that may bind every role, what no grant is made of.
func TestControllersKeepToGrants(t *testing.T) {
	ctx := t.Context()
	f := newFederation(t)
	const ns, user, group, sa = v1alpha1.GrantsNamespace, rbacv1.UserKind, rbacv1.GroupKind, rbacv1.ServiceAccountKind
	account, ann := subject(sa, ns, "g-0123456789abcdef"), subject(user, "", "ann")
	mintRole := func(name string, rule rbacv1.PolicyRule) *rbacv1.Role {
		return &rbacv1.Role{ObjectMeta: labelled(ns, name, "g"), Rules: []rbacv1.PolicyRule{rule}}
	}
	minting := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}, ResourceNames: []string{"g-0123456789abcdef"}}
	changed := func(change func(*rbacv1.PolicyRule)) rbacv1.PolicyRule {
		r := *minting.DeepCopy()
		change(&r)
		return r
	}
	connection := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MemberNamespace("member-z")}}
	if err := f.admin.Create(ctx, connection); err != nil {
		t.Fatal(err)
	}
	unlabelled := clusterBinding("hawser-grant-g-1", "g", "view", ann)
	unlabelled.Labels = nil
	const shape, own, kinds, who, rule = "name of a grant", "own namespaces", "only the Roles of grants", "neither to other accounts", "by name"
	tests := []struct {
		name string
		obj  client.Object
		want string // a part of the refusal; empty: it is let through
	}{
		{"a role for an account, in a namespace", namespacedBinding("default", "hawser-grant-g-1", "g", "ClusterRole", "view", account), ""},
		{"a role for users and groups, in the whole cluster", clusterBinding("hawser-grant-g-1", "g", "edit", ann, subject(group, "", "team"), subject(user, "", "b:system:serviceaccount:x:y")), ""},
		{"the right to mint", mintRole("hawser-grant-g-1", minting), ""},
		{"the right to mint, for a connection", namespacedBinding(ns, "hawser-grant-g-1", "g", "Role", "hawser-grant-g-1",
			subject(sa, "hawser-from-c", "hawser"), subject(user, "", "hawser:from:c"), subject(user, "", "system:serviceaccount:hawser-grants:g-0123456789abcdef")), ""},

		{"no label", unlabelled, shape},
		{"the name of another grant", clusterBinding("hawser-grant-other-1", "g", "view", ann), shape},
		{"a name of somebody else's", clusterBinding("cluster-admins", "g", "cluster-admin", ann), shape},
		{"a role in the namespace of Hawser", namespacedBinding(v1alpha1.Namespace, "hawser-grant-g-1", "g", "ClusterRole", "edit", ann), own},
		{"a role in the namespace of a connection", namespacedBinding("hawser-from-member-z", "hawser-grant-g-1", "g", "ClusterRole", "edit", ann), own},
		{"a ClusterRole in the namespace of accounts", namespacedBinding(ns, "hawser-grant-g-1", "g", "ClusterRole", "edit", ann), kinds},
		{"another Role of the namespace of accounts", namespacedBinding(ns, "hawser-grant-g-1", "g", "Role", member.GateRole, ann), "of the same name"},
		{"its own account", clusterBinding("hawser-grant-g-1", "g", "cluster-admin", subject(sa, v1alpha1.Namespace, member.ControllersServiceAccount)), who},
		{"its own account, by its user name", clusterBinding("hawser-grant-g-1", "g", "cluster-admin", subject(user, "", accountUser(member.ControllersServiceAccount))), who},
		{"the gate", clusterBinding("hawser-grant-g-1", "g", "cluster-admin", account, subject(sa, v1alpha1.Namespace, v1alpha1.GateServiceAccount)), who},
		{"a connection", clusterBinding("hawser-grant-g-1", "g", "cluster-admin", subject(sa, "hawser-from-c", "hawser")), who},
		{"everybody", clusterBinding("hawser-grant-g-1", "g", "cluster-admin", subject(group, "", "system:authenticated")), who},
		{"the right to mint, for itself", namespacedBinding(ns, "hawser-grant-g-1", "g", "Role", "hawser-grant-g-1", subject(sa, v1alpha1.Namespace, member.ControllersServiceAccount)), who},
		{"the right to mint, for itself by name", namespacedBinding(ns, "hawser-grant-g-1", "g", "Role", "hawser-grant-g-1", subject(user, "", accountUser(member.ControllersServiceAccount))), who},
		{"the right to mint, for a group", namespacedBinding(ns, "hawser-grant-g-1", "g", "Role", "hawser-grant-g-1", subject(group, "", "team")), who},
		{"the right to mint, for everybody", namespacedBinding(ns, "hawser-grant-g-1", "g", "Role", "hawser-grant-g-1", subject(group, "", "system:authenticated")), who},
		{"the right to mint for every account", mintRole("hawser-grant-g-1", changed(func(r *rbacv1.PolicyRule) { r.ResourceNames = nil })), rule},
		{"the right to mint for another grant's account", mintRole("hawser-grant-g-1", changed(func(r *rbacv1.PolicyRule) { r.ResourceNames = []string{"h-0123456789abcdef"} })), rule},
		{"another verb", mintRole("hawser-grant-g-1", changed(func(r *rbacv1.PolicyRule) { r.Verbs = []string{"create", "impersonate"} })), rule},
		{"another resource", mintRole("hawser-grant-g-1", changed(func(r *rbacv1.PolicyRule) { r.Resources = []string{"secrets"} })), rule},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := f.controllers.Create(ctx, tt.obj, client.DryRunAll)
			if tt.want == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a refusal with %q", err, tt.want)
			}
		})
	}
	t.Run("somebody else's binding", func(t *testing.T) {
		theirs := &rbacv1.ClusterRoleBinding{}
		if err := f.admin.Get(ctx, client.ObjectKey{Name: "system:basic-user"}, theirs); err != nil {
			t.Fatal(err)
		}
		must(t, wantForbidden(f.controllers.Delete(ctx, theirs.DeepCopy(), client.DryRunAll), shape))
		theirs.Labels = labelled("", "", "g").Labels
		must(t, wantForbidden(f.controllers.Update(ctx, theirs, client.DryRunAll), shape))
	})
	t.Run("somebody else's binding, by putting the label on it", func(t *testing.T) {
		theirs := clusterBinding("hawser-grant-g-theirs", "g", "view", ann)
		theirs.Labels = nil
		if err := f.admin.Create(ctx, theirs); err != nil {
			t.Fatal(err)
		}
		theirs.Labels = labelled("", "", "g").Labels
		must(t, wantForbidden(f.controllers.Update(ctx, theirs, client.DryRunAll), shape))
		if err := f.admin.Delete(ctx, theirs); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("Hawser's own right to mint", func(t *testing.T) {
		role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: member.GateRole}}
		must(t, wantForbidden(f.controllers.Delete(ctx, role, client.DryRunAll), shape))
	})
}
