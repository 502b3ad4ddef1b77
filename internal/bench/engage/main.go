// Command engage measures how long it takes from the moment that 100 clusters
// are declared until every cache of theirs is in sync, 1,000 pods in each, with a
// controller and an index on them; and the same with ten clusters declared first
// that never answer.
package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
)

const (
	living = 100
	dead   = 10
	pods   = 1000
	pairs  = 6
	ahead  = 2 * time.Second // by which the dead are declared first
)

func main() {
	bench.Main("engage", []string{"alpha", "beta"}, func(b *bench.Bench) error {
		s := &scene{Bench: b}
		if err := s.set("alpha", "beta"); err != nil {
			return err
		}
		if _, err := s.once(nil); err != nil { // warms up
			return err
		}
		var with, without, all []time.Duration
		for i := range pairs {
			free, burdened, err := bench.Pair(i%2 == 1, func(burden bool) (time.Duration, error) {
				if burden {
					t, err := s.once(s.holes)
					return t.engaged, err
				}
				t, err := s.once(nil)
				all = append(all, t.reconciled)
				return t.engaged, err
			})
			if err != nil {
				return err
			}
			b.Say("run %d: %s without dead ones, %s with", i+1, free, burdened)
			with, without = append(with, burdened), append(without, free)
		}
		b.Add("seconds", bench.Median(without).Seconds(), "s",
			fmt.Sprintf("until the caches of %d clusters, names of %d API servers, %d %s each, are in sync; a controller and an index; median of %d", living, len(s.clusters), pods, s.size, pairs))
		b.Add("reconciled_seconds", bench.Median(all).Seconds(), "s", "until each pod was reconciled")
		b.Add("seconds_with_dead", bench.Median(with).Seconds(), "s", fmt.Sprintf("the same with %d dead declared %s before", dead, ahead))
		b.Add("ratio", bench.Median(with).Seconds()/bench.Median(without).Seconds(), "", "with dead ones to without; taken in turns")
		return nil
	})
}

// scene is a few API servers with pods, and proxies that swallow everything.
type scene struct {
	*bench.Bench
	clusters []bench.Filled
	holes    []*fleettest.Cluster
	size     string
}

func (s *scene) set(names ...string) error {
	for _, name := range names {
		c, err := s.Filled(name, pods)
		if err != nil {
			return err
		}
		s.clusters = append(s.clusters, c)
	}
	var err error
	if s.size, err = s.clusters[0].PodSize(s.Ctx); err != nil {
		return err
	}
	s.holes, err = bench.Holes(s.clusters[0].Cluster, dead)
	return err
}

// times are since the living were declared.
type times struct{ engaged, reconciled time.Duration }

// once declares the dead, then the living, and waits for the living.
func (s *scene) once(holes []*fleettest.Cluster) (times, error) {
	runtime.GC() // what the run before left is not for this one to clear away
	var synced, reconciled atomic.Int64
	var last atomic.Pointer[time.Time]
	names := &bench.Names{}
	f, err := s.Start(s.clusters[0].Cluster, fleet.Options{Inventory: names}, func(f *fleet.Fleet) error {
		f.Watch(fleet.Hook{Engaged: func(c *fleet.Cluster) {
			if !strings.HasPrefix(c.Name(), "live") {
				return
			}
			if _, err := c.GetCache().GetInformer(s.Ctx, &corev1.Pod{}); err == nil {
				now := time.Now()
				last.Store(&now)
				synced.Add(1)
			}
		}})
		return prepare(s.Ctx, f, &reconciled)
	})
	if err != nil {
		return times{}, err
	}
	for i, hole := range holes {
		names.Set(bench.Named(fmt.Sprintf("dead-%d", i), hole, s.clusters[0].Token.Credential))
	}
	// As those who measured others did: whoever is dead hangs already when the living are declared.
	declared := time.Now()
	if err := bench.Until(s.Ctx, "the dead to hang", func() bool { return time.Since(declared) > ahead }); err != nil {
		return times{}, err
	}
	begin := time.Now()
	for i := range living {
		c := s.clusters[i%len(s.clusters)]
		names.Set(bench.Named(fmt.Sprintf("live-%d", i), c.Cluster, c.Token.Credential))
	}
	if err := bench.Until(s.Ctx, "caches to be in sync", func() bool { return synced.Load() == living }); err != nil {
		return times{}, err
	}
	if err := bench.Until(s.Ctx, "pods to be reconciled", func() bool { return reconciled.Load() >= living*pods }); err != nil {
		return times{}, err
	}
	t := times{last.Load().Sub(begin), time.Since(begin)}
	if n := reconciled.Load(); n != living*pods {
		return t, fmt.Errorf("%d reconciles of %d pods", n, living*pods)
	}
	return t, f.End()
}

// prepare adds what others were measured with: a controller of pods, and an index by node.
func prepare(ctx context.Context, f *fleet.Fleet, reconciled *atomic.Int64) error {
	err := f.IndexField(ctx, &corev1.Pod{}, "spec.nodeName", func(obj client.Object) []string {
		if p, ok := obj.(*corev1.Pod); ok {
			return []string{p.Spec.NodeName}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return fleet.NewControllerManagedBy(f).For(&corev1.Pod{}).
		WithOptions(controller.TypedOptions[fleet.Request]{SkipNameValidation: new(true)}).
		Complete(reconcile.TypedFunc[fleet.Request](func(context.Context, fleet.Request) (reconcile.Result, error) {
			reconciled.Add(1)
			return reconcile.Result{}, nil
		}))
}
