package accessgrant

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/guard"
	"github.com/hawser-io/hawser/member"
	"github.com/hawser-io/hawser/trust"
)

// Options adjust the controller. The zero value is the member controllers' own.
type Options struct {
	// Clock is the time. nil means the real one.
	Clock clock.Clock
	// Workers is how many grants are carried out at a time. Default 8: nearly all of their time they wait
	// for the API server.
	Workers int
}

// Indexes of the cache.
const (
	grantIndex = "hawser.io/access-grant"  // what was made for a grant
	localIndex = "hawser.io/local-cluster" // bindings of a connection
)

// Cache keeps to what the controller has a right to see, and to what carries Hawser's label: give it to
// the manager as Options.Cache.ByObject.
func Cache() map[client.Object]cache.ByObject {
	ours := labels.SelectorFromSet(labels.Set{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy})
	// Helm writes its own name over the label of what a chart installs, as the bindings of connections.
	installed, err := labels.NewRequirement(v1alpha1.ManagedByLabel, selection.In, []string{v1alpha1.ManagedBy, "Helm"})
	if err != nil {
		panic(err) // of constants
	}
	there := map[string]cache.Config{v1alpha1.GrantsNamespace: {}}
	accounts := map[string]cache.Config{
		v1alpha1.GrantsNamespace: {LabelSelector: ours},
		// Those of connections, one in each of their namespaces.
		cache.AllNamespaces: {FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, v1alpha1.MemberServiceAccount)},
	}
	return map[client.Object]cache.ByObject{
		&corev1.ServiceAccount{}:     {Namespaces: accounts},
		&rbacv1.Role{}:               {Label: ours, Namespaces: there},
		&rbacv1.RoleBinding{}:        {Label: ours},
		&rbacv1.ClusterRoleBinding{}: {Label: labels.NewSelector().Add(*installed)},
	}
}

// SetupWithManager adds the controller to a manager of the cluster that is entered, which has the cache of
// Cache, and whose client has the rights of member.ControllersRole.
func SetupWithManager(ctx context.Context, mgr ctrl.Manager, o Options) error {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Workers == 0 {
		o.Workers = 8
	}
	r := &reconciler{
		client: mgr.GetClient(), live: mgr.GetAPIReader(), clock: o.Clock, usable: trust.Usable,
		guard: &guard.Policy{
			Name: member.GrantAuthorsPolicy, Without: "nobody keeps authors of grants within their rights",
			Live: mgr.GetAPIReader(), Clock: o.Clock,
		},
	}
	for _, obj := range []client.Object{&corev1.ServiceAccount{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}, &rbacv1.ClusterRoleBinding{}} {
		if err := mgr.GetFieldIndexer().IndexField(ctx, obj, grantIndex, byLabel(v1alpha1.GrantLabel)); err != nil {
			return fmt.Errorf("indexing what grants are made of: %w", err)
		}
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &rbacv1.ClusterRoleBinding{}, localIndex, byLabel(v1alpha1.LocalClusterLabel)); err != nil {
		return fmt.Errorf("indexing the bindings of connections: %w", err)
	}
	made := handler.EnqueueRequestsFromMapFunc(ofMade)
	err := ctrl.NewControllerManagedBy(mgr).
		Named("accessgrant").
		For(&v1alpha1.AccessGrant{}).
		Watches(&corev1.ServiceAccount{}, handler.EnqueueRequestsFromMapFunc(r.ofAccount)).
		Watches(&rbacv1.Role{}, made).
		Watches(&rbacv1.RoleBinding{}, made).
		Watches(&rbacv1.ClusterRoleBinding{}, handler.EnqueueRequestsFromMapFunc(r.ofClusterBinding)).
		Watches(&rbacv1.ClusterRole{}, handler.EnqueueRequestsFromMapFunc(r.ofRole)).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.ofNamespace), builder.WithPredicates(namespaceChanged())).
		Watches(&v1alpha1.TrustedIssuer{}, handler.EnqueueRequestsFromMapFunc(r.ofIssuer), builder.WithPredicates(issuerChanged(r.usable))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: o.Workers,
			ReconciliationTimeout:   5 * time.Minute,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 2*retry),
			SkipNameValidation:      new(true),
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("setting up grants: %w", err)
	}
	return nil
}

func byLabel(label string) client.IndexerFunc {
	return func(obj client.Object) []string {
		if value := obj.GetLabels()[label]; value != "" {
			return []string{value}
		}
		return nil
	}
}
