package endpoints

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// reviewEvery is how often it is looked for addresses that several clusters have.
const reviewEvery = time.Minute

// Reviewed is a catalog that can look for them: *endpoint.Catalog.
type Reviewed interface{ Review() }

// Review lets a catalog look for them, until ctx ends.
func Review(ctx context.Context, catalog Reviewed, clock clock.WithTicker) {
	ticks := clock.NewTicker(reviewEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C():
			catalog.Review()
		}
	}
}

// SetupWithManager registers the controller, and what finds the addresses of the local cluster. Every replica runs it,
// whoever leads.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Own == nil {
		own, err := newHosts(mgr.GetConfig(), mgr.GetScheme(), mgr.GetLogger().WithName("endpoints"))
		if err != nil {
			return err
		}
		if err := mgr.Add(own); err != nil {
			return fmt.Errorf("setting up what finds the addresses of the local cluster: %w", err)
		}
		r.Own = own
	}
	r.Own.changed = func() { r.all(r.Life) } // nothing runs before the manager does
	return ctrl.NewControllerManagedBy(mgr).
		Named("endpoints").
		For(&v1alpha1.RemoteCluster{}). // with the status: it tells that a connection is there, and which cluster it found
		WatchesRawSource(source.Func(r.bindQueue)).
		WithOptions(controller.Options{SkipNameValidation: new(true)}).
		Complete(r)
}

func (r *Reconciler) bindQueue(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.queue.Store(&queue)
	return nil
}

// all asks for a reconcile of every cluster.
func (r *Reconciler) all(ctx context.Context) {
	var clusters v1alpha1.RemoteClusterList
	if err := r.Client.List(ctx, &clusters); err != nil {
		return // the cache is ending, or not filled yet: then all are looked at anyway
	}
	for i := range clusters.Items {
		r.Enqueue(clusters.Items[i].Name)
	}
}
