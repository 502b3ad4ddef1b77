package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/endpoint"
)

// Objects lists and watches the objects of one kind.
type Objects struct {
	List  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	Watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// ErrAbsent is returned by Table.Open where the cluster does not have the kind.
var ErrAbsent = errors.New("the cluster does not have this kind")

// Table follows the objects of one kind through interruptions. What it is told of it passes on, one call at a time.
type Table struct {
	// What is followed, for messages: the resource.
	What string
	// Open returns what to follow. It is called anew where the kind was absent, or is.
	Open func(context.Context) (Objects, error)
	// Set takes an object that is there; what it makes of it is its own. Drop is told of one that is gone: of no other that
	// has its name by then.
	Set  func(obj runtime.Object)
	Drop func(types.NamespacedName, types.UID)
	// Verify fails where another cluster answers than the one that is followed, of which nothing is taken. May be nil.
	Verify endpoint.Verify
	// Changed is told, without waiting, of a change of State. May be nil.
	Changed func()
	// Look is how often it is looked for a kind that is absent.
	Look  time.Duration
	Clock clock.WithTicker
	Log   logr.Logger

	mu      sync.Mutex
	state   TableState
	known   map[types.NamespacedName]types.UID
	restart context.CancelFunc // of what runs now
}

// TableState is how much a table has.
type TableState struct {
	// Synced says that everything was listed once, or that there is no such kind.
	Synced bool
	// Absent says that there is no such kind.
	Absent bool
	// Since is since when Err keeps the objects from being followed, or, without one, since when they have been
	// followed without interruption. It is zero before the first answer.
	Since time.Time
	Err   error
}

const (
	// answerTimeout is how long an API server may take for a list, or to begin a watch, and how much longer than
	// agreed a watch may last.
	answerTimeout = time.Minute
	// DefaultLook is how often it is looked for kinds that are absent.
	DefaultLook = 30 * time.Second
)

// backoff is how long what fails waits for the next try.
var backoff = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.6, Jitter: .2, Steps: 100, Cap: 5 * time.Second}

// Run follows until ctx ends.
func (t *Table) Run(ctx context.Context) {
	t.known = map[types.NamespacedName]types.UID{}
	doubted := false
	for ctx.Err() == nil {
		source, err := t.open(ctx)
		pause := min(t.Look, backoff.Cap)
		switch absent := errors.Is(err, ErrAbsent); {
		case err == nil:
			doubted = false
			t.follow(ctx, source)
			continue
		case absent && !doubted && len(t.known) > 0: // what is there goes only when it was looked for twice
			doubted = true
		case absent:
			pause = t.Look
			_ = t.Replace(nil, "") // it fails only with objects
			t.learn(ctx, nil, true)
		default:
			if apierrors.IsForbidden(err) { // that does not mend itself soon
				pause = t.Look
			}
			t.learn(ctx, err, false)
		}
		select {
		case <-ctx.Done():
		case <-t.Clock.After(pause):
		}
	}
}

// follow runs a reflector until ctx ends, or the kind is found to be absent.
func (t *Table) follow(ctx context.Context, source Objects) {
	once, cancel := context.WithCancel(ctx)
	defer cancel()
	t.mu.Lock()
	t.restart = cancel
	t.mu.Unlock()
	pace, logger := backoff, logr.Discard() // what goes wrong is in the state
	toolscache.NewReflectorWithOptions(t.asked(source), nil, t, toolscache.ReflectorOptions{
		Name: t.What, TypeDescription: t.What, Clock: t.Clock, Backoff: &pace, Logger: &logger,
	}).RunWithContext(klog.NewContext(once, logger))
}

