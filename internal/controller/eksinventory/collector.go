package eksinventory

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/eks"
	"github.com/hawser-io/hawser/inventory/registry"
)

const (
	defaultInterval = 10 * time.Minute
	// firstRetry is how long after a look with gaps comes the next; it doubles up to the interval.
	firstRetry = time.Minute
)

// result is what a look found.
type result struct {
	at      time.Time
	answers []eks.Answer
}

// collector looks for one inventory, in a goroutine of its own.
type collector struct {
	uid        types.UID
	generation int64
	stop       context.CancelFunc
	again      chan struct{}

	mu   sync.Mutex
	last *result // of the spec of this generation
}

func (c *collector) result() *result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *collector) keep(r *result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = r
}

// hurry asks for a look now, where the last one had gaps.
func (c *collector) hurry() {
	if last := c.result(); last == nil || !last.hasGaps() {
		return
	}
	select {
	case c.again <- struct{}{}:
	default: // it was asked for already
	}
}

// collector returns that of an inventory. It is made, and made anew for another spec.
func (r *Reconciler) collector(inv *v1alpha1.EKSInventory) *collector {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.collectors[inv.Name]
	if c != nil && c.uid == inv.UID && c.generation == inv.Generation {
		return c
	}
	if c != nil {
		c.stop()
	}
	if r.ended {
		return &collector{}
	}
	ctx, stop := context.WithCancel(r.lifetime)
	c = &collector{uid: inv.UID, generation: inv.Generation, stop: stop, again: make(chan struct{}, 1)}
	if r.collectors == nil {
		r.collectors = map[string]*collector{}
	}
	r.collectors[inv.Name] = c
	name, spec := inv.Name, *inv.Spec.DeepCopy()
	r.running.Go(func() { r.collect(ctx, c, name, spec) })
	return c
}

// forget ends what is done for an inventory that is gone.
func (r *Reconciler) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.collectors[name]; c != nil {
		c.stop()
	}
	delete(r.collectors, name)
	delete(r.written, name)
}

// collect looks again and again until ctx ends.
func (r *Reconciler) collect(ctx context.Context, c *collector, name string, spec v1alpha1.EKSInventorySpec) {
	for incomplete := 0; ; {
		l := &look{identities: r.Identities, sessions: r.Sessions, clusters: r.Clusters, spec: spec, timeout: r.CallTimeout, parallel: r.Parallel}
		found := &result{answers: l.run(ctx), at: r.Clock.Now()}
		if ctx.Err() != nil {
			return
		}
		c.keep(found)
		r.enqueue(name)
		if found.settled() {
			incomplete = 0
		} else {
			incomplete++
		}
		timer := r.Clock.NewTimer(pause(spec, incomplete, rand.Float64()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		case <-c.again:
			timer.Stop()
		}
	}
}

// pause until the next look: the interval, or less while something is missing. Jitter keeps inventories
// from looking all at once.
func pause(spec v1alpha1.EKSInventorySpec, incomplete int, jitter float64) time.Duration {
	wait := defaultInterval
	if spec.Interval != nil {
		wait = spec.Interval.Duration
	}
	if incomplete > 0 {
		wait = min(wait, firstRetry<<min(incomplete-1, 10))
	}
	return wait - time.Duration(jitter*0.1*float64(wait))
}

func (r *result) hasGaps() bool {
	return slices.ContainsFunc(r.answers, func(a eks.Answer) bool { return len(a.Gaps) > 0 })
}

// settled reports whether all is known, and no cluster about to come up.
func (r *result) settled() bool {
	for _, a := range r.answers {
		for _, c := range a.Clusters {
			if registry.Unusable(c) != "" {
				return false
			}
		}
	}
	return !r.hasGaps()
}
