package fleet_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

// metric is the value of a counter or gauge of this process.
func metric(t *testing.T, name string, labels map[string]string) (value float64) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if want, ok := labels[l.GetName()]; ok && want != l.GetValue() {
					continue next
				}
			}
			value += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return value
}

func TestAClusterThatLeavesEndsItsReconciles(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	ns := alpha.Namespace(t)
	w := newWorld(t)
	var tried seen
	started, ended := make(chan struct{}, 10), make(chan error, 10)
	names := []string{"one", "two", "three"}
	err := fleet.NewControllerManagedBy(w.Fleet).Named("leaver").For(&corev1.ConfigMap{}).
		WatchesAcross(&corev1.Secret{}, func(context.Context, *fleet.Cluster, client.Object) []fleet.Request { return nil }).
		WithEventFilter(predicate.NewPredicateFuncs(func(obj client.Object) bool {
			return obj.GetNamespace() == ns && slices.Contains(names, obj.GetName())
		})).
		WithOptions(controller.TypedOptions[fleet.Request]{MaxConcurrentReconciles: 1}).
		Complete(reconcileFunc(func(ctx context.Context, r fleet.Request) (reconcile.Result, error) {
			tried.add(r)
			started <- struct{}{}
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return reconcile.Result{RequeueAfter: time.Millisecond}, errors.New("interrupted")
		}))
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	w.join("alpha", alpha, alpha.Server)
	for _, name := range names {
		makeIn(t, alpha, configMap(ns, name))
	}
	<-started
	depth := func() float64 { return metric(t, "workqueue_depth", map[string]string{"controller": "leaver"}) }
	eventually(t, "the others wait", func() bool { return depth() == 2 })
	w.told.remove("alpha")
	if err := <-ended; !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("the reconcile ended because of %v", err)
	}
	dropped := func(reason string) float64 {
		return metric(t, "hawser_fleet_requests_dropped_total", map[string]string{"controller": "leaver", "reason": reason})
	}
	eventually(t, "what waited is dropped and counted", func() bool { return dropped("cluster_gone") >= 2 && dropped("cluster_left") == 1 })
	eventually(t, "nothing waits", func() bool { return depth() == 0 })
	if n := tried.all(); n != 1 {
		t.Errorf("%d reconciles began, want the one that was under way", n)
	}

	// The same name again is another cluster, and starts anew.
	w.join("alpha", alpha, alpha.Server)
	<-started
	w.told.remove("alpha")
	if err := <-ended; !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("the second reconcile ended because of %v", err)
	}
}

func TestWhatIsParkedForAClusterThatLeavesIsDropped(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	local := fleettest.Use(t, "local").Namespace(t)
	proxy := alpha.Proxy(t)
	w := newWorld(t)
	err := fleet.NewControllerManagedBy(w.Fleet).Named("parker").
		WatchesLocal(&corev1.ConfigMap{}, func(_ context.Context, obj client.Object) []fleet.Request {
			if obj.GetNamespace() != local {
				return nil
			}
			return []fleet.Request{fleet.NewRequest("alpha", "default", obj.GetName())}
		}).
		Complete(reconcileFunc(func(ctx context.Context, r fleet.Request) (reconcile.Result, error) {
			c, err := w.Get(r.Cluster)
			if err == nil {
				err = c.GetAPIReader().Get(ctx, r.NamespacedName, &corev1.ConfigMap{})
			}
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}))
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	c := w.join("alpha", alpha, proxy.URL)
	proxy.Cut()
	eventually(t, "the cut is noticed", func() bool { return c.Age() > 0 })
	makeIn(t, w.local, configMap(local, "one"))
	parked := func() float64 {
		return metric(t, "hawser_fleet_requests_parked", map[string]string{"controller": "parker"})
	}
	eventually(t, "requests are parked", func() bool { return parked() >= 1 })
	w.told.remove("alpha")
	eventually(t, "they are dropped", func() bool {
		return parked() == 0 && metric(t, "hawser_fleet_requests_dropped_total", map[string]string{"controller": "parker", "reason": "cluster_gone"}) >= 1
	})
}
