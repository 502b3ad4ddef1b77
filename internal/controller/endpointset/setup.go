package endpointset

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// SetupWithManager registers the controller of every replica.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("endpointset").
		For(&v1alpha1.EndpointSet{}).
		WithOptions(controller.Options{SkipNameValidation: new(true)}).
		Complete(r)
}

// SetupWithManager registers the controller of the leader.
func (r *LeaderReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("endpointset-leader").
		For(&v1alpha1.EndpointSet{}).
		Watches(&v1alpha1.RemoteCluster{}, handler.EnqueueRequestsFromMapFunc(r.all), builder.WithPredicates(publish.ClusterChanged())).
		WatchesRawSource(source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			stop := r.Leader.Notify(func(k publish.Key) {
				if k.Kind == publish.EndpointSet {
					queue.Add(reconcile.Request{NamespacedName: client.ObjectKey{Name: k.Name}})
				}
			})
			context.AfterFunc(ctx, stop)
			return nil
		})).
		WithOptions(controller.Options{SkipNameValidation: new(true)}).
		Complete(r)
}

// all are all sets: each may select a cluster that has changed.
func (r *LeaderReconciler) all(ctx context.Context, rc client.Object) (requests []reconcile.Request) {
	var sets v1alpha1.EndpointSetList
	if err := r.Client.List(ctx, &sets, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "listing EndpointSets of a changed RemoteCluster", "cluster", rc.GetName())
		return nil
	}
	for i := range sets.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&sets.Items[i])})
	}
	return requests
}
