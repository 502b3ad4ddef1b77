package shard_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

// few is an inventory of some names for one cluster.
type few struct {
	spec   connection.Spec
	source credential.Source
	names  []string
}

// Run implements inventory.Inventory.
func (f few) Run(ctx context.Context, to inventory.Sink) error {
	for _, name := range f.names {
		c := inventory.Cluster{Spec: f.spec, Source: f.source}
		c.Spec.Name = name
		to.Set(c)
	}
	to.Synced()
	<-ctx.Done()
	return nil
}

// working counts the reconciles that run now, by cluster and replica.
type working struct {
	mu   sync.Mutex
	now  map[string]map[string]int
	hold chan struct{} // reconciles wait for its end, or for theirs
}

func (w *working) reconcile(t *testing.T, replica string) reconcile.TypedFunc[fleet.Request] {
	return func(ctx context.Context, r fleet.Request) (reconcile.Result, error) {
		w.mu.Lock()
		if w.now[r.Cluster] == nil {
			w.now[r.Cluster] = map[string]int{}
		}
		w.now[r.Cluster][replica]++
		for other, n := range w.now[r.Cluster] {
			if other != replica && n > 0 {
				t.Errorf("%s reconciles %s while %s does", replica, r.Cluster, other)
			}
		}
		w.mu.Unlock()
		select {
		case <-w.hold:
		case <-ctx.Done():
		}
		w.mu.Lock()
		w.now[r.Cluster][replica]--
		w.mu.Unlock()
		return reconcile.Result{}, nil
	}
}

func TestAFleetThatTwoReplicasDivide(t *testing.T) {
	g := newGroup(t)
	token := credential.NewToken(g.cluster.Token(t, g.namespace, "default", time.Hour), "a token")
	g.admit()
	inv := few{names: clusterNames(4), source: inventory.Fixed(token), spec: connection.Spec{Endpoint: credential.Endpoint{Server: g.cluster.Server, CAData: g.cluster.CA()}}}
	w := &working{now: map[string]map[string]int{}, hold: make(chan struct{})}
	join := func(name string) (*fleet.Fleet, *fleettest.Running) {
		r, err := shard.New(g.cluster.AdminConfig(), shard.Options{Namespace: g.namespace, Replica: name, Times: shard.Times{Duration: lease}, Log: logr.Discard()})
		if err != nil {
			t.Fatal(err)
		}
		o := fleet.Options{Inventory: shard.Inventory(inv, r), Connection: connection.Options{Wrap: r.Wrap}}
		o.Manager.Metrics, o.Manager.Logger = metricsserver.Options{BindAddress: "0"}, logr.Discard()
		f, err := fleet.New(g.cluster.AdminConfig(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Manager().Add(r); err != nil {
			t.Fatal(err)
		}
		err = fleet.NewControllerManagedBy(f).For(&corev1.Namespace{}).
			WithOptions(controller.TypedOptions[fleet.Request]{SkipNameValidation: new(true), MaxConcurrentReconciles: 4}).Complete(w.reconcile(t, name))
		if err != nil {
			t.Fatal(err)
		}
		return f, fleettest.Background(t, name, f.Start)
	}
	has := func(f *fleet.Fleet, n int) {
		t.Helper()
		fleettest.Eventually(t, patience, func() error {
			if got := len(f.Clusters()); got != n {
				return fmt.Errorf("it has %d clusters, and not %d", got, n)
			}
			return nil
		})
	}
	first, running := join("hawser-0")
	has(first, 4)
	second, _ := join("hawser-1")
	has(first, 2)
	has(second, 2)
	running.Stop()
	has(second, 4)
	close(w.hold)
}
