package main

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/fleet"
)

// meter is a controller that measures how late it is.
type meter struct {
	fleet *fleet.Fleet
	noisy atomic.Int64 // reconciles of the noisy cluster
	busy  atomic.Int64 // when the last reconcile began, in Unix nanoseconds

	mu      sync.Mutex
	arrived map[fleet.Request]time.Time // events that wait
	found   found
}

// found is what was measured of quiet clusters, and how many events and reconciles a second the noisy one had.
type found struct {
	sent, queued []time.Duration
	noise, noisy float64
}

func (m *meter) attach(f *fleet.Fleet, o controller.TypedOptions[fleet.Request]) error {
	m.fleet, m.arrived = f, map[fleet.Request]time.Time{}
	return fleet.NewControllerManagedBy(f).Named("fairness").WithOptions(o).
		WatchesAcross(&corev1.ConfigMap{}, m.arrive).
		Complete(reconcile.TypedFunc[fleet.Request](m.reconcile))
}

// arrive is called for each event, by the watch that it came over.
func (m *meter) arrive(_ context.Context, c *fleet.Cluster, obj client.Object) []fleet.Request {
	r := fleet.NewRequest(c.Name(), obj.GetNamespace(), obj.GetName())
	if c.Name() == noisyName {
		return []fleet.Request{r}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, waits := m.arrived[r]; !waits {
		m.arrived[r] = time.Now()
	}
	return []fleet.Request{r}
}

func (m *meter) reconcile(ctx context.Context, r fleet.Request) (reconcile.Result, error) {
	begin := time.Now()
	m.busy.Store(begin.UnixNano())
	if r.Cluster == noisyName {
		m.noisy.Add(1)
	} else if err := m.measure(ctx, r, begin); err != nil {
		return reconcile.Result{}, err
	}
	waits := time.NewTimer(work)
	defer waits.Stop()
	select {
	case <-waits.C:
	case <-ctx.Done():
	}
	return reconcile.Result{}, nil
}

// measure looks at when the object that is in the cache was sent.
func (m *meter) measure(ctx context.Context, r fleet.Request, begin time.Time) error {
	c, err := m.fleet.Get(r.Cluster)
	if err != nil {
		return err
	}
	var object corev1.ConfigMap
	if err := c.GetClient().Get(ctx, r.NamespacedName, &object); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	sent, err := strconv.ParseInt(object.Data[sentKey], 10, 64)
	if err != nil {
		return nil // not one of ours
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found.sent = append(m.found.sent, begin.Sub(time.Unix(0, sent)))
	m.found.queued = append(m.found.queued, begin.Sub(m.arrived[r]))
	delete(m.arrived, r)
	return nil
}

// idle reports that nothing has been reconciled for a while.
func (m *meter) idle() bool { return time.Since(time.Unix(0, m.busy.Load())) > time.Second }

// take returns what was measured since it was last called.
func (m *meter) take() found {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.found
	m.found = found{}
	return taken
}
