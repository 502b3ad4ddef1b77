package capa

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/capa"
)

// SetupWithManager registers the controller. It fails where Cluster API or its provider for AWS is not
// installed. Control planes are reconciled one at a time, so that no name is given away twice.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.complete(mgr)
	mapping, err := mgr.GetRESTMapper().RESTMapping(capa.ClusterKind)
	if err != nil {
		return notInstalled(capa.ClusterKind, err)
	}
	r.clusterKind = mapping.GroupVersionKind
	changed := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	b := ctrl.NewControllerManagedBy(mgr).
		Named("capa").
		For(object(capa.ControlPlaneKind)).
		Watches(object(r.clusterKind), handler.EnqueueRequestsFromMapFunc(controlPlaneOf)).
		Watches(&v1alpha1.RemoteCluster{}, handler.EnqueueRequestsFromMapFunc(sourceOf), builder.WithPredicates(changed)).
		WatchesRawSource(source.Func(r.bind)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, SkipNameValidation: new(true)})
	for _, kind := range []schema.GroupVersionKind{capa.ControlPlaneKind, capa.RoleIdentityKind, capa.StaticIdentityKind, capa.ControllerIdentityKind} {
		if _, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); err != nil {
			return notInstalled(kind.GroupKind(), err)
		}
		if kind != capa.ControlPlaneKind {
			b = b.Watches(object(kind), handler.EnqueueRequestsFromMapFunc(r.askAgain), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
		}
	}
	if err := b.Complete(reconcile.Func(r.Reconcile)); err != nil {
		return err
	}
	return mgr.Add(manager.RunnableFunc(r.describer.run))
}

func notInstalled(kind schema.GroupKind, err error) error {
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("finding the kind %s: it is not installed: install Cluster API and its provider for AWS, or start without --cluster-api", kind)
	}
	return fmt.Errorf("finding the kind %s: %w", kind, err)
}

func (r *Reconciler) complete(mgr ctrl.Manager) {
	if r.Clock == nil {
		r.Clock = clock.RealClock{}
	}
	if r.CallTimeout == 0 {
		r.CallTimeout = DefaultCallTimeout
	}
	if r.FirstRetry == 0 {
		r.FirstRetry = defaultFirstRetry
	}
	r.writer.Client = r.Client
	r.objects = mgr.GetCache()
	r.describer = newDescriber(r.Clock, r.FirstRetry, r.describe)
}

func object(kind schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u
}

// bind lets answers of AWS ask for a reconcile.
func (r *Reconciler) bind(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.describer.answered = func(source types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: source}) }
	return nil
}

// controlPlaneOf is the control plane of a Cluster.
func controlPlaneOf(_ context.Context, o client.Object) []reconcile.Request {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	cluster, err := capa.DecodeCluster(u)
	if err != nil || cluster.Spec.ControlPlaneRef == nil || cluster.Spec.ControlPlaneRef.Kind != capa.ControlPlaneKind.Kind {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: cluster.Spec.ControlPlaneRef.Name}}}
}

// sourceOf is the control plane that a RemoteCluster was made from.
func sourceOf(_ context.Context, rc client.Object) []reconcile.Request {
	namespace, name, ok := strings.Cut(rc.GetAnnotations()[capa.SourceAnnotation], "/")
	if !ok || rc.GetLabels()[v1alpha1.InventoryLabel] != capa.LabelValue {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}}
}

// askAgain is called when an identity changed, which may be part of any chain.
func (r *Reconciler) askAgain(context.Context, client.Object) []reconcile.Request {
	r.describer.again()
	return nil
}
