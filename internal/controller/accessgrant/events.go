package accessgrant

import (
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// ofMade is the grant that an object was made for, whether it still exists or not.
func ofMade(_ context.Context, obj client.Object) []reconcile.Request {
	if name := obj.GetLabels()[v1alpha1.GrantLabel]; name != "" {
		return []reconcile.Request{request(name)}
	}
	return nil
}

// ofClusterBinding is ofMade, and for the binding of a connection the grants for its local cluster.
func (r *reconciler) ofClusterBinding(ctx context.Context, obj client.Object) []reconcile.Request {
	local := obj.GetLabels()[v1alpha1.LocalClusterLabel]
	if local == "" {
		return ofMade(ctx, obj)
	}
	return r.ofLocal(ctx, local)
}

// ofAccount is ofMade, and for the account of a connection the grants for its local cluster.
func (r *reconciler) ofAccount(ctx context.Context, obj client.Object) []reconcile.Request {
	if local, ok := strings.CutPrefix(obj.GetNamespace(), v1alpha1.MemberNamespace("")); ok {
		return r.ofLocal(ctx, local)
	}
	return ofMade(ctx, obj)
}

func (r *reconciler) ofLocal(ctx context.Context, local string) []reconcile.Request {
	return r.that(ctx, func(g *v1alpha1.AccessGrant) bool {
		return slices.ContainsFunc(g.Spec.Subjects, func(s v1alpha1.GrantSubject) bool { return s.LocalCluster != nil && s.LocalCluster.Name == local })
	})
}

func (r *reconciler) ofRole(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.that(ctx, func(g *v1alpha1.AccessGrant) bool { return slices.Contains(g.Spec.ClusterRoles, obj.GetName()) })
}

// ofNamespace are the grants that name a namespace, and all that have a selector: labels that it no
// longer has may have been theirs.
func (r *reconciler) ofNamespace(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.that(ctx, func(g *v1alpha1.AccessGrant) bool {
		n := g.Spec.Namespaces
		return n != nil && (n.Selector != nil || slices.Contains(n.Names, obj.GetName()))
	})
}

func (r *reconciler) ofIssuer(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.that(ctx, func(g *v1alpha1.AccessGrant) bool {
		return slices.ContainsFunc(g.Spec.Subjects, func(s v1alpha1.GrantSubject) bool { return s.Issuer != nil && s.Issuer.Name == obj.GetName() })
	})
}

// that are the grants for which a condition holds.
func (r *reconciler) that(ctx context.Context, holds func(*v1alpha1.AccessGrant) bool) []reconcile.Request {
	var all v1alpha1.AccessGrantList
	if err := r.client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "listing AccessGrants for a change of something else") // from the cache: it does not happen
		return nil
	}
	var requests []reconcile.Request
	for i := range all.Items {
		if holds(&all.Items[i]) {
			requests = append(requests, request(all.Items[i].Name))
		}
	}
	return requests
}

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKey{Name: name}}
}

// namespaceChanged passes by what grants do not look at.
func namespaceChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*corev1.Namespace), e.ObjectNew.(*corev1.Namespace)
		return !maps.Equal(before.Labels, after.Labels) || (before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil)
	}}
}

// issuerChanged passes by the figures that the gate and the controller of issuers keep in the status.
func issuerChanged(usable func(*v1alpha1.TrustedIssuer) bool) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*v1alpha1.TrustedIssuer), e.ObjectNew.(*v1alpha1.TrustedIssuer)
		return before.UID != after.UID || before.Generation != after.Generation || usable(before) != usable(after)
	}}
}
