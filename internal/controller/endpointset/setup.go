package endpointset

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"

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
		Watches(&v1alpha1.RemoteCluster{}, publish.EveryOne(r.Client, &v1alpha1.EndpointSetList{}), builder.WithPredicates(publish.ClusterChanged())).
		WatchesRawSource(r.Leader.Source(publish.EndpointSet)).
		WithOptions(controller.Options{SkipNameValidation: new(true)}).
		Complete(r)
}
