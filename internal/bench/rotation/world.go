package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
)

// patience is how long anything may take before the run is given up.
const patience = 2 * time.Minute

// world is one connection with a cache and a controller on it, and a proxy that counts at the server's side.
type world struct {
	ctx      context.Context //nolint:containedctx // the life of one run
	cancel   context.CancelFunc
	cluster  *fleettest.Cluster
	proxy    *fleettest.HTTPProxy
	conn     *connection.Connection
	mint     minter
	admin    kubernetes.Interface
	firstPod int

	reconciles atomic.Int64 // of pods that nobody deleted
	doomed     sync.Map     // names of pods that are being deleted
	deleted    sync.Map     // names of pods whose deletion was reconciled
}

func size(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

// used counts the pods that earlier runs have deleted.
var used = 1

func newWorld(b *bench.Bench, c *fleettest.Cluster, mint minter) (*world, error) {
	proxy, err := c.NewHTTPProxy()
	if err != nil {
		return nil, err
	}
	w := &world{cluster: c, proxy: proxy, mint: mint, admin: c.Client(), firstPod: used}
	used += rotations * deletions
	w.ctx, w.cancel = context.WithCancel(b.Ctx)
	w.conn = connection.New(connection.Spec{
		Name: "alpha", QPS: 1000, Burst: 2000,
		Endpoint: credential.Endpoint{Server: proxy.URL, CAData: c.CA()},
	}, mint, connection.Options{ProbeInterval: time.Minute})
	go w.conn.Run(w.ctx)
	if err := w.startController(); err != nil {
		w.end()
		return nil, err
	}
	if err := w.until("every pod to be reconciled", func() bool { return w.reconciles.Load() >= int64(pods-w.firstPod+1) }); err != nil {
		w.end()
		return nil, err
	}
	// The first read of all pods takes longer than the short watches that come now.
	proxy.ForceWatchTimeout(watchTimeout)
	proxy.DropConnections()
	for range 2 { // from the second one on all is at rest
		if err := w.reopened(time.Now()); err != nil {
			w.end()
			return nil, err
		}
	}
	return w, nil
}

// startController runs a controller on pods, as anybody would over the connection's Config.
func (w *world) startController() error {
	if err := w.until("the connection", func() bool { return w.conn.State().Subject != "" }); err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(w.conn.Config(), ctrl.Options{Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		return fmt.Errorf("making a manager: %w", err)
	}
	err = ctrl.NewControllerManagedBy(mgr).For(&corev1.Pod{}).
		WithOptions(controller.Options{SkipNameValidation: new(true)}).
		Complete(reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
			if _, doomed := w.doomed.Load(r.Name); !doomed {
				w.reconciles.Add(1)
			}
			err := mgr.GetClient().Get(ctx, r.NamespacedName, &corev1.Pod{})
			if apierrors.IsNotFound(err) {
				w.deleted.Store(r.Name, true)
				err = nil
			}
			return reconcile.Result{}, err
		}))
	if err != nil {
		return fmt.Errorf("making a controller: %w", err)
	}
	go func() { _ = mgr.Start(w.ctx) }() // ends with the run
	return nil
}

// reopened waits until a watch on pods was opened after a moment and answered.
func (w *world) reopened(since time.Time) error {
	short, cancel := context.WithTimeout(w.ctx, 5*watchTimeout)
	defer cancel()
	return bench.Until(short, "the watch to open again", func() bool {
		for _, watch := range w.proxy.Watches() {
			if watch.Path == bench.PodsPath && watch.Started.After(since) && watch.Status == http.StatusOK {
				return true
			}
		}
		return false
	})
}

func (w *world) until(what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	return bench.Until(ctx, what, done)
}

func (w *world) end() {
	w.cancel()
	w.proxy.Close()
}
