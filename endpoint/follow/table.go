package follow

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Source lists and watches the objects of one kind.
type Source struct {
	List  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	Watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// ErrAbsent is returned by Table.Open where the cluster does not have the kind.
var ErrAbsent = errors.New("the cluster does not have this kind")

// Table follows the objects of one kind, which are Ts. What it is told of them it passes on, one call at a time. Resource,
// Open, Set, Drop, Look and Clock are required, and nothing is changed once it runs.
type Table[T runtime.Object] struct {
	// Resource is what is followed, for messages.
	Resource string
	// Open returns where the objects are. It is called again after Again, and where the cluster says that it knows nothing
	// of the kind.
	Open func(context.Context) (Source, error)
	// Set takes an object that is there; what it makes of it is its own. Drop is told of one that is gone: of no other that
	// has its name by then.
	Set  func(T)
	Drop func(types.NamespacedName, types.UID)
	// Listed takes all that there are when a list has ended: what is not among them is gone. Nil: each is Set, and those
	// that are gone are dropped, for which the table keeps the names of all.
	Listed func([]T)
	// Identity of the cluster. Nothing is taken from another one. Nil: from any.
	Identity *Identity
	// Changed is told, without waiting, when State says something else. May be nil.
	Changed func()
	// Look is how often it is looked for a kind that is absent.
	Look time.Duration
	// Answering is how long an API server may take for a list, or to begin a watch, and how much longer than agreed a watch
	// may last. Zero means a minute.
	Answering time.Duration
	Clock     clock.WithTicker
	Log       logr.Logger

	known map[types.NamespacedName]types.UID // of what there is, where nobody else keeps that
	retry chan struct{}                      // of one: a pause is to end

	mu        sync.Mutex
	state     State
	pace      wait.Backoff
	failed    bool               // what was asked last, or did not last
	doubted   bool               // it was absent when it was looked for last, and was there before
	wentBack  bool               // the cluster had an older version than we, and is listed anew because of that
	streaming *time.Timer        // until when a list that comes with its watch has to end; nil: none is awaited
	restart   context.CancelFunc // of what runs now
}

// State is how much a table has.
type State struct {
	// Synced says that everything was listed once, or that there is no such kind.
	Synced bool
	// Absent says that there is no such kind. One that has come is so until it was listed.
	Absent bool
	// Since is since when Err keeps the objects from being followed, or, without one, since when they have been
	// followed without interruption. It is zero before the first answer.
	Since time.Time
	Err   error
}

const (
	answering = time.Minute
	// streams is how many times as long a list may take that comes with a watch. One that has not ended by then is asked for
	// plainly: there are API servers that know nothing of that end.
	streams = 5
	// doubt is how long it takes until a kind is looked for a second time that was there. It is longer than an answer of
	// calico.Discovery holds.
	doubt = 6 * time.Second
	// brief is how long a watch lasts at least that is no failure.
	brief = time.Second
	// reflecting is the pause of a reflector between two attempts. It keeps it in real time, and some of it whatever ends
	// meanwhile: the pauses that count are ours.
	reflecting = 100 * time.Millisecond
)

// backoff is how long what fails waits for the next try: not for long, because a connection that is known to be dead
// answers at once.
var backoff = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.6, Jitter: .2, Steps: 100, Cap: 5 * time.Second}

// Run follows until ctx ends. It is called once.
func (t *Table[T]) Run(ctx context.Context) {
	t.known = map[types.NamespacedName]types.UID{}
	t.mu.Lock()
	t.retry = make(chan struct{}, 1)
	t.mu.Unlock()
	for ctx.Err() == nil {
		once, cancel := context.WithCancel(ctx)
		t.mu.Lock()
		t.restart, t.failed = cancel, false
		t.mu.Unlock()
		pause := t.attempt(once)
		cancel()
		if pause > 0 {
			_ = t.rest(ctx, pause)
		}
	}
}

// attempt looks for what is to be followed, and follows it until ctx ends. It says how long to wait before the next one.
func (t *Table[T]) attempt(ctx context.Context) (pause time.Duration) {
	source, err := t.open(ctx)
	switch {
	case err == nil:
		t.mu.Lock()
		t.doubted = false
		t.mu.Unlock()
		t.reflect(ctx, source)
		return t.step() // unless it is to be listed anew
	case ctx.Err() != nil:
		return 0
	case !errors.Is(err, ErrAbsent):
		t.learn(ctx, err)
		return t.step()
	case t.doubts(): // an API server that begins does not know everything at once
		return min(t.Look, doubt)
	}
	_ = t.replace(nil) // it fails only with objects
	t.change(func(s *State) { s.Err, s.Synced, s.Absent = nil, true, true })
	return t.Look
}

// doubts says whether a kind that is absent is to be looked for a second time before what there was of it goes.
func (t *Table[T]) doubts() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doubted = !t.doubted && t.state.Synced && !t.state.Absent
	return t.doubted
}

// reflect runs a reflector until ctx ends.
func (t *Table[T]) reflect(ctx context.Context, source Source) {
	t.listed()
	logger := logr.Discard() // what goes wrong is in the state
	toolscache.NewReflectorWithOptions(t.asks(source), nil, t, toolscache.ReflectorOptions{
		Name: t.Resource, TypeDescription: t.Resource, Backoff: &wait.Backoff{Duration: reflecting}, Logger: &logger,
	}).RunWithContext(klog.NewContext(ctx, logger))
}

// Again lists everything anew, from where Open says. It does not wait.
func (t *Table[T]) Again() {
	t.mu.Lock()
	restart := t.restart
	t.mu.Unlock()
	if restart != nil {
		t.hurry()
		restart()
	}
}

// Retry tries again what has failed, if anything has, without waiting for its time: the cluster answers again, as
// somebody knows. What is known is not listed anew because of that. It does not wait.
func (t *Table[T]) Retry() {
	if t.State().Err != nil {
		t.hurry()
	}
}

// hurry ends a pause: the one that there is, or the next one.
func (t *Table[T]) hurry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case t.retry <- struct{}{}:
	default: // it is to end already, or nothing has begun
	}
}

// rest waits. The error is that ctx has ended.
func (t *Table[T]) rest(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
	case <-t.retry:
	case <-t.Clock.After(pause):
	}
	return ctx.Err()
}

// step is the next pause.
func (t *Table[T]) step() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pace.Duration == 0 {
		t.pace = backoff
	}
	return t.pace.Step()
}
