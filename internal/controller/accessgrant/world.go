package accessgrant

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
)

// world is what the cluster has of what one grant names.
type world struct{ grant.World }

func (r *reconciler) world(ctx context.Context, g *v1alpha1.AccessGrant) (*world, error) {
	w := &world{grant.World{
		Issuers: map[string]grant.Issuer{}, Roles: map[string][]rbacv1.PolicyRule{},
		Connections: map[string]grant.Connection{}, Taken: map[string]bool{},
	}}
	for _, s := range g.Spec.Subjects {
		if err := r.subject(ctx, w, s); err != nil {
			return nil, err
		}
	}
	for _, name := range g.Spec.ClusterRoles {
		var role rbacv1.ClusterRole
		switch err := r.client.Get(ctx, client.ObjectKey{Name: name}, &role); {
		case err == nil:
			w.Roles[name] = role.Rules
		case !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("reading ClusterRole %q: %w", name, err)
		}
	}
	if g.Spec.Namespaces == nil {
		return w, nil
	}
	var namespaces corev1.NamespaceList
	if err := r.client.List(ctx, &namespaces, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing namespaces: %w", err)
	}
	w.Namespaces = namespaces.Items
	return w, nil
}

func (r *reconciler) subject(ctx context.Context, w *world, s v1alpha1.GrantSubject) error {
	switch {
	case s.Issuer != nil:
		var ti v1alpha1.TrustedIssuer
		err := r.client.Get(ctx, client.ObjectKey{Name: s.Issuer.Name}, &ti)
		if err == nil {
			w.Issuers[s.Issuer.Name] = grant.IssuerOf(&ti, r.usable(&ti))
		} else if !apierrors.IsNotFound(err) {
			return fmt.Errorf("reading TrustedIssuer %q: %w", s.Issuer.Name, err)
		}
	case s.LocalCluster != nil:
		c, err := r.connection(ctx, s.LocalCluster.Name)
		if err != nil {
			return fmt.Errorf("reading the connection from local cluster %q: %w", s.LocalCluster.Name, err)
		}
		w.Connections[s.LocalCluster.Name] = c
	}
	return nil
}

// connection is that of a local cluster. Whoever cuts it off makes its account anew, or takes its
// bindings; either is another origin.
func (r *reconciler) connection(ctx context.Context, local string) (grant.Connection, error) {
	var account corev1.ServiceAccount
	key := client.ObjectKey{Namespace: v1alpha1.MemberNamespace(local), Name: v1alpha1.MemberServiceAccount}
	if err := r.client.Get(ctx, key, &account); client.IgnoreNotFound(err) != nil {
		return grant.Connection{}, err
	}
	c := grant.Connection{Origin: string(account.UID)}
	var bindings rbacv1.ClusterRoleBindingList
	if err := r.client.List(ctx, &bindings, client.MatchingFields{localIndex: local}, client.UnsafeDisableDeepCopy); err != nil {
		return grant.Connection{}, err
	}
	for _, b := range bindings.Items {
		if b.Name == connectBinding(local) && slices.ContainsFunc(b.Subjects, func(subject rbacv1.Subject) bool {
			return subject.Kind == rbacv1.UserKind && subject.Name == v1alpha1.MemberUser(local)
		}) {
			c.Certificate, c.Origin = true, string(b.UID)
		}
	}
	return c, nil
}

// connectBinding is the binding that every connection has (package member), and loses when it is cut off.
func connectBinding(local string) string { return "hawser-connect-from-" + local }

// take remembers accounts that are somebody else's, and reports whether there are any new ones.
func (w *world) take(objs []client.Object) bool {
	found := false
	for _, obj := range objs {
		if _, ok := obj.(*corev1.ServiceAccount); ok && !w.Taken[obj.GetName()] {
			w.Taken[obj.GetName()], found = true, true
		}
	}
	return found
}

func (w *world) taken() []client.Object {
	var objs []client.Object
	for name := range w.Taken {
		sa := &corev1.ServiceAccount{}
		sa.Namespace, sa.Name = v1alpha1.GrantsNamespace, name
		objs = append(objs, sa)
	}
	return objs
}

// madeFor is what was made for a grant, as far as the cache has seen it. It is not to be modified.
func (r *reconciler) madeFor(ctx context.Context, name string) ([]client.Object, error) {
	var (
		objs            []client.Object
		accounts        corev1.ServiceAccountList
		roles           rbacv1.RoleList
		bindings        rbacv1.RoleBindingList
		clusterBindings rbacv1.ClusterRoleBindingList
	)
	for _, list := range []client.ObjectList{&accounts, &roles, &bindings, &clusterBindings} {
		if err := r.client.List(ctx, list, client.MatchingFields{grantIndex: name}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("listing what was made for AccessGrant %q: %w", name, err)
		}
	}
	for i := range accounts.Items {
		objs = append(objs, &accounts.Items[i])
	}
	for i := range roles.Items {
		objs = append(objs, &roles.Items[i])
	}
	for i := range bindings.Items {
		objs = append(objs, &bindings.Items[i])
	}
	for i := range clusterBindings.Items {
		objs = append(objs, &clusterBindings.Items[i])
	}
	return slices.DeleteFunc(objs, func(obj client.Object) bool { return !grant.Ours(obj, name) }), nil
}
