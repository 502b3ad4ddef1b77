package fleet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

// usage is what a process holds when it is at rest.
type usage struct {
	goroutines int
	heap       uint64
}

func atRest() usage {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{runtime.NumGoroutine(), m.HeapAlloc}
}

// flat waits until as many goroutines run as before, and says which do if that does not happen.
func flat(t *testing.T, before usage, slack int, heapSlack uint64) {
	t.Helper()
	deadline := time.Now().Add(patience)
	now := atRest()
	for ; now.goroutines > before.goroutines+slack && time.Now().Before(deadline); now = atRest() {
		pause(t.Context(), 50*time.Millisecond)
	}
	if now.goroutines > before.goroutines+slack {
		var stacks bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Errorf("%d goroutines, %d before\n%s", now.goroutines, before.goroutines, stacks.String()[:min(stacks.Len(), 8000)])
	}
	if now.heap > before.heap+heapSlack {
		t.Errorf("%d bytes of heap, %d before", now.heap, before.heap)
	}
	t.Logf("goroutines %d → %d, heap %d → %d kB", before.goroutines, now.goroutines, before.heap>>10, now.heap>>10)
}

func TestRotationsLeaveNothingBehind(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	w := newWorld(t)
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).Owns(&corev1.Secret{}).Complete(&seen{}); err != nil {
		t.Fatal(err)
	}
	w.run()
	c := w.join("alpha", alpha, alpha.Server)
	rotate := func(i int) {
		next := clusterAt("alpha", alpha, alpha.Server, token(t, alpha))
		next.Version = fmt.Sprint(i)
		at := c.State().RenewedAt
		w.told.set(next)
		eventually(t, "the new credential is in use", func() bool { return c.State().RenewedAt.After(at) })
	}
	for i := range 5 {
		rotate(-i - 1)
	}
	before := atRest()
	for i := range 100 {
		rotate(i)
	}
	flat(t, before, 5, 4<<20)
}

func TestClustersThatComeAndGoLeaveNothingBehind(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	good, hole, dead := token(t, alpha), alpha.Proxy(t), alpha.Proxy(t)
	hole.BlackHoleTCP()
	dead.Cut()
	w := newWorld(t)
	if err := w.IndexField(t.Context(), &corev1.ConfigMap{}, "name", func(obj client.Object) []string { return []string{obj.GetName()} }); err != nil {
		t.Fatal(err)
	}
	var got seen
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).Owns(&corev1.Secret{}).Complete(&got); err != nil {
		t.Fatal(err)
	}
	w.run()
	cycle := func(i int) {
		name := fmt.Sprint("c", i)
		w.told.set(clusterAt(name, alpha, alpha.Server, good))
		w.told.set(clusterAt(name+"-hole", alpha, hole.URL, good))
		w.told.set(clusterAt(name+"-dead", alpha, dead.URL, good))
		c := w.ready(name)
		fleettest.Eventually(t, patience, func() error { return c.GetClient().List(t.Context(), &corev1.ConfigMapList{}) })
		c.GetEventRecorder("test").Eventf(configMap("default", "none"), nil, corev1.EventTypeNormal, "Test", "Test", "cycle %d", i)
		for _, n := range []string{name, name + "-hole", name + "-dead"} {
			w.told.remove(n)
		}
		<-c.Done()
	}
	for i := range 5 {
		cycle(-i - 1)
	}
	eventually(t, "all have left", func() bool { return len(w.Clusters()) == 0 })
	hole.DropConnections() // its own goroutines are not what is counted
	before := settled(t)
	for i := range 100 {
		cycle(i)
	}
	eventually(t, "all have left", func() bool { return len(w.Clusters()) == 0 })
	hole.DropConnections()
	// net/http keeps what is left of a connection for the ninety seconds of its idle timer.
	flat(t, before, 5, 16<<20)
}

func TestWhatWasNeverListedLeavesNothingBehind(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	stranger := tokenOf(t, alpha, "stranger", "")
	several := cache.ByObject{Namespaces: map[string]cache.Config{"default": {}, "kube-system": {}, "kube-public": {}}}
	w := newWorld(t, func(o *fleet.Options) {
		o.Cache.ByObject = map[client.Object]cache.ByObject{&corev1.ConfigMap{}: several}
	})
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).Complete(&seen{}); err != nil {
		t.Fatal(err)
	}
	w.run()
	cycle := func(i int) {
		name := fmt.Sprint("c", i)
		w.told.set(clusterAt(name, alpha, alpha.Server, stranger))
		c := w.ready(name)
		eventually(t, "it may not list", func() bool {
			return errors.Is(c.GetClient().List(t.Context(), &corev1.ConfigMapList{}), fleet.ErrUnauthorized)
		})
		w.told.remove(name)
		<-c.Done()
		if err := c.GetClient().List(t.Context(), &corev1.ConfigMapList{}); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("reading a cluster that has left says %v", err)
		}
	}
	cycle(-1)
	eventually(t, "it has left", func() bool { return len(w.Clusters()) == 0 })
	before := settled(t)
	for i := range 10 {
		cycle(i)
	}
	eventually(t, "all have left", func() bool { return len(w.Clusters()) == 0 })
	flat(t, before, 5, 16<<20)
}

