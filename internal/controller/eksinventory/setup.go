package eksinventory

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/eks"
)

// SetupWithManager registers the controller. Inventories are reconciled one at a time, so that two of them
// give no name away twice.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.complete()
	changed := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	err := ctrl.NewControllerManagedBy(mgr).
		Named("eksinventory").
		For(&v1alpha1.EKSInventory{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.RemoteCluster{}, handler.EnqueueRequestsFromMapFunc(inventoryOf), builder.WithPredicates(changed)).
		Watches(&v1alpha1.AWSIdentity{}, handler.EnqueueRequestsFromMapFunc(r.hurry), builder.WithPredicates(becameReady)).
		WatchesRawSource(source.Func(r.bind)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, SkipNameValidation: new(true)}).
		Complete(reconcile.Func(r.reconcileByName))
	if err != nil {
		return err
	}
	return mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		r.mu.Lock()
		r.ended = true
		r.mu.Unlock()
		r.running.Wait()
		return nil
	}))
}

func (r *Reconciler) complete() {
	r.writer.Client = r.Client
	r.written = map[string]statusNote{}
	if r.Clock == nil {
		r.Clock = clock.RealClock{}
	}
	if r.CallTimeout == 0 {
		r.CallTimeout = DefaultCallTimeout
	}
	if r.Parallel == 0 {
		r.Parallel = DefaultParallel
	}
}

// bind ties collectors to the life of the controller, and lets them ask for a reconcile.
func (r *Reconciler) bind(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.lifetime = ctx
	r.enqueue = func(inventory string) {
		queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: inventory}})
	}
	return nil
}

func (r *Reconciler) reconcileByName(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	inv := &v1alpha1.EKSInventory{}
	err := r.Client.Get(ctx, req.NamespacedName, inv)
	if apierrors.IsNotFound(err) {
		r.forget(req.Name)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading EKSInventory %q: %w", req.Name, err)
	}
	return r.Reconcile(ctx, inv)
}

// inventoryOf is the EKSInventory that keeps a RemoteCluster.
func inventoryOf(_ context.Context, rc client.Object) []reconcile.Request {
	name, ours := strings.CutPrefix(rc.GetLabels()[v1alpha1.InventoryLabel], eks.LabelValue(""))
	if !ours {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: name}}}
}

// becameReady passes the moment at which an identity can be taken on, for which a look may have waited.
var becameReady = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	DeleteFunc:  func(event.DeleteEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc:  func(e event.UpdateEvent) bool { return !isReady(e.ObjectOld) && isReady(e.ObjectNew) },
}

func isReady(o client.Object) bool {
	id, ok := o.(*v1alpha1.AWSIdentity)
	return ok && meta.IsStatusConditionTrue(id.Status.Conditions, v1alpha1.Ready)
}

// hurry lets all that had gaps look again: any of them may lead through the identity.
func (r *Reconciler) hurry(context.Context, client.Object) []reconcile.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.collectors {
		c.hurry()
	}
	return nil
}
