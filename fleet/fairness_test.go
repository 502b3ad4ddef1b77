package fleet_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

// A noisy cluster sends as many events as it can, and each of its reconciles takes its time, so that it would
// keep every worker busy for ever. A quiet one must not notice.
func TestANoisyClusterDoesNotDelayAQuietOne(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	noisyNS, quietNS := alpha.Namespace(t), beta.Namespace(t)
	w := newWorld(t)
	var noise atomic.Int64
	var mu sync.Mutex
	sent := map[string]time.Time{}
	var latencies []time.Duration
	err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).
		WatchesAcross(&corev1.ConfigMap{}, func(_ context.Context, c *fleet.Cluster, obj client.Object) (all []fleet.Request) {
			if c.Name() != "noisy" || obj.GetNamespace() != noisyNS {
				return nil
			}
			for i := range 100 { // each event is a hundred
				all = append(all, fleet.NewRequest("noisy", noisyNS, fmt.Sprintf("%s-%s-%d", obj.GetName(), obj.GetResourceVersion(), i)))
			}
			return all
		}).
		WithOptions(controller.TypedOptions[fleet.Request]{MaxConcurrentReconciles: 4}).
		Complete(reconcileFunc(func(ctx context.Context, r fleet.Request) (reconcile.Result, error) {
			if r.Cluster == "noisy" {
				noise.Add(1)
				pause(ctx, 5*time.Millisecond)
				return reconcile.Result{}, nil
			}
			mu.Lock()
			defer mu.Unlock()
			if at, ok := sent[r.Name]; ok && r.Namespace == quietNS {
				latencies = append(latencies, time.Since(at))
				delete(sent, r.Name)
			}
			return reconcile.Result{}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	w.join("noisy", alpha, alpha.Server)
	w.join("quiet", beta, beta.Server)
	ctx, cancel := context.WithCancel(t.Context())
	var noisy sync.WaitGroup
	defer noisy.Wait()
	defer cancel()
	makeIn(t, alpha, configMap(noisyNS, "drum"))
	clients := kubernetes.NewForConfigOrDie(alpha.AdminConfig())
	noisy.Go(func() {
		for i := 0; ctx.Err() == nil; i++ { // 50 updates a second, 5,000 requests
			patch := fmt.Appendf(nil, `{"data":{"n":"%d"}}`, i)
			_, _ = clients.CoreV1().ConfigMaps(noisyNS).Patch(ctx, "drum", types.MergePatchType, patch, metav1.PatchOptions{})
			pause(ctx, 20*time.Millisecond)
		}
	})
	eventually(t, "it is noisy", func() bool { return noise.Load() > 300 })
	for i := range 40 {
		name := fmt.Sprintf("quiet-%d", i)
		mu.Lock()
		sent[name] = time.Now()
		mu.Unlock()
		makeIn(t, beta, configMap(quietNS, name))
	}
	eventually(t, "the quiet one is reconciled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(latencies) == 40
	})
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(latencies)
	t.Logf("the quiet cluster: median %s, worst %s; noise: %d requests worked on", latencies[20], latencies[39], noise.Load())
	if worst := latencies[39]; worst > time.Second {
		t.Errorf("beside a noisy cluster a reconcile came after %s", worst)
	}
}

// A slow cluster never answers its reconciles.
func TestASlowClusterDoesNotHoldAllWorkers(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	slowNS, ns := alpha.Namespace(t), beta.Namespace(t)
	w := newWorld(t)
	var got, stuck seen
	err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).
		WithOptions(controller.TypedOptions[fleet.Request]{MaxConcurrentReconciles: 2}).
		Complete(reconcileFunc(func(ctx context.Context, r fleet.Request) (reconcile.Result, error) {
			if r.Cluster == "slow" && r.Namespace == slowNS {
				stuck.add(r)
				<-ctx.Done()
			}
			got.add(r)
			return reconcile.Result{}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	w.join("slow", alpha, alpha.Server)
	w.join("good", beta, beta.Server)
	for i := range 5 {
		makeIn(t, alpha, configMap(slowNS, fmt.Sprint("stuck-", i)))
	}
	eventually(t, "it is slow", func() bool { return stuck.all() > 0 })
	makeIn(t, beta, configMap(ns, "one"), configMap(ns, "two"))
	eventually(t, "the good one is reconciled", func() bool { return got.of("good", ns, "one") > 0 && got.of("good", ns, "two") > 0 })
	if n := stuck.all(); n != 1 {
		t.Errorf("the slow cluster holds %d workers of 2", n)
	}
	w.told.remove("slow")
}

// pause lets time pass, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
