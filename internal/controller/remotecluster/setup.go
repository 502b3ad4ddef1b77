package remotecluster

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// SetupWithManager registers the controller. Secrets are watched in one namespace, and by their
// metadata: what they hold is read when it is needed, and not cached.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, namespace string, workers int) error {
	notOurs := predicate.NewPredicateFuncs(func(o client.Object) bool {
		return !strings.HasPrefix(o.GetName(), v1alpha1.CredentialSecretName("")) && !strings.HasPrefix(o.GetName(), v1alpha1.BindingSecretName(""))
	})
	own := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).
		Named("remotecluster").
		For(&v1alpha1.RemoteCluster{}, builder.WithPredicates(own)).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.secretChanged(namespace)), builder.WithPredicates(notOurs)).
		WatchesRawSource(source.Func(r.bindQueue)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, SkipNameValidation: new(true)}).
		Complete(reconcile.Func(r.reconcileByName))
}

// reconcileByName reads the object, and forgets the cluster where there is none.
func (r *Reconciler) reconcileByName(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	leave, ok := r.enter(req.Name)
	if ok {
		defer leave()
	}
	rc := &v1alpha1.RemoteCluster{}
	err := r.Client.Get(ctx, req.NamespacedName, rc)
	if !ok && (!apierrors.IsNotFound(err) || !r.Shards.Leads()) {
		return reconcile.Result{}, nil // another replica's; if it becomes ours, we are told
	}
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, r.gone(ctx, req.Name)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading RemoteCluster %q: %w", req.Name, err)
	}
	return r.Reconcile(ctx, rc)
}

// bindQueue lets connections ask for a reconcile: the queue merges what comes faster than it is served.
func (r *Reconciler) bindQueue(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.Enqueue = func(cluster string) {
		queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: cluster}})
	}
	r.bound.Store(true)
	return nil
}

// secretChanged tells the connections whose input a Secret is that it changed. The object itself need
// not be reconciled: a connection that learns something new says so.
func (r *Reconciler) secretChanged(namespace string) handler.MapFunc {
	return func(ctx context.Context, secret client.Object) []reconcile.Request {
		var all v1alpha1.RemoteClusterList
		if err := r.Client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
			log.FromContext(ctx).Error(err, "listing RemoteClusters for a changed Secret", "secret", secret.GetName())
			return nil
		}
		for i := range all.Items {
			rc := &all.Items[i]
			ref := rc.Spec.Auth.KubeconfigRef(namespace)
			if secret.GetName() != v1alpha1.InputSecretName(rc.Name) && (secret.GetName() != ref.Name || secret.GetNamespace() != ref.Namespace) {
				continue
			}
			if conn, err := r.Fleet.Get(rc.Name); err == nil {
				conn.Refresh()
			}
		}
		return nil
	}
}
