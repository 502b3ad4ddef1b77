package shard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// coordinator is what the leader does: it buries the dead, and writes who owns what. It keeps nothing that is not in the
// objects: whoever is the leader next goes on from these, and two that both think that they are cannot both write.
type coordinator struct {
	client    kubernetes.Interface
	namespace string
	configMap string
	selector  string // of the Leases
	owners    []metav1.OwnerReference
	times     Times
	clock     clock.WithTicker
	log       logr.Logger
	peers     *observer
	names     *names
	stored    func() *corev1.ConfigMap // as the watch shows it; nil if there is none
	wake      chan struct{}            // holds one signal

	last *corev1.ConfigMap // as it was read or written last
	now  Assignment
}

// retry is when a round is made again that failed.
const retry = 500 * time.Millisecond

// run assigns until ctx ends.
func (c *coordinator) run(ctx context.Context) {
	c.last = nil
	for {
		pause, err := c.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.last = nil
			c.log.Error(err, "assigning clusters to replicas")
			pause = retry
		}
		timer := c.clock.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.wake:
			timer.Stop()
		case <-timer.C():
		}
	}
}

// round does what can be done now, and returns when to look again if nothing happens before.
func (c *coordinator) round(ctx context.Context) (pause time.Duration, err error) {
	clusters, synced := c.names.list()
	if !synced {
		return time.Minute, nil
	}
	if err := c.read(ctx); err != nil {
		return 0, err
	}
	for uid, s := range c.now.Shards {
		c.peers.miss(uid, s.Replica)
	}
	j := c.peers.judge()
	for uid, s := range j.still {
		buried, err := c.bury(ctx, uid, s)
		if err != nil {
			return 0, err
		}
		if buried {
			delete(j.peers, uid)
		}
	}
	pause = time.Minute
	if j.next > 0 {
		pause = min(pause, j.next)
	}
	if wait := c.settle(j); wait > 0 {
		pause = min(pause, wait)
	}
	after, changed := next(c.now, j.peers, clusters, c.clock.Now().UnixMilli())
	if changed {
		if err := c.write(ctx, after); err != nil {
			return 0, err
		}
	}
	return pause, c.clear(ctx, j.over)
}

// settle leaves those who have just joined out until no more do, and returns how long that is.
func (c *coordinator) settle(j judgement) time.Duration {
	now := c.clock.Now()
	var newcomers []types.UID
	var earliest, latest time.Time
	for uid := range j.peers {
		if _, known := c.now.Shards[uid]; known {
			continue
		}
		newcomers = append(newcomers, uid)
		first := j.first[uid]
		if earliest.IsZero() || first.Before(earliest) {
			earliest = first
		}
		if first.After(latest) {
			latest = first
		}
	}
	if len(newcomers) == 0 {
		return 0
	}
	wait := min(latest.Add(c.times.Settle).Sub(now), earliest.Add(3*c.times.Settle).Sub(now))
	if wait <= 0 {
		return 0
	}
	for _, uid := range newcomers {
		p := j.peers[uid]
		p.eligible = false
		j.peers[uid] = p
	}
	return wait
}

// bury deletes a Lease that has stood still. One that was renewed meanwhile is not dead.
func (c *coordinator) bury(ctx context.Context, uid types.UID, s sighting) (bool, error) {
	err := c.delete(ctx, uid, s)
	if apierrors.IsConflict(err) {
		seen, err := c.client.CoordinationV1().Leases(c.namespace).Get(ctx, s.lease, metav1.GetOptions{})
		if err == nil && seen.UID == uid {
			c.peers.seen(seen)
			return false, nil
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("reading Lease %q: %w", s.lease, err)
		}
		return false, nil // somebody else deleted it: the watch tells
	}
	if err != nil {
		return false, fmt.Errorf("deleting Lease %q, which its holder did not renew: %w", s.lease, err)
	}
	c.peers.bury(uid)
	c.log.Info("a replica has not renewed its Lease: its clusters are given to others", "replica", s.replica)
	return true, nil
}

// delete deletes a Lease at the version that was seen. It is no error if there is none.
func (c *coordinator) delete(ctx context.Context, uid types.UID, s sighting) error {
	ctx, cancel := context.WithTimeout(ctx, c.times.Call)
	defer cancel()
	err := c.client.CoordinationV1().Leases(c.namespace).Delete(ctx, s.lease, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &s.version},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// clear takes away the Leases that were released, once nothing is assigned to them, and forgets them.
func (c *coordinator) clear(ctx context.Context, over map[types.UID]sighting) error {
	var errs []error
	for uid, s := range over {
		if _, assigned := c.now.Shards[uid]; assigned {
			continue
		}
		if s.lease != "" {
			if err := c.delete(ctx, uid, s); err != nil && !apierrors.IsConflict(err) {
				errs = append(errs, fmt.Errorf("deleting Lease %q, which was released: %w", s.lease, err))
				continue
			}
		}
		c.peers.forget(uid)
	}
	return errors.Join(errs...)
}

// read takes in the assignment where it is not what we wrote last.
func (c *coordinator) read(ctx context.Context) error {
	if c.last != nil {
		if seen := c.stored(); seen != nil && !newer(seen, c.last) {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.times.Call)
	defer cancel()
	cm, err := c.client.CoreV1().ConfigMaps(c.namespace).Get(ctx, c.configMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.last, c.now = nil, Assignment{}
		return c.look(ctx)
	}
	if err != nil {
		return fmt.Errorf("reading ConfigMap %q: %w", c.configMap, err)
	}
	if c.now, err = Decode(cm); err != nil {
		return err
	}
	c.last = cm
	return nil
}

// look makes sure that everybody who was ever assigned anything is known, also if the watch is late.
func (c *coordinator) look(ctx context.Context) error {
	all, err := c.client.CoordinationV1().Leases(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: c.selector})
	if err != nil {
		return fmt.Errorf("listing the Leases of all replicas: %w", err)
	}
	for i := range all.Items {
		c.peers.seen(&all.Items[i])
	}
	return nil
}

func (c *coordinator) write(ctx context.Context, after Assignment) error {
	ctx, cancel := context.WithTimeout(ctx, c.times.Call)
	defer cancel()
	maps := c.client.CoreV1().ConfigMaps(c.namespace)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: c.configMap, Namespace: c.namespace, OwnerReferences: c.owners}}
	put := func() (*corev1.ConfigMap, error) { return maps.Create(ctx, cm, metav1.CreateOptions{}) }
	if c.last != nil {
		cm = c.last.DeepCopy()
		put = func() (*corev1.ConfigMap, error) { return maps.Update(ctx, cm, metav1.UpdateOptions{}) }
	}
	if err := after.encode(cm); err != nil {
		return err
	}
	written, err := put()
	if err != nil {
		return fmt.Errorf("writing ConfigMap %q: %w", c.configMap, err)
	}
	c.last, c.now = written, after
	c.log.Info("clusters are assigned", "generation", after.Generation, "owned", after.Owned())
	return nil
}
