package shard

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/clock"
)

const (
	// groupLabel marks the Leases of one group of replicas with its name.
	groupLabel = "hawser.io/shards"
	// ackAnnotation of a Lease is the generation of the assignment that its holder obeys.
	ackAnnotation = "hawser.io/shard-ack"
)

// errLost says that a Lease is not ours any more.
var errLost = errors.New("the Lease is gone, or somebody else's")

// lease is this replica's own Lease. It is used by one goroutine.
type lease struct {
	leases  coordinationclient.LeaseInterface
	clock   clock.PassiveClock
	call    time.Duration
	object  *coordinationv1.Lease // as it was made, or last seen
	holder  string                // this process, and no other of its name
	current *coordinationv1.Lease // nil while there is none
}

// uid is that of the Lease that is held.
func (l *lease) uid() types.UID {
	if l.current == nil {
		return ""
	}
	return l.current.UID
}

// register makes the Lease. It fails with AlreadyExists while there is one of somebody else.
func (l *lease) register(ctx context.Context) (start time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.call)
	defer cancel()
	start = l.clock.Now()
	made := l.object.DeepCopy()
	made.Spec.HolderIdentity = &l.holder
	now := metav1.NewMicroTime(start)
	made.Spec.AcquireTime, made.Spec.RenewTime = &now, &now
	if l.current, err = l.leases.Create(ctx, made, metav1.CreateOptions{}); err != nil {
		l.current = nil
		return start, fmt.Errorf("making Lease %q: %w", l.object.Name, err)
	}
	return start, nil
}

// renew writes the Lease, with an acknowledgement. It fails with errLost if there is nothing to renew.
func (l *lease) renew(ctx context.Context, ack int64) (start time.Time, err error) {
	return l.write(ctx, func(next *coordinationv1.Lease, now metav1.MicroTime) {
		next.Spec.RenewTime = &now
		if next.Annotations == nil {
			next.Annotations = map[string]string{}
		}
		next.Annotations[ackAnnotation] = strconv.FormatInt(ack, 10)
	})
}

// release says that nothing is done under this Lease any more.
func (l *lease) release(ctx context.Context) error {
	none := ""
	_, err := l.write(ctx, func(next *coordinationv1.Lease, _ metav1.MicroTime) { next.Spec.HolderIdentity = &none })
	return err
}

// write changes the Lease at the version that was last seen. One that others have written to without taking it, as by
// kubectl annotate, is read again.
func (l *lease) write(ctx context.Context, change func(*coordinationv1.Lease, metav1.MicroTime)) (start time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.call)
	defer cancel()
	if l.current == nil {
		return l.clock.Now(), errLost
	}
	for {
		start = l.clock.Now()
		next := l.current.DeepCopy()
		change(next, metav1.NewMicroTime(start))
		written, err := l.leases.Update(ctx, next, metav1.UpdateOptions{})
		switch {
		case err == nil:
			l.current = written
			return start, nil
		case apierrors.IsNotFound(err):
			return start, errLost
		case !apierrors.IsConflict(err):
			return start, fmt.Errorf("renewing Lease %q: %w", l.object.Name, err)
		}
		seen, err := l.leases.Get(ctx, l.object.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && (seen.UID != l.current.UID || holderOf(seen) != l.holder):
			return start, errLost
		case err != nil:
			return start, fmt.Errorf("reading Lease %q: %w", l.object.Name, err)
		}
		l.current = seen
	}
}

// remove deletes the Lease, if it is still the one that was held.
func (l *lease) remove(ctx context.Context) error {
	if l.current == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.call)
	defer cancel()
	uid := l.current.UID
	err := l.leases.Delete(ctx, l.object.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting Lease %q: %w", l.object.Name, err)
	}
	l.current = nil
	return nil
}

func holderOf(l *coordinationv1.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

func ackOf(l *coordinationv1.Lease) int64 {
	n, err := strconv.ParseInt(l.Annotations[ackAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// there is the Lease of this name, whoever holds it; nil if there is none.
func (l *lease) there(ctx context.Context) (*coordinationv1.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, l.call)
	defer cancel()
	seen, err := l.leases.Get(ctx, l.object.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Lease %q: %w", l.object.Name, err)
	}
	return seen, nil
}

// depose deletes somebody's Lease at the version that was seen.
func (l *lease) depose(ctx context.Context, seen *coordinationv1.Lease) error {
	ctx, cancel := context.WithTimeout(ctx, l.call)
	defer cancel()
	err := l.leases.Delete(ctx, seen.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &seen.UID, ResourceVersion: &seen.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting Lease %q, which its holder did not renew: %w", seen.Name, err)
	}
	return nil
}
