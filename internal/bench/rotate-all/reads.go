package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/internal/bench"
)

const pause = 5 * time.Millisecond // between two reads

// reads are how long reads took.
type reads struct {
	fleet        *fleet.Fleet
	live, cached []time.Duration
	failed       atomic.Int64
}

// begin reads one pod from one cluster after the other, from the API servers and from the caches, until stop,
// which waits for the end.
func (r *reads) begin(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { // both end with stop
		r.live = append(r.live, r.loop(ctx, func(c *fleet.Cluster) client.Reader { return c.GetAPIReader() })...)
	})
	wg.Go(func() {
		r.cached = append(r.cached, r.loop(ctx, func(c *fleet.Cluster) client.Reader { return c.GetClient() })...)
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func (r *reads) loop(ctx context.Context, reader func(*fleet.Cluster) client.Reader) (took []time.Duration) {
	clusters := r.fleet.Clusters()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return took
		case <-tick.C:
		}
		key := client.ObjectKey{Namespace: bench.PodNamespace, Name: bench.PodName(1 + i%pods)}
		begin := time.Now()
		// As a caller would: a cluster that cannot be found, or used, is a read that failed.
		c, err := r.fleet.Get(clusters[i%len(clusters)].Name())
		if err == nil {
			err = reader(c).Get(ctx, key, &corev1.Pod{})
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			r.failed.Add(1)
		default:
			took = append(took, time.Since(begin))
		}
	}
}