// asked asks with deadlines, and learns from the answers.
func (t *Table) asked(source Objects) *toolscache.ListWatch {
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			timed, cancel := context.WithTimeout(ctx, answerTimeout)
			defer cancel()
			list, err := t.list(timed, source, o)
			t.learn(ctx, err, false)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			most := answerTimeout
			if o.TimeoutSeconds != nil {
				most += time.Duration(*o.TimeoutSeconds) * time.Second
			}
			timed, cancel := context.WithTimeout(ctx, most)
			unanswered := time.AfterFunc(answerTimeout, cancel)
			w, err := t.watch(timed, source, o)
			unanswered.Stop()
			if err != nil {
				cancel()
				if !apierrors.IsResourceExpired(err) { // otherwise a list follows, and nothing is wrong
					t.learn(ctx, err, false)
				}
				if o.SendInitialEvents != nil {
					// A list is asked for next, because this may be an API server that does not know such watches. As a
					// connection refused, the reflector would wait here with no regard to ctx.
					err = errors.New(err.Error())
				}
				return nil, err
			}
			t.learn(ctx, nil, false)
			return &timedWatch{w, cancel}, nil
		},
	}
}

// timedWatch is a watch with its deadline.
type timedWatch struct {
	watch.Interface
	cancel context.CancelFunc
}

// Stop ends the watch.
func (w *timedWatch) Stop() {
	w.Interface.Stop()
	w.cancel()
}

// learn keeps what the last request came to.
func (t *Table) learn(ctx context.Context, err error, absent bool) {
	if ctx.Err() != nil {
		return // we end it ourselves
	}
	t.mu.Lock()
	before := t.state
	now := t.Clock.Now()
	switch {
	case err == nil:
		t.state.Err, t.state.Absent = nil, absent
		if before.Err != nil || before.Since.IsZero() {
			t.state.Since = now
		}
	case before.Err == nil:
		t.state.Since = now
		fallthrough
	default:
		t.state.Err = fmt.Errorf("following %s: %w", t.What, err)
	}
	changed := (before.Err == nil) != (err == nil) || before.Since.IsZero() || before.Absent != t.state.Absent
	if apierrors.IsNotFound(err) && t.restart != nil {
		t.restart() // the kind may be gone
	}
	t.mu.Unlock()
	if !changed {
		return
	}
	if err != nil {
		t.Log.Info("following no more", "resource", t.What, "reason", err.Error())
	} else if before.Err != nil {
		t.Log.Info("following again", "resource", t.What)
	}
	t.tell()
}

func (t *Table) tell() {
	if t.Changed != nil {
		t.Changed()
	}
}

// State returns the state as it is now.
func (t *Table) State() TableState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// Add implements cache.ReflectorStore.
func (t *Table) Add(obj any) error { return t.Update(obj) }

// Update implements cache.ReflectorStore.
func (t *Table) Update(obj any) error {
	key, uid, o, err := t.key(obj)
	if err != nil {
		return err
	}
	t.known[key] = uid
	t.Set(o)
	return nil
}

// Delete implements cache.ReflectorStore.
func (t *Table) Delete(obj any) error {
	key, uid, _, err := t.key(obj)
	if err != nil {
		return err
	}
	delete(t.known, key)
	t.Drop(key, uid)
	return nil
}

// Replace implements cache.ReflectorStore. It is called when a list has ended: what is not in it is gone.
func (t *Table) Replace(all []any, _ string) error {
	gone := t.known
	t.known = make(map[types.NamespacedName]types.UID, len(all))
	for _, obj := range all {
		key, uid, o, err := t.key(obj)
		if err != nil {
			return err
		}
		t.known[key] = uid
		delete(gone, key)
		t.Set(o)
	}
	for key, uid := range gone {
		t.Drop(key, uid)
	}
	t.mu.Lock()
	first := !t.state.Synced
	t.state.Synced = true
	t.mu.Unlock()
	if first {
		t.tell()
	}
	return nil
}

// Resync implements cache.ReflectorStore.
func (*Table) Resync() error { return nil }

func (t *Table) key(obj any) (types.NamespacedName, types.UID, runtime.Object, error) {
	o, ok := obj.(runtime.Object)
	if !ok {
		return types.NamespacedName{}, "", nil, fmt.Errorf("following %s: got %T", t.What, obj)
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return types.NamespacedName{}, "", nil, fmt.Errorf("following %s: %w", t.What, err)
	}
	return types.NamespacedName{Namespace: m.GetNamespace(), Name: m.GetName()}, m.GetUID(), o, nil
}
