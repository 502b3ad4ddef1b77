package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// within reconciles requests for as long as their cluster is in the fleet.
type within struct {
	fleet      *Fleet
	controller string
	inner      reconcile.TypedReconciler[Request]
	parking    *parking
}

// Reconcile implements reconcile.TypedReconciler.
func (w *within) Reconcile(ctx context.Context, r Request) (reconcile.Result, error) {
	if r.Cluster == "" {
		return w.result(ctx, r, nil)
	}
	c := w.fleet.find(r.Cluster)
	if c == nil {
		w.drop(reasonGone)
		logf.FromContext(ctx).V(1).Info("a request is dropped: its cluster has left the fleet")
		return reconcile.Result{}, nil
	}
	if !c.work.enter() { // it leaves this very moment
		w.drop(reasonGone)
		return reconcile.Result{}, nil
	}
	defer c.work.leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })()
	return w.result(ctx, r, c)
}

func (w *within) result(ctx context.Context, r Request, c *Cluster) (reconcile.Result, error) {
	result, err := w.inner.Reconcile(ctx, r)
	if c != nil && errors.Is(context.Cause(c.ctx), ErrNotFound) && (err != nil || !result.IsZero()) {
		w.drop(reasonLeft)
		logf.FromContext(ctx).Info("a request is not tried again: its cluster has left the fleet", "error", fmt.Sprint(err))
		return reconcile.Result{}, nil
	}
	if err != nil && w.parking.park(r, err) {
		logf.FromContext(ctx).V(1).Info("a request waits until its cluster can be reached", "error", err.Error())
		return reconcile.Result{}, nil
	}
	return result, err
}

func (w *within) drop(reason string) {
	w.fleet.metrics.dropped.WithLabelValues(w.controller, reason).Inc()
}

// uniform hands each request to the reconciler of its cluster.
type uniform struct {
	fleet *Fleet
	build func(*Cluster) reconcile.Reconciler

	mu   sync.Mutex
	made map[*Cluster]func() reconcile.Reconciler
}

// Reconcile implements reconcile.TypedReconciler.
func (u *uniform) Reconcile(ctx context.Context, r Request) (reconcile.Result, error) {
	if r.Cluster == "" {
		return reconcile.Result{}, reconcile.TerminalError(errors.New("a request names the local cluster, and reconcilers are made for clusters of the fleet"))
	}
	c := u.fleet.find(r.Cluster)
	if c == nil {
		return reconcile.Result{}, notFound(r.Cluster)
	}
	return u.of(c)().Reconcile(ctx, r.Request)
}

// of returns the maker of a cluster's reconciler, which makes it once.
func (u *uniform) of(c *Cluster) func() reconcile.Reconciler {
	u.mu.Lock()
	defer u.mu.Unlock()
	if made, ok := u.made[c]; ok {
		return made
	}
	made := sync.OnceValue(func() reconcile.Reconciler { return u.build(c) })
	u.made[c] = made
	context.AfterFunc(c.ctx, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.made, c)
	})
	return made
}
