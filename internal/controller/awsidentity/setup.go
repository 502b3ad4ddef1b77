package awsidentity

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// SetupWithManager registers the controller and the Asker. A change of one identity is one of all
// that are assumed from it: there are few identities, so each of these looks at all of them.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	all := handler.EnqueueRequestsFromMapFunc(r.allIdentities)
	if err := mgr.Add(r.Asker); err != nil {
		return fmt.Errorf("adding what asks AWS: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("awsidentity").
		Watches(&v1alpha1.AWSIdentity{}, all, changed).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.keysChanged)).
		WatchesRawSource(source.Func(r.bindQueue)).
		WithOptions(controller.Options{SkipNameValidation: new(true)}).
		Complete(r)
}

func (r *Reconciler) bindQueue(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.Asker.Changed = func(name string) { queue.Add(request(name)) }
	return nil
}

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

// allIdentities are those that there are, and the one that changed, which may be gone.
func (r *Reconciler) allIdentities(ctx context.Context, object client.Object) []reconcile.Request {
	var all v1alpha1.AWSIdentityList
	if err := r.Client.List(ctx, &all); err != nil {
		log.FromContext(ctx).Error(err, "listing AWSIdentities for a change", "object", object.GetName())
		return nil
	}
	var requests []reconcile.Request
	for _, id := range all.Items {
		requests = append(requests, request(id.Name))
	}
	if _, ours := object.(*v1alpha1.AWSIdentity); ours {
		requests = append(requests, request(object.GetName()))
	}
	return requests
}

// keysChanged finds whether a Secret holds somebody's keys.
func (r *Reconciler) keysChanged(ctx context.Context, secret client.Object) []reconcile.Request {
	var all v1alpha1.AWSIdentityList
	if err := r.Client.List(ctx, &all); err != nil {
		log.FromContext(ctx).Error(err, "listing AWSIdentities for a changed Secret", "secret", secret.GetName())
		return nil
	}
	if !slices.ContainsFunc(all.Items, func(id v1alpha1.AWSIdentity) bool {
		return id.Spec.Static != nil && id.Spec.Static.SecretRef.Name == secret.GetName()
	}) {
		return nil
	}
	return r.allIdentities(ctx, secret)
}

// ourNames are the names of those references that are to AWSIdentities.
func ourNames(refs ...*v1alpha1.AWSIdentityRef) (names []string) {
	for _, r := range refs {
		if r != nil && (r.Kind == "" || r.Kind == v1alpha1.KindAWSIdentity) {
			names = append(names, r.Name)
		}
	}
	return names
}

// usersOf are the objects that name an identity.
func usersOf(ctx context.Context, c client.Reader, name string) ([]client.Object, error) {
	var (
		users       []client.Object
		clusters    v1alpha1.RemoteClusterList
		identities  v1alpha1.AWSIdentityList
		inventories v1alpha1.EKSInventoryList
	)
	for _, l := range []client.ObjectList{&clusters, &identities, &inventories} {
		if err := c.List(ctx, l); err != nil {
			return nil, fmt.Errorf("listing what names AWSIdentity %q: %w", name, err)
		}
	}
	names := func(refs ...*v1alpha1.AWSIdentityRef) bool {
		return slices.Contains(ourNames(refs...), name)
	}
	for i := range clusters.Items {
		if eks := clusters.Items[i].Spec.Auth.EKS; eks != nil && names(eks.IdentityRef, eks.APIIdentityRef) {
			users = append(users, &clusters.Items[i])
		}
	}
	for i := range identities.Items {
		if names(identities.Items[i].Spec.SourceIdentityRef) {
			users = append(users, &identities.Items[i])
		}
	}
	for i := range inventories.Items {
		if slices.ContainsFunc(inventories.Items[i].Spec.Accounts, func(a v1alpha1.EKSAccount) bool { return names(a.IdentityRef, a.TokenIdentityRef) }) {
			users = append(users, &inventories.Items[i])
		}
	}
	return users, nil
}
