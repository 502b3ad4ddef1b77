package follow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// asks is how a reflector asks: with deadlines, after a pause where what was asked last has failed, and so that something
// is learned from the answers.
func (t *Table[T]) asks(source Source) *toolscache.ListWatch {
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			if err := t.await(ctx); err != nil {
				return nil, err
			}
			t.listed()
			asked, answered, end := t.deadline(ctx)
			defer end()
			list, err := t.list(asked, source, o)
			if err = answered(err); err != nil {
				return nil, t.fail(ctx, err)
			}
			return list, nil // that it is well again is learned from the watch that follows
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			if err := t.await(ctx); err != nil {
				return nil, err
			}
			if o.SendInitialEvents == nil || !*o.SendInitialEvents {
				w, err := t.begin(ctx, source, o)
				if err != nil {
					return nil, t.fail(ctx, err)
				}
				t.change(func(s *State) { s.Err = nil })
				return w, nil
			}
			w, err := t.stream(ctx, source, o)
			if err != nil && !otherVersion(err) {
				// A list is asked for next, in the plain way. As a connection refused, the reflector would try this again.
				return nil, errors.New(err.Error())
			}
			return w, err
		},
	}
}

func (t *Table[T]) patience() time.Duration {
	if t.Answering == 0 {
		return answering
	}
	return t.Answering
}

// deadline is one for an answer. answered says what became of it, when it has come, or has not.
func (t *Table[T]) deadline(ctx context.Context) (asked context.Context, answered func(error) error, end func()) {
	asked, cancel := context.WithCancelCause(ctx)
	late := fmt.Errorf("there was no answer in %s: %w", t.patience(), context.DeadlineExceeded)
	timer := time.AfterFunc(t.patience(), func() { cancel(late) })
	return asked, func(err error) error {
		if !timer.Stop() && errors.Is(context.Cause(asked), late) {
			return late
		}
		return err
	}, func() { cancel(nil) }
}

// await waits before something is asked.
func (t *Table[T]) await(ctx context.Context) error {
	t.mu.Lock()
	failed := t.failed
	t.failed = false
	t.mu.Unlock()
	if !failed {
		return nil
	}
	return t.rest(ctx, t.step())
}

// otherVersion says that the reflector asks again at once, for another version, and nothing is wrong.
func otherVersion(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}

// fail learns from what was asked in vain.
func (t *Table[T]) fail(ctx context.Context, err error) error {
	if otherVersion(err) || ctx.Err() != nil {
		return err
	}
	t.mu.Lock()
	t.failed = true
	t.mu.Unlock()
	t.learn(ctx, err)
	return err
}

// list asks for a list, and makes sure of whose it is.
func (t *Table[T]) list(ctx context.Context, source Source, o metav1.ListOptions) (runtime.Object, error) {
	if err := t.Identity.sure(ctx, o.ResourceVersion); err != nil {
		return nil, err
	}
	list, err := source.List(ctx, o)
	if err != nil {
		return nil, t.Identity.reconsider(ctx, err)
	}
	if m, err := meta.ListAccessor(list); err == nil && m.GetContinue() != "" {
		return list, nil // the last part tells
	}
	if err := t.Identity.verify(ctx); err != nil {
		return nil, err
	}
	return list, nil
}

// stream begins a watch that comes with a list. Its failure is no reason to wait: the plain way may do.
func (t *Table[T]) stream(ctx context.Context, source Source, o metav1.ListOptions) (watch.Interface, error) {
	if t.listed() {
		return nil, errors.New("the list before did not end")
	}
	w, err := t.begin(ctx, source, o)
	if err != nil {
		if !otherVersion(err) && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) { // an older one knows no such watches
			t.learn(ctx, err)
		}
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streaming = time.AfterFunc(streams*t.patience(), w.Stop)
	return w, nil
}

// listed ends the wait for a list that comes with a watch, and says whether one was awaited.
func (t *Table[T]) listed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	awaited := t.streaming != nil
	if awaited {
		t.streaming.Stop()
		t.streaming = nil
	}
	return awaited
}

// begin begins a watch, and gives it its deadlines.
func (t *Table[T]) begin(ctx context.Context, source Source, o metav1.ListOptions) (watch.Interface, error) {
	most := t.patience()
	if o.TimeoutSeconds != nil {
		most += time.Duration(*o.TimeoutSeconds) * time.Second
	}
	timed, cancel := context.WithTimeout(ctx, most)
	asked, answered, _ := t.deadline(timed) // which ends with timed
	w, err := t.watch(asked, source, o)
	if err = answered(err); err != nil {
		if w != nil {
			w.Stop()
		}
		cancel()
		return nil, err
	}
	began := t.Clock.Now()
	return &timedWatch{w, sync.OnceFunc(func() {
		cancel()
		t.ended(ctx, t.Clock.Since(began))
	})}, nil
}

// ended is told how long a watch has lasted.
func (t *Table[T]) ended(ctx context.Context, lasted time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case ctx.Err() != nil: // we have ended it
	case lasted < brief:
		t.failed = true
	default:
		t.pace = wait.Backoff{}
	}
}

// watch begins a watch, and makes sure of whose it is, and that the cluster is in no earlier state than that which we know:
// one that was restored from a backup would tell nothing before it is where it was before.
func (t *Table[T]) watch(ctx context.Context, source Source, o metav1.ListOptions) (watch.Interface, error) {
	if err := t.Identity.sure(ctx, o.ResourceVersion); err != nil {
		return nil, err
	}
	w, err := source.Watch(ctx, o)
	if err != nil {
		return nil, t.Identity.reconsider(ctx, err)
	}
	behind, err := t.Identity.behind(ctx, o.ResourceVersion)
	if err == nil && o.SendInitialEvents == nil && t.again(behind) {
		t.Log.Info("the cluster went back to an earlier state: listing anew", "resource", t.Resource)
		t.Again()
		err = apierrors.NewResourceExpired("the cluster is in an earlier state")
	}
	if err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}

// again says whether to list anew a cluster that is behind. Where versions cannot be compared, it is found so once.
func (t *Table[T]) again(behind bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	again := behind && !t.wentBack
	t.wentBack = behind
	return again
}

// timedWatch is a watch whose end is told.
type timedWatch struct {
	watch.Interface
	ended func()
}

// Stop ends the watch.
func (w *timedWatch) Stop() {
	w.Interface.Stop()
	w.ended()
}

// open looks for what to follow. What another cluster has, or lacks, says nothing.
func (t *Table[T]) open(ctx context.Context) (Source, error) {
	asked, answered, end := t.deadline(ctx)
	defer end()
	source, err := t.Open(asked)
	if errors.Is(err, ErrAbsent) {
		if other := t.Identity.verify(asked); other != nil {
			err = other
		}
	}
	return source, answered(t.Identity.reconsider(asked, err))
}
