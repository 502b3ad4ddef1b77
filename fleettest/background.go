package fleettest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	pollInterval = 20 * time.Millisecond // how often something is asked that is waited for
	endTimeout   = time.Minute           // twice as long as a manager of controller-runtime takes by default
)

// Running is what [Background] has started.
type Running struct {
	ended chan struct{}
	stop  func()
}

// Background runs f until the test ends or [Running.Stop] is called: its context ends then, f is waited for, and
// an error of f fails the test. what names it in the message: "the manager".
func Background(t testing.TB, what string, f func(ctx context.Context) error) *Running {
	t.Helper()
	// The test's own context ends before its clean-up, which may need what runs.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &Running{ended: make(chan struct{})}
	var err error
	go func() { // ends with ctx: see stop
		defer close(r.ended)
		err = f(ctx)
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-r.ended:
			if err != nil {
				t.Errorf("%s ended with: %v", what, err)
			}
		case <-time.After(endTimeout):
			t.Errorf("%s has not ended %s after it was stopped", what, endTimeout)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// Stop ends it before the test ends. It may be called more than once.
func (r *Running) Stop() { r.stop() }

// Ended is closed when f has returned, asked or not.
func (r *Running) Ended() <-chan struct{} { return r.ended }

// Eventually calls check until it returns nil, and ends the test with check's last error after timeout.
func Eventually(t testing.TB, timeout time.Duration, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout) // clean-ups wait, too
	defer cancel()
	var last error
	if err := Until(ctx, pollInterval, func() error { last = check(); return last }); err != nil {
		t.Fatalf("after %s still: %v", timeout, last)
	}
}

// Settled returns what a count of requests comes to that rises above before, and then stays for half a second.
func Settled(t testing.TB, count *atomic.Int32, before int32) int32 {
	t.Helper()
	last, since := before, time.Now()
	Eventually(t, 15*time.Second, func() error {
		if now := count.Load(); now != last {
			last, since = now, time.Now()
		}
		if last == before || time.Since(since) < 500*time.Millisecond {
			return fmt.Errorf("there were %d, the last one %s ago", last, time.Since(since))
		}
		return nil
	})
	return last
}

// Until calls check, and then every so often, until it returns nil. When ctx ends first, Until returns what check
// said last, and why ctx ended.
func Until(ctx context.Context, every time.Duration, check func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}
