package accessrequest

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("accessrequest").
		For(&v1alpha1.AccessRequest{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.RemoteCluster{}, handler.EnqueueRequestsFromMapFunc(r.ofCluster), builder.WithPredicates(predicate.Funcs{UpdateFunc: matters})).
		WatchesRawSource(source.Func(r.bindQueue)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, SkipNameValidation: new(true)}).
		Complete(reconcile.Func(r.reconcileByName))
}

func (r *Reconciler) reconcileByName(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ar := &v1alpha1.AccessRequest{}
	err := r.Client.Get(ctx, req.NamespacedName, ar)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, r.gone(ctx, req.NamespacedName)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading AccessRequest %q in namespace %q: %w", req.Name, req.Namespace, err)
	}
	leave, ok := r.enter(ctx, ar.Spec.ClusterRef.Name)
	if !ok { // another replica's; if it becomes ours, we are told
		r.forget(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	defer leave()
	return r.Reconcile(ctx, ar)
}

// bindQueue lets the minter ask for a reconcile.
func (r *Reconciler) bindQueue(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.queue.Store(&queue)
	r.Minter.tell(func(key types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: key}) })
	return nil
}

// ofCluster are the requests for a cluster.
func (r *Reconciler) ofCluster(ctx context.Context, rc client.Object) []reconcile.Request {
	var all v1alpha1.AccessRequestList
	if err := r.Client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "listing AccessRequests of a changed RemoteCluster", "cluster", rc.GetName())
		return nil
	}
	var requests []reconcile.Request
	for i := range all.Items {
		if all.Items[i].Spec.ClusterRef.Name == rc.GetName() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
		}
	}
	return requests
}

// matters reports whether a change of a RemoteCluster is one for those who want access to it: its status is
// written more often.
func matters(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1alpha1.RemoteCluster)
	after, both := e.ObjectNew.(*v1alpha1.RemoteCluster)
	if !ok || !both || before.Generation != after.Generation {
		return true
	}
	for _, kind := range []string{v1alpha1.Ready, v1alpha1.Reachable, v1alpha1.Authenticated} {
		a, b := meta.FindStatusCondition(before.Status.Conditions, kind), meta.FindStatusCondition(after.Status.Conditions, kind)
		if (a == nil) != (b == nil) || a != nil && (a.Status != b.Status || a.Reason != b.Reason) {
			return true
		}
	}
	return before.Status.ClusterID != after.Status.ClusterID || before.Status.KubernetesVersion != after.Status.KubernetesVersion ||
		before.Status.ClusterProperty != after.Status.ClusterProperty || !equality.Semantic.DeepEqual(before.Status.Endpoint, after.Status.Endpoint)
}
