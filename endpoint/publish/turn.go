package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// atATime is how many owners' objects are written at a time, where an API may be another's or does not answer at once:
	// the other workers do what is of other kinds, or in other namespaces, meanwhile.
	atATime = 2
	// slow is how long an API may say nothing until that holds.
	slow = time.Second
	// late is how long an answer may take that an API is not taken for slow by: less than a webhook may keep one waiting.
	late = 5 * time.Second
	// repose is how long what did not answer in time is not asked.
	repose = 5 * time.Second
	// busy is when something is tried again that found too many at work.
	busy = 100 * time.Millisecond
)

// later is why an object is not written now: text, if there is anything to say. It is tried again after a while.
type later struct {
	after time.Duration
	text  string
}

func (l *later) Error() string { return l.text }

// turn is one writing of the objects of an owner. It is used by several goroutines.
type turn struct {
	*Objects
	at   owner
	ours bool // the publisher writes

	mu      sync.Mutex
	entered map[Place]bool
}

func (s *Objects) turn(at owner, ours bool) *turn {
	return &turn{Objects: s, at: at, ours: ours, entered: map[Place]bool{}}
}

// end lets others in.
func (t *turn) end() {
	for p := range t.entered {
		t.kinds[p.Kind].answers.leave(p.Namespace)
	}
}

// ask makes a request for an object, within a deadline, if its API may be asked now.
func (t *turn) ask(ctx context.Context, of ref, request func(context.Context) error) error {
	k := t.kinds[of.kind]
	if k == nil {
		return fmt.Errorf("%s is no kind that is written here", of.kind)
	}
	if err := t.enter(k, of); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, t.deadline)
	defer cancel()
	began := t.clock.Now()
	err := request(ctx)
	k.answers.came(of.namespace, began, t.clock.Now(), silent(ctx, err), t.repose)
	return err
}

// enter begins to ask the API of a kind in a namespace, once in each turn. The error is that this has to wait.
func (t *turn) enter(k *following, of ref) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := Place{of.kind, of.namespace}
	left, ok := k.answers.enter(of.namespace, t.clock.Now(), t.entered[at], k.foreign != nil)
	switch {
	case left > 0 && of.namespace == "":
		return &later{left, fmt.Sprintf("%s is not written: the API of %s did not answer in time, and is asked again in a while", of, k.resource)}
	case left > 0:
		return &later{left, fmt.Sprintf("%s is not written: the API of %s did not answer in time for namespace %q, or for others, and is asked again in a while", of, k.resource, of.namespace)}
	case !ok:
		return &later{after: busy}
	}
	t.entered[at] = true
	return nil
}

// answers are how the API of a kind answers, in each namespace by itself: what hangs may be a webhook of one of them. The
// zero value has heard nothing.
type answers struct {
	mu     sync.Mutex
	in     map[string]*lane
	heard  time.Time       // when it answered anywhere, or somebody began to ask it, last
	silent map[string]bool // the namespaces in which there was no answer in time since there was one anywhere
	rests  time.Time       // until when it is asked nowhere: there were two of these
}

// lane is how the API of a kind answers in one namespace.
type lane struct {
	writers int       // turns that ask it now
	heard   time.Time // when it answered, or somebody began to ask it, last
	slow    bool      // it did not answer, or late, when it was asked last
	rests   time.Time // until when it is not asked
}

// doubtful says that it may be long until there is an answer.
func (l *lane) doubtful(now time.Time) bool {
	return l.slow || l.writers > 0 && now.Sub(l.heard) > slow
}

// enter lets one more ask in a namespace, who may be among those that do. They may not for as long as is left, or where it
// is not ok, as too many do.
func (a *answers) enter(namespace string, now time.Time, among, foreign bool) (left time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.in[namespace]
	if l == nil {
		l = &lane{}
	}
	if left := max(l.rests.Sub(now), a.rests.Sub(now)); left > 0 {
		return left, false
	}
	if among {
		return 0, true
	}
	if a.full(l, now, foreign) {
		return 0, false
	}
	if a.in == nil {
		a.in = map[string]*lane{}
	}
	a.in[namespace] = l
	if l.writers == 0 {
		l.heard = now
	}
	l.writers++
	return 0, true
}

// full says that too many ask already. Where it may be long until there are answers, one more than there are then is let
// in to find out whether that is so in other namespaces, too.
func (a *answers) full(l *lane, now time.Time, foreign bool) bool {
	all, waiting := 0, 0
	for _, other := range a.in {
		all += other.writers
		if other.doubtful(now) {
			waiting += other.writers
		}
	}
	if all == 0 {
		a.heard = now
	}
	switch {
	case l.doubtful(now):
		return waiting >= atATime
	case foreign && waiting == 0:
		return all >= atATime
	case foreign, len(a.silent) > 1, now.Sub(a.heard) > slow:
		return all > atATime
	}
	return false
}

// leave ends the asking of one.
func (a *answers) leave(namespace string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.in[namespace]
	if l.writers--; l.writers == 0 && !l.slow {
		delete(a.in, namespace)
	}
}

// came notes that a request has ended, with an answer or without: then that namespace is left alone for a while, and all
// are where two of them got none, and no other one.
func (a *answers) came(namespace string, began, now time.Time, silent bool, repose time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.in[namespace]
	l.slow = silent || now.Sub(began) > late
	if !silent {
		l.heard, a.heard, a.silent = now, now, nil
		return
	}
	l.rests = now.Add(repose)
	if a.silent == nil {
		a.silent = map[string]bool{}
	}
	if a.silent[namespace] = true; len(a.silent) > 1 {
		a.rests = now.Add(repose)
	}
}

// silent says that there was no answer in time.
func silent(ctx context.Context, err error) bool {
	return err != nil && (errors.Is(ctx.Err(), context.DeadlineExceeded) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err))
}
