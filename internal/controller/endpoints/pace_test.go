package endpoints

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/fleettest"
)

// counted is a catalog that counts.
type counted struct{ reviews atomic.Int32 }

func (c *counted) Review() { c.reviews.Add(1) }

// reaches waits until something was done some times, and no more often.
func reaches(t *testing.T, what string, count *atomic.Int32, want int32) {
	t.Helper()
	fleettest.Eventually(t, 30*time.Second, func() error {
		if got := count.Load(); got < want {
			return fmt.Errorf("%s: %d times, want %d", what, got, want)
		}
		return nil
	})
	if got := count.Load(); got != want {
		t.Fatalf("%s: %d times, want %d", what, got, want)
	}
}

// waits waits until somebody waits for the clock.
func waits(t *testing.T, clock *clocktesting.FakeClock) {
	t.Helper()
	fleettest.Eventually(t, 30*time.Second, func() error {
		if !clock.HasWaiters() {
			return errors.New("nobody waits for the clock")
		}
		return nil
	})
}

func TestLooksForSharedAddressesEachMinute(t *testing.T) {
	clock, catalog := clocktesting.NewFakeClock(time.Now()), &counted{}
	running := fleettest.Background(t, "the review", func(ctx context.Context) error { Review(ctx, catalog, clock); return nil })
	waits(t, clock)
	reaches(t, "before a minute is over", &catalog.reviews, 0)
	for i := range int32(3) {
		clock.Step(59 * time.Second)
		reaches(t, "before a minute is over", &catalog.reviews, i)
		clock.Step(time.Second)
		reaches(t, "when it is", &catalog.reviews, i+1)
	}
	running.Stop()
}

// Every heartbeat of every node wakes it.
func TestReadsOurAddressesAtMostOnceASecond(t *testing.T) {
	clock, wake := clocktesting.NewFakeClock(time.Now()), make(chan struct{}, 1)
	h := &Hosts{clock: clock}
	var looks atomic.Int32
	running := fleettest.Background(t, "the look", func(ctx context.Context) error {
		h.follow(ctx, wake, func(context.Context) { looks.Add(1) })
		return nil
	})
	for i := range int32(3) {
		waits(t, clock) // it has looked
		reaches(t, "as nobody woke it", &looks, i+1)
		wake <- struct{}{}
		clock.Step(999 * time.Millisecond)
		if !clock.HasWaiters() {
			t.Fatal("it does not wait for the second to be over")
		}
		reaches(t, "before a second is over", &looks, i+1)
		clock.Step(time.Millisecond)
		reaches(t, "when it is", &looks, i+2)
	}
	waits(t, clock)
	clock.Step(time.Second)
	reaches(t, "as nobody woke it again", &looks, 4)
	running.Stop()
}
