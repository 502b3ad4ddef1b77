package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hold keeps a Lease until ctx ends. Whoever finds it gone was given up by the others: it drops what it has, and begins anew.
func (r *Replica) hold(ctx context.Context) {
	for r.register(ctx) {
		r.follow.hold(r.lease.uid())
		r.keep(ctx)
		r.fence.close()
		if ctx.Err() != nil {
			return
		}
		r.options.Log.Info("this replica was given up by the others: dropping its clusters and beginning anew")
		r.lease.current = nil
		select {
		case <-r.follow.drop(false):
		case <-ctx.Done():
			return
		}
	}
}

// register makes the Lease, once there is none of a namesake that might be at work.
func (r *Replica) register(ctx context.Context) bool {
	l := r.lease
	var version string // of the namesake's
	var since time.Time
	for ctx.Err() == nil {
		start, err := l.register(ctx)
		if err == nil {
			r.learn(start)
			return true
		}
		if !apierrors.IsAlreadyExists(err) {
			r.options.Log.Error(err, "registering this replica")
			version = "" // nobody can have renewed either
			r.pause(ctx, retry)
			continue
		}
		there, err := l.there(ctx)
		switch now := r.options.Clock.Now(); {
		case err != nil:
			version = ""
		case there == nil: // gone by now
			continue
		case holderOf(there) == l.holder: // we did, and were not told
			l.current = there
			if start, err := l.renew(ctx, 0); err == nil {
				r.learn(start)
				return true
			}
			l.current = nil
		case there.ResourceVersion != version && holderOf(there) != "":
			if version == "" {
				r.options.Log.Info("waiting for the Lease of an earlier replica of this name", "lease", there.Name, "holder", holderOf(there))
			}
			version, since = there.ResourceVersion, now
		case holderOf(there) == "", now.Sub(since) >= r.options.Times.Duration:
			version = ""
			if err = l.depose(ctx, there); err == nil {
				r.peers.bury(there.UID)
				continue
			}
		}
		r.pause(ctx, retry)
	}
	return false
}

// learn opens the fence, as after a renewal that began at start.
func (r *Replica) learn(start time.Time) {
	r.renewed.Store(&start)
	r.fence.renewed(start)
}

func (r *Replica) pause(ctx context.Context, d time.Duration) {
	timer := r.options.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}

// keep renews the Lease until it is lost or ctx ends.
func (r *Replica) keep(ctx context.Context) {
	t := r.options.Times
	last, failing := r.options.Clock.Now(), false
	timer := r.options.Clock.NewTimer(t.Renew)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.renewNow:
		case <-timer.C():
		}
		now := r.options.Clock.Now()
		err := r.renew(ctx, now.Sub(last) > 2*t.Renew)
		switch {
		case ctx.Err() != nil, errors.Is(err, errLost):
			return
		case err == nil:
			if failing {
				r.options.Log.Info("this replica's Lease is renewed again")
			}
			last, failing = now, false
			timer.Reset(t.Renew - time.Duration(rand.Float64()*float64(t.Renew)/10)) // so that replicas do not go in step
		default:
			if !failing {
				r.options.Log.Error(err, "renewing this replica's Lease: nothing is written once it has lapsed")
			}
			failing = true
			timer.Reset(min(retry, t.Renew))
		}
	}
}

// renew renews once. After a gap the assignment is read before anything is written again.
func (r *Replica) renew(ctx context.Context, gap bool) error {
	gap = gap || !r.fence.Open()
	start, err := r.lease.renew(ctx, r.follow.ack())
	if err != nil {
		return err
	}
	if gap {
		// Perhaps nobody could renew. Whoever judges others by how long they have been silent begins anew.
		r.peers.restart()
		if err := r.catchUp(ctx); err != nil {
			return err
		}
	}
	r.learn(start)
	return nil
}

func (r *Replica) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.options.Times.Call)
	defer cancel()
	name := ConfigMapName(r.options.Name)
	cm, err := r.electing.CoreV1().ConfigMaps(r.options.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading ConfigMap %q: %w", name, err)
	}
	r.follow.obey(cm)
	return nil
}

// leave ends everything, and says so in a way that others need not wait.
func (r *Replica) leave(letGo func(), held <-chan struct{}) {
	<-r.follow.drop(true) // the Lease is renewed meanwhile
	letGo()
	<-held
	r.fence.close()
	uid := r.lease.uid()
	if uid == "" {
		return
	}
	t := r.options.Times
	ctx, cancel := context.WithTimeout(context.Background(), 2*t.Call) //nolint:forbidigo // the context of the program has ended, and this is short
	defer cancel()
	if err := r.lease.release(ctx); err != nil {
		if !errors.Is(err, errLost) {
			r.options.Log.Error(err, "giving this replica's Lease back: the others have to wait for its end")
		}
		return
	}
	r.peers.seen(r.lease.current)
	for r.follow.assigned(uid) && ctx.Err() == nil { // until the leader has given everything away
		r.pause(ctx, 20*time.Millisecond)
	}
	if err := r.lease.remove(context.WithoutCancel(ctx)); err != nil {
		r.options.Log.Error(err, "leaving")
	}
}

// stored is the assignment as the watch shows it.
func stored(list []any) *corev1.ConfigMap {
	for _, o := range list {
		if cm, ok := o.(*corev1.ConfigMap); ok {
			return cm
		}
	}
	return nil
}
