package trustedissuer

import (
	"cmp"
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
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
	"github.com/hawser-io/hawser/internal/guard"
	"github.com/hawser-io/hawser/member"
)

// Options adjust the controller. The zero value is the member controllers' own.
type Options struct {
	// Namespace and Account are the service account that the controller runs as, whose tokens it asks
	// for to find out which audiences the API server accepts.
	Namespace, Account string
	// Clock is the time. nil means the real one.
	Clock clock.WithTicker
}

// SetupWithManager registers the controller, and what asks the issuers.
func SetupWithManager(mgr ctrl.Manager, o Options) error {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	here, err := newHere(mgr.GetConfig(), cmp.Or(o.Namespace, v1alpha1.Namespace), cmp.Or(o.Account, member.ControllersServiceAccount), o.Clock)
	if err != nil {
		return fmt.Errorf("setting up the controller of TrustedIssuers: %w", err)
	}
	r := &reconciler{
		client: mgr.GetClient(), here: here, fetcher: newFetcher(o.Clock),
		events: mgr.GetEventRecorder("hawser"), clock: o.Clock,
		guard: &guard.Policy{
			Name: member.IssuerAuthorsPolicy, Without: "nobody keeps authors of trusted issuers within their rights",
			Live: mgr.GetAPIReader(), Clock: o.Clock,
		},
	}
	if err := mgr.Add(r.fetcher); err != nil {
		return fmt.Errorf("adding what asks issuers: %w", err)
	}
	changed := predicate.GenerationChangedPredicate{}
	return ctrl.NewControllerManagedBy(mgr).
		Named("trustedissuer").
		For(&v1alpha1.TrustedIssuer{}, builder.WithPredicates(predicate.Or[client.Object](changed, failed()))).
		// Issuers exclude each other: what is done to one is news to all. There are few.
		Watches(&v1alpha1.TrustedIssuer{}, handler.EnqueueRequestsFromMapFunc(r.others), builder.WithPredicates(changed)).
		WatchesRawSource(source.Func(r.bindQueue)).
		WithOptions(controller.Options{SkipNameValidation: new(true)}).
		Complete(r)
}

// failed passes what the gate tells of refused tokens: they may name a key that is new.
func failed() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*v1alpha1.TrustedIssuer)
		after, ok2 := e.ObjectNew.(*v1alpha1.TrustedIssuer)
		return ok1 && ok2 && !equality.Semantic.DeepEqual(before.Status.LastFailure, after.Status.LastFailure)
	}}
}

func (r *reconciler) bindQueue(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.fetcher.mu.Lock()
	defer r.fetcher.mu.Unlock()
	r.fetcher.changed = func(name string) { queue.Add(request(name)) }
	return nil
}

func (r *reconciler) others(ctx context.Context, changed client.Object) []reconcile.Request {
	var all v1alpha1.TrustedIssuerList
	if err := r.client.List(ctx, &all); err != nil {
		log.FromContext(ctx).Error(err, "listing TrustedIssuers for a change", "trustedIssuer", changed.GetName())
		return nil
	}
	var requests []reconcile.Request
	for _, ti := range all.Items {
		requests = append(requests, request(ti.Name))
	}
	return requests
}

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}
