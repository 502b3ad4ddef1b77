package fleet_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

// reconcileFunc is a reconciler made of a function.
type reconcileFunc = reconcile.TypedFunc[fleet.Request]

func TestAClusterThatIsCutOffKeepsItsCacheAndCatchesUp(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	ns, local := alpha.Namespace(t), fleettest.Use(t, "local").Namespace(t)
	proxy := alpha.Proxy(t)
	w := newWorld(t)
	var reconciled, deleted seen
	var writes, failed atomic.Int32
	err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).
		WatchesLocal(&corev1.ConfigMap{}, func(_ context.Context, obj client.Object) []fleet.Request {
			if obj.GetNamespace() != local || obj.GetName() != "order" {
				return nil
			}
			return []fleet.Request{fleet.NewRequest("alpha", ns, "written")}
		}).
		Complete(reconcileFunc(func(ctx context.Context, r fleet.Request) (reconcile.Result, error) {
			reconciled.add(r)
			c, err := w.Get(r.Cluster)
			if err != nil {
				return reconcile.Result{}, err
			}
			if err := c.GetClient().Get(ctx, r.NamespacedName, &corev1.ConfigMap{}); apierrors.IsNotFound(err) {
				deleted.add(r)
			}
			if r.Namespace == ns && r.Name == "written" {
				writes.Add(1)
				if err := c.GetClient().Create(ctx, configMap(ns, "written")); client.IgnoreAlreadyExists(err) != nil {
					failed.Add(1)
					return reconcile.Result{}, err
				}
			}
			return reconcile.Result{}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	c := w.join("alpha", alpha, proxy.URL)
	makeIn(t, alpha, configMap(ns, "stays"), configMap(ns, "goes"))
	eventually(t, "both are reconciled", func() bool { return reconciled.of("alpha", ns, "stays")+reconciled.of("alpha", ns, "goes") == 2 })

	proxy.Cut()
	eventually(t, "the cut is noticed", func() bool { return c.Age() > 0 })
	if got, err := w.Get("alpha"); err != nil || got != c {
		t.Errorf("Get of a cluster with a cache: %v", err)
	}
	if err := c.GetClient().Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "goes"}, &corev1.ConfigMap{}); err != nil {
		t.Errorf("reading what is cached: %v", err)
	}
	fleettest.Eventually(t, patience, func() error { // until the probe has noticed
		began := time.Now()
		err := c.GetClient().Create(t.Context(), configMap(ns, "never"))
		if took := time.Since(began); took > time.Second {
			t.Errorf("writing failed after %s: %v", took, err)
		}
		if !errors.Is(err, fleet.ErrUnreachable) {
			return err
		}
		return nil
	})
	if metric(t, "hawser_fleet_cache_age_seconds", map[string]string{"cluster": "alpha", "cluster_id": c.ID()}) == 0 ||
		metric(t, "hawser_fleet_cluster_usable", map[string]string{"cluster": "alpha"}) != 0 {
		t.Error("the metrics do not tell of the cut")
	}
	if err := alpha.Client().CoreV1().ConfigMaps(ns).Delete(t.Context(), "goes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	makeIn(t, w.local, configMap(local, "order"))
	eventually(t, "a write has failed", func() bool { return failed.Load() > 0 })
	tried := writes.Load()
	age := c.Age()
	eventually(t, "the cache ages", func() bool { return c.Age() > age+time.Second })
	if n := writes.Load() - tried; n != 0 {
		t.Errorf("the write was tried %d times more while nobody could hear it", n)
	}

	proxy.Restore()
	eventually(t, "the deletion is seen", func() bool { return deleted.of("alpha", ns, "goes") > 0 })
	eventually(t, "the cache is current", func() bool { return c.Age() == 0 })
	eventually(t, "what could not be written is", func() bool { return reconciled.of("alpha", ns, "written") > int(failed.Load()) })
	if c.Err() != nil {
		t.Errorf("after all that: %v", c.Err())
	}
}

func TestAnOldCacheIsRefusedWhereThatIsAskedFor(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	proxy := alpha.Proxy(t)
	w := newWorld(t, func(o *fleet.Options) { o.StaleAfter = 2 * time.Second }).run()
	c := w.join("alpha", alpha, proxy.URL)
	if err := c.GetClient().List(t.Context(), &corev1.ConfigMapList{}); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	eventually(t, "the cache is stale", func() bool {
		got, err := w.Get("alpha")
		return got == c && errors.Is(err, fleet.ErrStale)
	})
	if err := c.GetClient().List(t.Context(), &corev1.ConfigMapList{}); !errors.Is(err, fleet.ErrStale) {
		t.Errorf("reading a stale cache: %v", err)
	}
	proxy.Restore()
	w.ready("alpha")
	fleettest.Eventually(t, patience, func() error { return c.GetClient().List(t.Context(), &corev1.ConfigMapList{}) })
}
