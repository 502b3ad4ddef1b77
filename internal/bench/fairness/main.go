// Command fairness measures how long the events of 99 quiet clusters wait to be
// reconciled while another one sends 1,000 a second, more than there are workers
// for. All of them are real: writes to API servers, seen by watches.
//
// The quiet clusters are namespaces of one API server, each a cluster of its own to
// the fleet; the noisy one is another API server. A control run with a queue that
// is not fair must be worse, or the measurement would prove nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/internal/bench"
)

const (
	quiet     = 99
	quietRate = 99 // events a second, of all of them together
	noise     = 1000
	noiseRate = 1000 // events a second
	// work is how long a reconcile takes, waiting, as for an answer: eight workers can do 400 a second.
	work   = 20 * time.Millisecond
	warmup = 4 * time.Second
	window = 20 * time.Second
)

// fifo is the queue that controllers have elsewhere.
func fifo(name string, limiter workqueue.TypedRateLimiter[fleet.Request]) workqueue.TypedRateLimitingInterface[fleet.Request] {
	return workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[fleet.Request]{Name: name})
}

func main() {
	bench.Main("fairness", []string{"alpha", "beta"}, func(b *bench.Bench) error {
		s := &scene{Bench: b, names: &bench.Names{}}
		if err := s.set(); err != nil {
			return err
		}
		alone, err := s.run(controller.TypedOptions[fleet.Request]{}, 0)
		if err != nil {
			return err
		}
		if _, err := s.run(controller.TypedOptions[fleet.Request]{}, 0); err != nil {
			return err
		}
		fair, err := s.run(controller.TypedOptions[fleet.Request]{}, noiseRate)
		if err != nil {
			return err
		}
		unfair, err := s.run(controller.TypedOptions[fleet.Request]{NewQueue: fifo}, noiseRate)
		if err != nil {
			return err
		}
		note := fmt.Sprintf("from the moment that a write of a quiet cluster is sent to its reconcile; %d quiet, 1 event a second each; one sends %.0f a second; a reconcile takes %s, %d workers",
			quiet, fair.noise, work, fleet.DefaultWorkers)
		b.Add("p99_ms", bench.Milliseconds(bench.Quantile(fair.sent, 0.99)), "ms", note)
		b.Add("p50_ms", bench.Milliseconds(bench.Median(fair.sent)), "ms", "")
		b.Add("queued_p99_ms", bench.Milliseconds(bench.Quantile(fair.queued, 0.99)), "ms", "of this in the queue: from the watch event to the reconcile")
		b.Add("noisy_reconciles_per_s", fair.noisy, "1/s", "of the noisy cluster meanwhile")
		b.Add("quiet_alone_p99_ms", bench.Milliseconds(bench.Quantile(alone.sent, 0.99)), "ms", "without noise")
		b.Add("unfair_queued_p99_ms", bench.Milliseconds(bench.Quantile(unfair.queued, 0.99)), "ms", "the same with the queue of client-go")
		if bench.Quantile(unfair.queued, 0.99) < 2*bench.Quantile(fair.queued, 0.99) {
			return errors.New("the control run is as good: nothing was measured")
		}
		return nil
	})
}

// run runs a controller over all clusters for a while, with so many noisy events a second.
func (s *scene) run(o controller.TypedOptions[fleet.Request], rate int) (found, error) {
	s.Say("%d noisy events a second", rate)
	o.SkipNameValidation = new(true)
	m := &meter{}
	f, err := s.Start(s.beta, fleet.Options{Inventory: s.names}, func(f *fleet.Fleet) error { return m.attach(f, o) })
	if err != nil {
		return found{}, err
	}
	if err := f.Connected(s.Ctx, quiet+1); err != nil {
		return found{}, err
	}
	if err := bench.Until(s.Ctx, "what is there to be reconciled", func() bool { return m.noisy.Load() >= noise && m.idle() }); err != nil {
		return found{}, err
	}
	ctx, stop := context.WithTimeout(s.Ctx, warmup+window)
	defer stop()
	failed := make(chan error, 2)
	go func() { failed <- s.writeQuiet(ctx) }() // both end with ctx
	go func() { failed <- s.writeNoise(ctx, rate) }()
	timer := time.NewTimer(warmup)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	m.take()
	noise, noisy := s.noise.Load(), m.noisy.Load()
	<-ctx.Done()
	taken := m.take()
	taken.noise = float64(s.noise.Load()-noise) / window.Seconds()
	taken.noisy = float64(m.noisy.Load()-noisy) / window.Seconds()
	if err := errors.Join(<-failed, <-failed); err != nil {
		return found{}, err
	}
	return taken, f.End()
}