// settled waits until no goroutine ends any more.
func settled(t *testing.T) usage {
	t.Helper()
	last, since := atRest(), time.Now()
	for time.Since(since) < time.Second {
		pause(t.Context(), 50*time.Millisecond)
		if now := atRest(); now.goroutines != last.goroutines {
			last, since = now, time.Now()
		}
	}
	return last
}

func TestFortyGoroutinesAtOnce(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	servers := []*fleettest.Cluster{alpha, beta}
	tokens := []string{token(t, alpha), token(t, beta)}
	w := newWorld(t)
	var got seen
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).Complete(&got); err != nil {
		t.Fatal(err)
	}
	w.run()
	const clusters, goroutines = 8, 40
	add := func(i int) {
		c := clusterAt(fmt.Sprint("c", i), servers[i%2], servers[i%2].Server, tokens[i%2])
		c.Properties = map[string]string{"n": fmt.Sprint(rand.Int())}
		c.Version = fmt.Sprint(rand.IntN(3))
		w.told.set(c)
	}
	for i := range clusters {
		add(i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				name := fmt.Sprint("c", rand.IntN(clusters))
				switch g % 5 {
				case 0:
					field := fmt.Sprintf("f%d-%d", g, n)
					if n < 3 {
						if err := w.IndexField(ctx, &corev1.ConfigMap{}, field, func(obj client.Object) []string { return []string{obj.GetName()} }); err != nil {
							t.Error(err)
						}
					}
					pause(ctx, 50*time.Millisecond)
				case 1:
					c, err := w.Get(name)
					if c == nil && !errors.Is(err, fleet.ErrNotFound) {
						t.Errorf("Get: %v", err)
					} else if c != nil {
						_, _, _ = c.Age(), c.ID(), c.State()
					}
				case 2:
					for _, c := range w.Clusters() {
						short, done := context.WithTimeout(ctx, 200*time.Millisecond)
						err := c.GetClient().List(short, &corev1.ConfigMapList{})
						var known *fleet.ClusterError
						if err != nil && !errors.As(err, &known) && ctx.Err() == nil && short.Err() == nil && c.Err() == nil {
							t.Errorf("List: %v", err)
						}
						done()
					}
				case 3:
					add(rand.IntN(clusters))
					pause(ctx, 10*time.Millisecond)
				case 4:
					if n%10 == 0 {
						w.told.remove(name)
					}
					stop := w.Watch(fleet.Hook{Engaged: func(c *fleet.Cluster) { _ = c.Properties() }})
					pause(ctx, 10*time.Millisecond)
					stop()
				}
			}
		})
	}
	all.Wait()
	for i := range clusters {
		add(i)
	}
	for i := range clusters {
		c := w.ready(fmt.Sprint("c", i))
		fleettest.Eventually(t, patience, func() error {
			return c.GetClient().List(t.Context(), &corev1.ConfigMapList{}, client.MatchingFields{"f0-0": "kube-root-ca.crt"})
		})
	}
}

func TestAThousandNames(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	const clusters = 1000
	servers := []*fleettest.Cluster{alpha, beta}
	tokens := []string{token(t, alpha), token(t, beta)}
	w := newWorld(t, func(o *fleet.Options) { o.Connection.ProbeInterval = time.Minute })
	w.run()
	before := atRest()
	began := time.Now()
	w.told.tell(func(to inventory.Sink) {
		for i := range clusters {
			to.Set(clusterAt(fmt.Sprintf("c%04d", i), servers[i%2], servers[i%2].Server, tokens[i%2]))
		}
	})
	fleettest.Eventually(t, 2*time.Minute, func() error {
		if n := len(w.Clusters()); n != clusters {
			return fmt.Errorf("%d clusters are in the fleet", n)
		}
		return nil
	})
	t.Logf("%d names are in the fleet after %s", clusters, time.Since(began))
	fleettest.Eventually(t, 2*time.Minute, func() error {
		for _, c := range w.Clusters() {
			if err := c.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	now := atRest()
	t.Logf("all are connected after %s: %d goroutines and %d kB of heap each", time.Since(began),
		(now.goroutines-before.goroutines)/clusters, (now.heap-before.heap)>>10/clusters)
	began = time.Now()
	w.stop()
	t.Logf("all have ended after %s", time.Since(began))
}
