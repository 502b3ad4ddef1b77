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
	// atATime is how many owners' objects of one kind are written at a time, where that API may be another's or does not
	// answer at once: the other workers do what is of other kinds meanwhile.
	atATime = 2
	// slow is how long an API may say nothing until that holds.
	slow = time.Second
	// repose is how long an API that did not answer in time is not asked.
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
	entered map[*following]bool
}

func (s *Objects) turn(at owner, ours bool) *turn {
	return &turn{Objects: s, at: at, ours: ours, entered: map[*following]bool{}}
}

// end lets others in.
func (t *turn) end() {
	for k := range t.entered {
		k.mu.Lock()
		k.writers--
		k.mu.Unlock()
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
	err := request(ctx)
	k.answered(t.clock.Now(), silent(ctx, err), t.repose)
	return err
}

// enter begins to ask the API of a kind, once in each turn. The error is that this has to wait.
func (t *turn) enter(k *following, of ref) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if left := k.rests.Sub(now); left > 0 {
		return &later{left, fmt.Sprintf("%s is not written: the API of %s did not answer in time, and is asked again in a while", of, k.resource)}
	}
	if t.entered[k] {
		return nil
	}
	if k.writers == 0 {
		k.heard = now
	}
	if k.writers >= atATime && (k.foreign != nil || k.slow || now.Sub(k.heard) > slow) {
		return &later{after: busy}
	}
	k.writers++
	t.entered[k] = true
	return nil
}

// answered notes that a request has ended, with an answer or without: then there are no others for a while.
func (k *following) answered(now time.Time, silent bool, repose time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.slow = silent
	if silent {
		k.rests = now.Add(repose)
	} else {
		k.heard = now
	}
}

// silent says that there was no answer in time.
func silent(ctx context.Context, err error) bool {
	return err != nil && (errors.Is(ctx.Err(), context.DeadlineExceeded) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err))
}
