package accessgrant

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
)

// carryOut makes changes, what narrows first, and goes on past errors. It returns the objects that could not be
// made because something of somebody else's has their name; at an account of that kind it stops.
func (r *reconciler) carryOut(ctx context.Context, name string, c grant.Changes) (taken []client.Object, err error) {
	var errs []error
	for _, obj := range c.Delete {
		uid := obj.GetUID()
		if err := r.client.Delete(ctx, obj, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("deleting %s: %w", describe(obj), err))
		}
	}
	for _, obj := range c.Update {
		if err := r.client.Update(ctx, obj, client.FieldOwner(v1alpha1.FieldManager)); client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("updating %s: %w", describe(obj), err)) // a conflict or a deletion comes back as an event
		}
	}
	for _, obj := range c.Create {
		ours, err := r.create(ctx, name, obj)
		if err != nil {
			errs = append(errs, err)
		}
		if ours {
			continue
		}
		taken = append(taken, obj)
		if _, account := obj.(*corev1.ServiceAccount); account {
			break
		}
	}
	if !c.Empty() {
		log.FromContext(ctx).Info("carried out grant", "deleted", len(c.Delete), "updated", len(c.Update), "created", len(c.Create)-len(taken), "failed", len(errs))
	}
	return taken, errors.Join(errs...)
}

// create makes an object, and reports whether what has its name is ours.
func (r *reconciler) create(ctx context.Context, name string, obj client.Object) (ours bool, err error) {
	err = r.client.Create(ctx, obj.DeepCopyObject().(client.Object), client.FieldOwner(v1alpha1.FieldManager))
	if err == nil {
		return true, nil
	}
	if apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		if obj.GetNamespace() != v1alpha1.GrantsNamespace {
			return true, nil // the namespace has just gone, which comes as an event
		}
	}
	if !apierrors.IsAlreadyExists(err) {
		return true, fmt.Errorf("creating %s: %w", describe(obj), err)
	}
	now := obj.DeepCopyObject().(client.Object)
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(obj), now); err != nil {
		return true, fmt.Errorf("reading %s: %w", describe(obj), err)
	}
	return grant.Ours(now, name), nil // if so, the cache had not seen it yet: it comes as an event
}

// permanentError is one that the same attempt meets again.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// permanent reports errors that the status of a grant should tell: what is refused stays refused until
// somebody changes rights, policies or the grant.
func permanent(err error) bool {
	_, ok := errors.AsType[permanentError](err)
	return ok || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsNotFound(err)
}

func describe(obj client.Object) string {
	var kind string
	switch obj.(type) {
	case *corev1.ServiceAccount:
		kind = "ServiceAccount"
	case *rbacv1.Role:
		kind = "Role"
	case *rbacv1.RoleBinding:
		kind = "RoleBinding"
	default:
		kind = "ClusterRoleBinding"
	}
	if obj.GetNamespace() == "" {
		return fmt.Sprintf("%s %q", kind, obj.GetName())
	}
	return fmt.Sprintf("%s %q in namespace %q", kind, obj.GetName(), obj.GetNamespace())
}
