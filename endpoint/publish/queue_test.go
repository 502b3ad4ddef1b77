package publish

import (
	"errors"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"
)

// taken are the tasks that a queue hands out, one by one.
type taken struct {
	t     *testing.T
	q     *queue
	clock *testingclock.FakeClock
	tasks chan task
}

func takeFrom(t *testing.T) *taken {
	clock := testingclock.NewFakeClock(time.Unix(1000, 0))
	k := &taken{t, newQueue(clock), clock, make(chan task)}
	go func() { // ends when the queue is closed
		defer close(k.tasks)
		for {
			task, more := k.q.get()
			if !more {
				return
			}
			k.tasks <- task
		}
	}()
	t.Cleanup(func() {
		k.q.close()
		for task := range k.tasks {
			k.q.done(task, nil)
		}
	})
	return k
}

// pass lets time pass until a task comes.
func (k *taken) pass(step time.Duration, want task) (passed time.Duration) {
	k.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case got := <-k.tasks:
			if got != want {
				k.t.Errorf("got %v, want %v", got, want)
			}
			return passed
		case <-deadline:
			k.t.Fatal("no task came")
		case <-time.After(20 * time.Millisecond): // nothing can be told of a queue that is idle but that nothing comes
			k.clock.Step(step)
			passed += step
		}
	}
}

func TestWhatComesWithinTheWindowIsDoneAtOnce(t *testing.T) {
	k := takeFrom(t)
	a, b := task{cluster: "a"}, task{cluster: "b"}
	for range 1000 {
		k.q.note(a, 100*time.Millisecond)
	}
	if passed := k.pass(50*time.Millisecond, a); passed < 100*time.Millisecond {
		t.Errorf("it came after %s", passed)
	}
	k.q.note(a, 100*time.Millisecond) // while it is done
	k.q.done(a, nil)
	k.q.note(b, 0)
	k.pass(0, b)
	k.q.done(b, nil)
	if passed := k.pass(50*time.Millisecond, a); passed < 100*time.Millisecond {
		t.Errorf("it came again after %s", passed)
	}
	k.q.done(a, nil)

	k.q.note(a, time.Hour) // and sooner, if there is a reason
	k.q.note(a, 100*time.Millisecond)
	k.q.note(a, time.Minute)
	if passed := k.pass(50*time.Millisecond, a); passed > time.Second {
		t.Errorf("it came after %s", passed)
	}
	k.q.done(a, errors.New("not now"))
	first := k.pass(100*time.Millisecond, a)
	k.q.done(a, errors.New("not now"))
	if second := k.pass(100*time.Millisecond, a); second <= first {
		t.Errorf("it was tried again after %s, and then after %s", first, second)
	}
	k.q.done(a, nil)
}
