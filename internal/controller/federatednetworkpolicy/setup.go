package federatednetworkpolicy

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// SetupWithManager registers the controller of every replica.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("federatednetworkpolicy").
		For(&v1alpha1.FederatedNetworkPolicy{}). // with the status: an entry that somebody takes away is written again
		Watches(&v1alpha1.RemoteCluster{}, every(r.Client), builder.WithPredicates(localChanged())).
		WithOptions(controller.Options{SkipNameValidation: new(true)}).
		Complete(r)
}

// localChanged lets through changes of what policies may ask of the local cluster: its name and id.
func localChanged() predicate.Predicate {
	local := func(o client.Object) (id string, is bool) {
		rc, ok := o.(*v1alpha1.RemoteCluster)
		if !ok || !rc.IsLocal() {
			return "", false
		}
		return rc.Status.ClusterID, true
	}
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { _, is := local(e.Object); return is },
		DeleteFunc: func(e event.DeleteEvent) bool { _, is := local(e.Object); return is },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, was := local(e.ObjectOld)
			after, is := local(e.ObjectNew)
			return was != is || before != after
		},
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// SetupWithManager registers the controller of the leader.
func (r *LeaderReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("federatednetworkpolicy-leader").
		For(&v1alpha1.FederatedNetworkPolicy{}).
		Watches(&v1alpha1.RemoteCluster{}, every(r.Client), builder.WithPredicates(predicate.Or(publish.ClusterChanged(), localChanged()))).
		WatchesRawSource(r.Leader.Source(publish.FederatedNetworkPolicy)).
		WithOptions(controller.Options{SkipNameValidation: new(true)}).
		Complete(r)
}

// every asks for all policies: each may select a cluster that has changed, or ask for the local one.
func every(from client.Reader) handler.EventHandler {
	return publish.EveryOne(from, &v1alpha1.FederatedNetworkPolicyList{})
}
